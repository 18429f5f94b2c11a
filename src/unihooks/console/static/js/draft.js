// The draft of a new webhook: it is saved by itself, and pasted lines become rows.

const SOON = 1000;
const LATER = 3000;
const LONGEST = 30000;
const LEFT = "draft-left";
let timer = 0;
let pause = SOON;
let dirty = false;
let current = null;

const draft = () => document.querySelector("form[data-keep]");
const isOf = (event) => event.target.form && event.target.form === draft();

document.addEventListener("input", (event) => isOf(event) && changed(LATER));
document.addEventListener("change", (event) => isOf(event) && changed(SOON));
document.addEventListener("focusout", (event) => isOf(event) && dirty && later(SOON));
window.addEventListener("focus", () => dirty && save());

function changed(after) {
  dirty = true;
  later(after);
}

function later(after) {
  clearTimeout(timer);
  timer = setTimeout(save, after);
}

async function save(options) {
  const form = draft();
  if (!form || !dirty || "stopped" in form.dataset) return;
  clearTimeout(timer);
  dirty = false;
  say(form, form.dataset.saving);
  const body = new URLSearchParams(new FormData(form));
  body.set("go", "keep");
  current = new AbortController();
  const headers = { "HX-Request": "true", "X-Keep": "1" };
  try {
    kept(form, await fetch(form.action, { method: "POST", body, headers, signal: current.signal, redirect: "manual", ...options }));
  } catch (error) {
    if (error.name !== "AbortError") again(form, form.dataset.unsaved);
  }
}

async function kept(form, answer) {
  if (form !== draft()) return;
  if (answer.ok && answer.headers.get("content-type") === "application/json") {
    form.elements.version.value = (await answer.json()).version;
    pause = SOON;
    warn(form, "");
    say(form, form.dataset.saved);
  } else if (answer.status === 409 || answer.status === 413) {
    // What was entered stays; the button that is pressed next decides.
    form.dataset.stopped = "";
    warn(form, (await answer.json()).sentence);
    say(form, "");
  } else if (answer.status === 429) {
    pause = Number(answer.headers.get("retry-after")) * 1000 || LATER;
    again(form, form.dataset.unsaved);
  } else {
    again(form, answer.status === 401 || answer.type === "opaqueredirect" ? form.dataset.signedOut : form.dataset.unsaved);
  }
}

function again(form, sentence) {
  say(form, "");
  warn(form, sentence);
  dirty = true;
  pause = Math.min(pause * 2, LONGEST);
  later(pause);
}

function say(form, sentence) {
  form.querySelector("#kept").textContent = sentence;
}

function warn(form, sentence) {
  const place = form.querySelector("#kept-problem");
  if (place.textContent.trim() === sentence) return;
  place.replaceChildren();
  if (!sentence) return;
  const alert = document.createElement("div");
  alert.className = "alert wrong";
  alert.role = "alert";
  const section = document.createElement("section");
  section.textContent = sentence;
  alert.append(section);
  place.append(alert);
}

// What a button of the form sends contains all that is to be saved.
document.addEventListener("submit", (event) => {
  const form = draft();
  if (event.target === form) {
    clearTimeout(timer);
    current?.abort();
    dirty = false;
    return;
  }
  // Another form, such as the one for the language, leads away: save first.
  if (!form || !dirty) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  save().finally(() => {
    dirty = false;
    event.target.requestSubmit(event.submitter);
  });
}, true);

for (const failure of ["htmx:error", "htmx:response:error"]) {
  document.addEventListener(failure, (event) => {
    if (event.target.closest?.("form[data-keep]")) changed(LATER);
  });
}

// A link, Back, or a reload: what is sent now is saved while the next page loads.
window.addEventListener("beforeunload", () => {
  if (!draft() || !dirty) return;
  sessionStorage.setItem(LEFT, location.pathname);
  save({ keepalive: true });
});

document.addEventListener("DOMContentLoaded", async () => {
  const form = draft();
  if (!form || sessionStorage.getItem(LEFT) !== location.pathname) return;
  sessionStorage.removeItem(LEFT);
  // This page may have been made just before the last words were saved.
  const answer = await fetch(location.href, { headers: { "HX-Request": "true" } }).catch(() => null);
  const found = answer?.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  const version = found?.querySelector("form[data-keep] [name=version]")?.value;
  if (version && version !== form.elements.version.value && !dirty) location.reload();
});

// From the browser's memory comes the page as it was left, which may be old.
window.addEventListener("pageshow", (event) => event.persisted && draft() && location.reload());

// Lines that are pasted into a row become rows.
document.addEventListener("paste", (event) => {
  const command = { endpoint_url: "paste", header_name: "paste-headers" }[event.target.name];
  const text = event.clipboardData?.getData("text/plain").trim() ?? "";
  const form = event.target.form;
  if (!command || !form || !isMany(command, text)) return;
  event.preventDefault();
  const row = [...form.querySelectorAll(`[name=${event.target.name}]`)].indexOf(event.target);
  const lines = Object.assign(document.createElement("textarea"), { name: "pasted", value: text, hidden: true });
  const button = Object.assign(document.createElement("button"), { name: "go", value: `${command}:${row}`, hidden: true });
  form.append(lines, button);
  form.requestSubmit(button);
  lines.remove();
  button.remove();
});

function isMany(command, text) {
  return command === "paste" ? /[\s,;]/.test(text) : /^[\w-]+\s*:/.test(text);
}
