// On a narrow screen, sections that do not fit are scrolled: the current one is in view.

document.addEventListener("DOMContentLoaded", show);
document.addEventListener("htmx:after:settle", show);

function show() {
  for (const current of document.querySelectorAll(".sections [aria-current], .tabs [aria-current]")) {
    const [bar, place] = [current.parentElement, current.getBoundingClientRect()];
    const frame = bar.getBoundingClientRect();
    if (place.left < frame.left || place.right > frame.right) bar.scrollLeft += place.left - frame.left - 24;
  }
}
