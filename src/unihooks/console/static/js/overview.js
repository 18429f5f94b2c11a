// The chart of a webhook: its times in the viewer's zone, a tooltip by pointer and keyboard, and arrows from bar to bar.

const language = document.documentElement.lang;
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { day: "numeric", month: "short" };
const time = new Intl.DateTimeFormat(language, CLOCK);
const day = new Intl.DateTimeFormat(language, DAY);
const both = new Intl.DateTimeFormat(language, { ...DAY, ...CLOCK });

document.addEventListener("DOMContentLoaded", settle);
document.addEventListener("htmx:after:settle", settle);

function settle() {
  for (const chart of document.querySelectorAll("[data-chart]:not([data-ready])")) {
    chart.dataset.ready = "";
    tellZone(chart);
    const bars = [...chart.querySelectorAll("a[data-at]")];
    for (const bar of bars) prepare(bar);
    // One stop for the Tab key; the arrows lead to the others.
    bars.at(-1)?.setAttribute("tabindex", "0");
    chart.addEventListener("pointerover", (event) => show(chart, event.target.closest("a[data-at]")));
    chart.addEventListener("pointerleave", () => show(chart, null));
    chart.addEventListener("focusin", (event) => show(chart, event.target.closest("a[data-at]")));
    chart.addEventListener("focusout", () => show(chart, null));
    chart.addEventListener("keydown", (event) => move(event, chart, bars));
  }
}

function tellZone(chart) {
  const first = chart.querySelector("time[data-axis]");
  const written = chart.dataset.step === "time" ? time : day;
  for (const tick of chart.querySelectorAll("time[data-axis]")) tick.textContent = written.format(new Date(tick.dateTime));
  const zone = chart.querySelector("[data-zone]");
  if (!first || !zone) return;
  const parts = new Intl.DateTimeFormat(language, { timeZoneName: "long" }).formatToParts(new Date(first.dateTime));
  zone.textContent = parts.find((part) => part.type === "timeZoneName")?.value ?? zone.textContent;
}

function prepare(bar) {
  const [start, end] = [bar.dataset.at, bar.dataset.until].map((text) => both.format(new Date(text)));
  bar.setAttribute("aria-label", bar.dataset.text.replace("{start}", start).replace("{end}", end));
  bar.querySelector("title")?.remove();
}

function show(chart, bar) {
  const tip = chart.querySelector(".tip");
  tip.hidden = !bar;
  if (!bar) return;
  const [start, end] = [new Date(bar.dataset.at), new Date(bar.dataset.until)];
  tip.querySelector("[data-when]").textContent = both.formatRange(start, end);
  for (const kind of ["good", "bad"]) tip.querySelector(`[data-sum=${kind}]`).textContent = bar.dataset[kind];
  const [box, place] = [chart.getBoundingClientRect(), bar.querySelector(".hit").getBoundingClientRect()];
  const wanted = place.left + place.width / 2 - box.left - tip.offsetWidth / 2;
  tip.style.insetInlineStart = "auto";
  tip.style.left = `${Math.max(0, Math.min(wanted, box.width - tip.offsetWidth))}px`;
  tip.style.top = `${place.top - box.top - tip.offsetHeight - 6}px`;
}

function move(event, chart, bars) {
  if (event.key === "Escape") return show(chart, null);
  const at = bars.indexOf(document.activeElement);
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
  if (at < 0 || next === undefined || !bars[next]) return;
  event.preventDefault();
  bars[at].setAttribute("tabindex", "-1");
  bars[next].setAttribute("tabindex", "0");
  bars[next].focus();
}
