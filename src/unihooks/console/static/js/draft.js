// The draft of a new webhook: it is saved by itself, and pasted lines become rows.

const SOON = 1000;
const LATER = 3000;
const LONGEST = 30000;
const LEFT = "draft-left";
const HEADERS = { "HX-Request": "true", Accept: "application/json" };
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
  try {
    const request = { method: "POST", body, headers: HEADERS, signal: current.signal, redirect: "manual", ...options };
    await kept(form, await fetch(form.action, request));
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
  } else if (answer.headers.has("hx-redirect")) {
    // In another tab it has become a webhook.
    location.assign(answer.headers.get("hx-redirect"));
  } else if (answer.status === 409 || answer.status === 413) {
    // What was entered stays; the button that is pressed next decides.
    form.dataset.stopped = "";
    warn(form, (await answer.json()).sentence);
    say(form, "");
  } else if (answer.status === 429) {
    pause = Number(answer.headers.get("retry-after")) * 1000 || LATER;
    again(form, form.dataset.unsaved);
  } else {
    Steady.renewed(answer);
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

// Where that went wrong, the page is as it was.
document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  const went = ctx.status === "swapped" || ctx.hx?.redirect;
  if (ctx.sourceElement === draft() && ctx.sourceEvent?.type === "submit" && !went) changed(LATER);
});

// A link, Back, or a reload: it is saved while the next page loads. That may be this page again, made just before.
window.addEventListener("beforeunload", () => {
  const form = draft();
  if (!form || !dirty) return;
  const fields = typed(form).map((field) => (isTicked(field) ? field.checked : field.value));
  const left = { path: location.pathname, at: Date.now(), once: form.elements.once.value, fields };
  sessionStorage.setItem(LEFT, JSON.stringify(left));
  save({ keepalive: true });
});

document.addEventListener("DOMContentLoaded", () => {
  const form = draft();
  const left = JSON.parse(sessionStorage.getItem(LEFT) ?? "null");
  sessionStorage.removeItem(LEFT);
  if (!form || left?.path !== location.pathname || Date.now() - left.at > LONGEST) return;
  const fields = typed(form);
  if (fields.length !== left.fields.length) return;
  fields.forEach((field, at) => put(field, left.fields[at]));
  // What is on its way from the page that was left is no other tab's.
  if (dirty) form.elements.once.value = left.once;
});

function isTicked(field) {
  return field.type === "checkbox" || field.type === "radio";
}

function typed(form) {
  return [...form.elements].filter((one) => one.name && one.matches("input:not([type=hidden], [type=password]), select, textarea"));
}

function put(field, value) {
  const name = typeof value === "boolean" ? "checked" : "value";
  if (field[name] === value) return;
  field[name] = value;
  changed(SOON);
}

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
