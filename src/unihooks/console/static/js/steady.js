// Nothing typed is ever lost, and nothing happens twice: any unexpected response leaves the page as it is.
//
// What other scripts use:
//   Steady.ask(url, options)    fetches a part of a page: the Response, or null after it has told what went wrong
//   Steady.toast(text, tone)    says something over the page: "done" goes by itself, "wrong" stays until it is closed
//   Steady.word(name, values)   a sentence in the viewer's language, from <template id="words">
//   Steady.put(part, html)      replaces an element by the one with its id in a page, where its focus stays
// A response may carry the header `Console-Toast`: {"text": ..., "tone": ...}.
// A form with `data-native` is left to the browser.

const MARK = "console-answer";
const SHOWN_MS = 8_000;
const PROGRESS_AFTER_MS = 200;
const GIVEN_UP_MS = 60_000;
const LOCALE = `${document.documentElement.lang}-u-nu-latn`;

window.Steady = { ask, toast, word, put, soon, problemOf, renewed, LOCALE };

// --- What is said -------------------------------------------------------------------------------------------------

function word(name, values = {}) {
  const found = document.getElementById("words")?.content.querySelector(`[data-word="${name}"]`)?.textContent ?? "";
  return found.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

// "in 12 seconds", "2 minutes ago"
function soon(seconds) {
  const [size, unit] = [[86_400, "day"], [3_600, "hour"], [60, "minute"]].find(([one]) => Math.abs(seconds) >= one) ?? [1, "second"];
  return new Intl.RelativeTimeFormat(LOCALE).format(Math.round(seconds / size), unit);
}

function toast(text, tone = "done", link = null) {
  const place = document.getElementById("toasts");
  if (!place || !text) return;
  // One problem at a time: the last one is what to act on.
  for (const old of [...place.children]) if (old.textContent.trim() === text || tone === "wrong") old.remove();
  const shown = document.importNode(document.getElementById("toast").content, true).firstElementChild;
  shown.classList.add(tone);
  if (tone === "wrong") shown.setAttribute("role", "alert");
  shown.querySelector("span").textContent = text;
  const go = shown.querySelector("a");
  if (link) [go.hidden, go.href] = [false, link];
  shown.querySelector("button").addEventListener("click", () => shown.remove());
  place.append(shown);
  if (tone === "done") fade(shown);
}

function fade(shown) {
  setTimeout(() => (shown.matches(":hover, :focus-within") ? fade(shown) : shown.remove()), SHOWN_MS);
}

function forgetProblems() {
  for (const old of document.querySelectorAll("#toasts .wrong")) old.remove();
}

// --- Which responses are expected ---------------------------------------------------------------------------------

// Return what is wrong with a response, or null: a proxy, a sign-in page or an error must not take the page's place.
function problemOf(answer) {
  const own = answer.headers.has(MARK);
  if (own && answer.ok) return null;
  if (renewed(answer)) return { text: word("renewed"), wait: 0 };
  const wait = Number(answer.headers.get("retry-after")) || 0;
  if (answer.status === 429) return { text: word("many", { when: soon(wait || 60) }), wait };
  if (answer.status === 401 || (!own && (answer.ok || answer.redirected)))
    return { text: word("out"), link: location.href, wait };
  if (own) return { page: true, text: word("odd"), wait };
  return { text: word(answer.status >= 500 ? "down" : "odd", { code: answer.status }), wait };
}

// After signing in with new cookies, forms have another token, and all else that is on the page.
function renewed(answer) {
  const token = answer.headers.get(MARK) && answer.headers.get("console-token");
  if (!token) return false;
  for (const field of document.querySelectorAll("input[name=csrf]")) field.value = token;
  return true;
}

async function tell(problem, answer = null) {
  // A page that refuses says why, in the viewer's language.
  const page = problem.page && answer ? new DOMParser().parseFromString(await answer.clone().text(), "text/html") : null;
  const said = page && [...page.querySelectorAll("#main h1, #main h1 + p")].map((one) => one.textContent.trim()).join(". ");
  toast(said || problem.text, "wrong", problem.link);
}

function unreached() {
  return word(navigator.onLine ? "unreached" : "offline");
}

function tellUnreached() {
  toast(unreached(), "wrong");
}

async function ask(url, options = {}) {
  const done = waiting();
  try {
    const answer = await fetch(url, {
      mode: "same-origin",
      signal: AbortSignal.timeout(GIVEN_UP_MS),
      ...options,
      headers: { "HX-Request": "true", "HX-Current-URL": location.href, Accept: "text/html", ...options.headers },
    });
    const problem = problemOf(answer);
    if (problem) await tell(problem, answer);
    else told(answer);
    return problem ? null : answer;
  } catch {
    if (!options.signal?.aborted) tellUnreached();
    return null;
  } finally {
    done();
  }
}

function told(answer) {
  forgetProblems();
  const given = answer.headers.get("console-toast");
  if (!given) return;
  const { text, tone } = JSON.parse(given);
  toast(text, tone);
}

// --- Waiting: a line at the top, and buttons that are busy ----------------------------------------------------------

let count = 0;

function waiting() {
  let over = false;
  count += 1;
  setTimeout(() => { if (count) show(true); }, PROGRESS_AFTER_MS);
  return () => {
    if (over) return;
    over = true;
    count -= 1;
    if (!count) show(false);
  };
}

function show(is) {
  const line = document.getElementById("progress");
  if (line) line.hidden = !is;
}

function busy(holder, button) {
  const done = waiting();
  holder.dataset.busy = "";
  button?.setAttribute("aria-busy", "true");
  return () => {
    done();
    delete holder.dataset.busy;
    button?.removeAttribute("aria-busy");
  };
}

// The second click of a double click comes while the form, or a button that asks by itself, is busy.
for (const kind of ["submit", "click"]) {
  document.addEventListener(kind, (event) => {
    const holder = kind === "submit" ? event.target : event.target.closest?.("button");
    if (!holder || holder.dataset.busy === undefined) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const plain = link && !event.defaultPrevented && event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey);
  if (!plain || link.target || link.hasAttribute("download") || link.getAttribute("href").startsWith("#")) return;
  setTimeout(waiting(), GIVEN_UP_MS);
});

// A page that comes back from the browser's memory waits for nothing, and what it said is over.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  calm();
  for (const old of document.querySelectorAll("#main > .alert.done, #toasts > *")) old.remove();
});

