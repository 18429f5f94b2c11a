// Choosing events, renaming in place: what is quicker with JavaScript; the server does all of it too.
"use strict";

document.addEventListener("DOMContentLoaded", settle);
document.addEventListener("htmx:after:settle", settle);

document.addEventListener("input", (event) => {
  if (event.target.id === "find") search(event.target.value.trim().toLocaleLowerCase());
});

document.addEventListener("change", (event) => {
  const fold = event.target.name === "event" && event.target.closest(".fold");
  if (fold) choose(fold, event.target);
});

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (key === "Enter" && target.matches("#find, .condition input")) event.preventDefault();
  if (key === "Enter" && target.matches("[data-rename]")) {
    event.preventDefault();
    target.parentElement.querySelector("button").click();
  }
  if (key === "Escape") close(event);
});

document.addEventListener("toggle", (event) => {
  const input = event.target.open && event.target.matches?.(".rename") && event.target.querySelector("[data-rename]");
  if (!input) return;
  input.value ||= input.placeholder;
  input.focus();
  input.select();
}, true);

// What a viewer has opened stays open, and what was folded stays folded, when the form comes back from the server.
htmx.registerExtension("form", {
  htmx_before_morph_attr(element, { attrName, newValue }) {
    const isFold = element.matches(".fold > details");
    return attrName !== "open" || !(isFold || (element.matches("#draft details.field") && newValue === null));
  },
});

let back = "";
document.addEventListener("click", (event) => {
  const button = event.target.closest("#example button[name=go]");
  if (button) back = document.querySelector("#example input[name=example]").value;
});

function settle() {
  for (const fold of document.querySelectorAll(".fold")) count(fold);
  if (back && !document.getElementById("example")) document.querySelector(`button[value="example:${CSS.escape(back)}"]`)?.focus();
  if (!document.getElementById("example")) back = "";
}

function close(event) {
  const rename = event.target.closest(".rename[open]");
  if (rename) {
    rename.querySelector("[data-rename]").value = rename.querySelector("input[type=hidden]")?.value ?? "";
    rename.open = false;
    rename.querySelector("summary").focus();
  } else if (!event.target.closest("details.menu[open]")) {
    document.querySelector("#example button[name=go]")?.click();
  }
}

// All events of a product and single ones of it exclude each other.
function choose(fold, box) {
  if (box.checked) {
    const isEvery = box.matches(".every");
    for (const other of boxes(fold)) if (other !== box && other.matches(".every") !== isEvery) other.checked = false;
    if (isEvery) for (const other of boxes(fold)) other.checked = other === box;
  }
  count(fold);
}

function count(fold) {
  const [every, ...single] = boxes(fold);
  const label = fold.querySelector(".count");
  const begun = single.filter((box) => box.checked && "begins" in box.dataset).map((box) => box.value.slice(0, -1));
  const isBegun = (box) => begun.some((start) => box.value.startsWith(start));
  const types = single.filter((box) => !("begins" in box.dataset));
  for (const box of types) box.closest(".event").classList.toggle("begun", isBegun(box));
  const chosen = types.filter((box) => box.checked || isBegun(box)).length;
  every.indeterminate = !every.checked && single.some((box) => box.checked);
  fold.dataset.chosen = every.checked ? fold.dataset.total : chosen;
  label.textContent = every.checked ? label.dataset.all : label.dataset.some.replace("#", fold.dataset.chosen);
  const all = [...document.querySelectorAll(".fold")].reduce((sum, one) => sum + Number(one.dataset.chosen ?? 0), 0);
  document.getElementById("chosen-count").textContent = all;
}

function boxes(fold) {
  return [...fold.querySelectorAll("input[name=event]")];
}

function search(text) {
  const matches = (element) => element.textContent.toLocaleLowerCase().includes(text);
  let found = false;
  for (const fold of document.querySelectorAll(".fold")) {
    const named = matches(fold.querySelector("summary .grow"));
    const events = [...fold.querySelectorAll(".event")];
    for (const event of events) event.hidden = !(named || matches(event.querySelector("label")));
    fold.hidden = !(named || events.some((event) => !event.hidden));
    found ||= !fold.hidden;
    unfold(fold.querySelector("details"), text && !fold.hidden);
  }
  document.getElementById("none-found").hidden = found;
}

// What a search has unfolded is folded again when it ends.
function unfold(product, isFound) {
  if (isFound && !product.open) product.dataset.unfolded = "";
  if (isFound) product.open = true;
  else if ("unfolded" in product.dataset) {
    delete product.dataset.unfolded;
    product.open = false;
  }
}
