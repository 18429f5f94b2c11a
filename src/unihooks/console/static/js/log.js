// The log: a row opens beside the list, under a URL of its own, and several can be ticked and replayed together.

const NARROW = matchMedia("(max-width: 52rem)");
const RESTORED_MS = 500;
let shown = null;
let asking = null;
let closedAt = 0;

const drawer = () => document.getElementById("drawer");
const linkTo = (id) => document.querySelector(`a[data-drawer="${CSS.escape(id)}"]`);

document.addEventListener("DOMContentLoaded", settle);
document.addEventListener("htmx:after:settle", settle);

// Before others hear of a click: a link that opens beside the list does not leave the page.
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest?.("a[data-drawer], #drawer nav a[rel]");
  if (link && drawer() && window.Steady) {
    event.preventDefault();
    open(link.href, link.rel);
  } else if (event.target.closest?.("#drawer [data-close]")) close();
}, true);

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") leave(event);
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") step(event, event.key === "ArrowDown");
  else if (event.key === "ArrowLeft" || event.key === "ArrowRight") turn(event, event.key === "ArrowRight");
}, true);

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-tick-all]")) for (const tick of ticks()) tick.checked = event.target.checked;
  if (event.target.matches("[data-tick-all], [name=delivery]")) count();
  // A filter that says nothing is not asked for, so the browser tells why.
  if (event.target.matches(".filters input[pattern]")) event.target.reportValidity();
});

// The URL says what was chosen, and nothing of what was not.
document.addEventListener("formdata", ({ target, formData }) => {
  if (!target.matches(".filters")) return;
  for (const [name, value] of [...formData]) if (!value) formData.delete(name);
  if (!formData.has("from") && !formData.has("to")) formData.delete("zone");
});

window.addEventListener("popstate", (event) => {
  if (!drawer()) return;
  if (event.state?.drawer) load(event.state.drawer);
  else if (shown) hide();
});

// Back from a delivery to a list whose filters were changed here: it is on the page already.
document.addEventListener("htmx:before:history:restore", (event) => {
  if (Date.now() - closedAt < RESTORED_MS) event.preventDefault();
});

function settle() {
  const all = document.querySelector("[data-tick-all]");
  if (all) all.hidden = false;
  zoned();
  count();
  mark();
}

// Times are typed as they are shown: in the viewer's own zone.
function zoned() {
  const panel = document.querySelector("[data-zoned]");
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  if (!panel || !timeZone) return;
  delete panel.dataset.zoned;
  panel.querySelector("[name=zone]").value = timeZone;
  for (const label of panel.querySelectorAll("[data-zone]")) label.textContent = timeZone;
}

// --- A delivery beside the list -------------------------------------------------------------------------------------

async function open(href, rel) {
  const first = shown === null;
  if (!(await load(href, rel))) return;
  const state = { drawer: href };
  if (first) history.pushState(state, "", href);
  else history.replaceState(state, "", href);
}

async function load(href, rel = "") {
  asking?.abort();
  const now = (asking = new AbortController());
  const part = new URL(href, location.href);
  part.searchParams.set("drawer", "");
  part.searchParams.set("lang", document.documentElement.lang);
  const answer = await Steady.ask(part, { signal: now.signal });
  const html = answer ? await answer.text() : "";
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("delivery");
  if (!fresh || now.signal.aborted) return false;
  show(document.adoptNode(fresh), rel);
  return true;
}

function show(fresh, rel) {
  const place = drawer();
  place.replaceChildren(fresh);
  place.hidden = false;
  shown = fresh.dataset.delivery;
  htmx.process(place);
  place.dispatchEvent(new CustomEvent("htmx:after:settle", { bubbles: true, detail: {} }));
  place.scrollTop = 0;
  cover(NARROW.matches);
  // Where an arrow was pressed, it can be pressed again.
  const wanted = (rel && fresh.querySelector(`nav a[rel="${rel}"]`)) || fresh.querySelector("#delivery-title");
  wanted.focus({ preventScroll: true });
}

function close() {
  if (history.state?.drawer) history.back();
  else hide();
}

function hide() {
  const last = shown;
  [shown, closedAt] = [null, Date.now()];
  asking?.abort();
  drawer().hidden = true;
  drawer().replaceChildren();
  cover(false);
  mark();
  (linkTo(last) ?? document.getElementById("main")).focus();
}

// On a phone the delivery is all there is to see, and to reach.
function cover(is) {
  for (const other of drawer().parentElement.children) if (other !== drawer()) other.inert = is;
  document.querySelector("header.top").inert = is;
}

function mark() {
  for (const old of document.querySelectorAll(".log tr[aria-current]")) old.removeAttribute("aria-current");
  if (shown) linkTo(shown)?.closest("tr").setAttribute("aria-current", "true");
}

// --- By keyboard ------------------------------------------------------------------------------------------------------

function leave(event) {
  if (!shown || document.querySelector("details.menu[open]")) return;
  event.preventDefault();
  close();
}

function step(event, down) {
  const link = document.activeElement;
  if (!link?.matches("a[data-drawer]")) return;
  const links = [...document.querySelectorAll("a[data-drawer]")];
  const next = links[links.indexOf(link) + (down ? 1 : -1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function turn(event, right) {
  if (!shown || !drawer().contains(document.activeElement)) return;
  // These scroll, or move the cursor.
  if (document.activeElement.matches("pre, input, select, textarea")) return;
  const older = right === (document.documentElement.dir !== "rtl");
  const link = drawer().querySelector(`nav a[rel="${older ? "next" : "prev"}"]`);
  if (!link) return;
  event.preventDefault();
  open(link.href, link.rel);
}

// --- Ticks ------------------------------------------------------------------------------------------------------------

function ticks() {
  return [...document.querySelectorAll("#log [name=delivery]")];
}

function count() {
  const button = document.querySelector("[data-ticked]");
  if (!button) return;
  const every = ticks();
  const ticked = every.filter((one) => one.checked).length;
  button.disabled = !ticked;
  button.querySelector("span").textContent = ticked ? button.dataset.ticked.replace("{count}", ticked) : button.dataset.none;
  const all = document.querySelector("[data-tick-all]");
  [all.checked, all.indeterminate] = [ticked > 0 && ticked === every.length, ticked > 0 && ticked < every.length];
}