function calm() {
  count = 0;
  show(false);
  for (const holder of document.querySelectorAll("[data-busy]")) delete holder.dataset.busy;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
}

// --- What is typed and not sent yet: the browser asks before it is left ---------------------------------------------

const unsent = new Set();
let leaves = false;

document.addEventListener("input", ({ target }) => {
  if (target.form?.dataset.guard !== undefined) unsent.add(target.form);
});

document.addEventListener("click", ({ target }) => {
  // Such as "Cancel".
  if (target.closest?.("form[data-guard] a[href]")) leaves = true;
});

document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if (ctx.hx?.redirect && unsent.has(ctx.sourceElement.closest("form"))) leaves = true;
});

window.addEventListener("beforeunload", (event) => {
  if (leaves || ![...unsent].some((form) => form.isConnected)) return;
  event.preventDefault();
  // Who stays waits for nothing.
  setTimeout(calm);
});

// --- Forms that post ------------------------------------------------------------------------------------------------

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.getAttribute("method") !== "post" || form.dataset.native !== undefined) return;
  event.preventDefault();
  const button = event.submitter;
  for (const one of form.querySelectorAll("[data-here]")) one.value = location.pathname + location.search;
  const body = new URLSearchParams(new FormData(form, button));
  const done = busy(form, button);
  const answer = await ask(button?.getAttribute("formaction") ?? form.getAttribute("action") ?? location.href, { method: "POST", body });
  const where = answer && (answer.headers.get("hx-redirect") ?? (answer.redirected ? answer.url : null));
  // Another theme takes nothing that is typed away.
  if (where && button?.name === "theme") return void restyled(form).finally(done);
  // On the way to another page the button stays busy.
  if (where) return void location.assign(where);
  done();
  if (answer) await shownInstead(answer);
});

