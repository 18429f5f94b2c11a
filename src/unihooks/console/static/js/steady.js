// What pages gain from JavaScript besides htmx; every essential action works without it.
"use strict";

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

// A page that nobody sees asks for nothing.
document.addEventListener("htmx:before:request", (event) => {
  if (document.hidden && event.detail.ctx.sourceEvent?.type === "every") event.preventDefault();
});

function settle(root) {
  // Only where a click can copy is there a button for it.
  if (navigator.clipboard) for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
  for (const time of root.querySelectorAll("time:not([data-local])")) {
    time.dataset.local = "";
    time.title += ` · ${new Date(time.dateTime).toLocaleString(document.documentElement.lang)}`;
  }
  focusOn(root.querySelector("form[data-refused]"), "[aria-invalid]", "refused");
  focusOn(root, "[data-focus]");
}

// After an answer without a new page, go on where a new page would have begun: at the refused field, step or row.
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
