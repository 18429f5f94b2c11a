// What pages gain from JavaScript besides htmx: menus that close, copying, local times, and the focus after an answer.

const EXACT = new Intl.DateTimeFormat(Steady.LOCALE, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  hourCycle: "h23", timeZoneName: "short",
});
const SHORT = new Intl.DateTimeFormat(Steady.LOCALE, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

Steady.local = local;

document.addEventListener("click", (event) => {
  closeMenus(event.target);
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.menu[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});

document.addEventListener("DOMContentLoaded", () => settle(document));
document.addEventListener("htmx:after:settle", () => settle(document));

function settle(root) {
  // Only where a click can copy is there a button for it.
  if (navigator.clipboard) for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  local(root);
  focusOn(root.querySelector("form[data-refused]"), "[aria-invalid]", "refused");
  focusOn(root, "[data-focus]");
}

// <time datetime>: its title is the viewer's own time. `data-exact` (or `data-exact="short"`): its text is, too.
function local(root) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const value = new Date(time.dateTime);
    time.dataset.local = "";
    if (Number.isNaN(value.getTime())) continue;
    const exact = EXACT.format(value);
    if (time.dataset.exact === "") time.textContent = exact;
    else if (time.dataset.exact === "short") time.textContent = SHORT.format(value);
    time.title = time.title ? `${exact} · ${time.title}` : exact;
  }
}

// After a response without a new page, continue where a new page would have begun: at the refused field, step or row.
function focusOn(place, selector, mark) {
  const wanted = [...(place?.querySelectorAll(selector) ?? [])].find((element) => element.offsetParent);
  if (mark && place) delete place.dataset[mark];
  if (!wanted) return;
  wanted.removeAttribute("data-focus");
  wanted.focus();
}

function closeMenus(target) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
}

async function copy(button) {
  const label = button.querySelector("span");
  const before = label.textContent;
  await navigator.clipboard.writeText(button.dataset.copy);
  label.textContent = button.dataset.copied;
  setTimeout(() => { label.textContent = before; }, 1500);
}