async function restyled(form) {
  const answer = await ask(location.href);
  if (!answer) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("header.top [name=theme]")?.form;
  if (!fresh) return;
  const root = document.documentElement;
  root.classList.remove("system", "light", "dark");
  root.classList.add(...["system", "light", "dark"].filter((one) => page.documentElement.classList.contains(one)));
  document.querySelector("meta[name=color-scheme]").content = page.querySelector("meta[name=color-scheme]").content;
  form.replaceWith(document.adoptNode(fresh));
  fresh.querySelector("[name=theme]").focus({ preventScroll: true });
}

async function shownInstead(answer) {
  const where = answer.headers.get("hx-replace-url");
  if (where) history.replaceState(history.state, "", where);
  put(document.getElementById("main"), await answer.text());
  scrollTo(0, 0);
  const main = document.getElementById("main");
  if (!main.contains(document.activeElement)) main.focus({ preventScroll: true });
}

// --- Parts of a page ------------------------------------------------------------------------------------------------

document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  const { sourceElement, sourceEvent } = ctx;
  const isPressed = sourceElement.matches("button");
  const posts = ctx.request.method === "POST" && (isPressed || sourceEvent?.type === "submit");
  ctx.over = posts ? busy(sourceElement, isPressed ? sourceElement : sourceEvent.submitter) : waiting();
});

document.addEventListener("htmx:before:response", (event) => {
  const answer = event.detail.ctx.response.raw;
  const problem = problemOf(answer);
  if (!problem) return told(answer);
  event.preventDefault();
  if (!isRepeated(event.detail.ctx, problem.text)) tell(problem, answer);
  htmx.trigger(event.target, "htmx:response:error", event.detail);
});

document.addEventListener("htmx:error", ({ detail }) => {
  if (detail.ctx && !detail.ctx.response && !isRepeated(detail.ctx, unreached())) tellUnreached();
});

// What goes along with each letter that is typed says the same thing once.
function isRepeated(ctx, text) {
  const isTyped = ctx.sourceEvent?.type === "input";
  return isTyped && [...document.querySelectorAll("#toasts .wrong span")].some((one) => one.textContent === text);
}

document.addEventListener("htmx:finally:request", ({ detail: { ctx } }) => {
  if (!ctx.hx?.redirect || !ctx.response) ctx.over?.();
});

// --- The focus stays where it was -----------------------------------------------------------------------------------

let focused = null;

document.addEventListener("htmx:before:swap", () => { focused = remembered(document.activeElement); });
document.addEventListener("htmx:after:settle", () => back(focused));
document.addEventListener("htmx:finally:swap", () => { focused = null; });

function put(part, html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const fresh = part && page.getElementById(part.id);
  if (!fresh) return toast(word("odd"), "wrong");
  const before = remembered(document.activeElement);
  const title = page.querySelector("title")?.textContent;
  part.replaceWith(document.adoptNode(fresh));
  if (part.id === "main" && title) document.title = title;
  htmx.process(fresh);
  back(before);
  fresh.dispatchEvent(new CustomEvent("htmx:after:settle", { bubbles: true, detail: {} }));
}

function remembered(element) {
  if (!element || element === document.body) return null;
  const place = element.closest("[id]");
  return { id: element.id, place: place?.id, look: look(element), at: alike(place ?? document, look(element)).indexOf(element) };
}

function look(element) {
  const text = element.matches("a, button, summary") ? element.textContent.trim() : "";
  return [element.tagName, element.getAttribute("name"), element.getAttribute("aria-label"), element.getAttribute("href"), text].join("\n");
}

function alike(place, wanted) {
  return [...place.querySelectorAll(wanted.split("\n")[0])].filter((one) => look(one) === wanted);
}

function back(before) {
  if (!before || (document.activeElement && document.activeElement !== document.body)) return;
  const place = document.getElementById(before.place) ?? document.getElementById("main");
  const same = alike(place, before.look);
  const wanted = (before.id && document.getElementById(before.id)) || same[before.at] || same.at(-1) || place;
  if (wanted === place && !place.hasAttribute("tabindex")) place.tabIndex = -1;
  wanted.focus({ preventScroll: true });
}
