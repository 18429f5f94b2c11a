"""What a page must fulfil for those who read it with other eyes, on other screens, or point with other hands."""

from __future__ import annotations

from typing import Any

import pytest
from console_pages import fits

LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced": {"forced_colors": "active"},
}
# What slides in is half transparent at first, so that its contrast would be too low.
_STANDS_STILL = """() => Promise.allSettled(
  document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime < Infinity).map((one) => one.finished)
).then(() => null)"""
# What a finger or a trembling hand must hit is at least 24 pixels high and wide, and a menu of a row 32. A link inside
# of a sentence is as high as its line. Where a narrow bar of a chart leads, a row of the table below it leads as well.
_SMALL_TARGETS = """() => {
  const all = "a[href], button, input:not([type=hidden]), select, textarea, summary";
  const box = "input[type=checkbox], input[type=radio]";
  const seen = { opacityProperty: true, visibilityProperty: true };
  // The same deliveries have links in the table of a chart.
  const inChart = (one) => one.closest("svg") && one.closest(".chart")?.parentElement.querySelector("table a");
  const inText = (one) => getComputedStyle(one).display === "inline" && one.closest("p, li, dd, td, label, span");
  return [...document.querySelectorAll(all)]
    .filter((one) => one.checkVisibility(seen) && !one.closest(".sr-only, .skip, [aria-hidden=true], :disabled, .plot"))
    .filter((one) => !inText(one) && !inChart(one))
    .map((one) => {
      const { width, height } = (one.matches(box) ? one.closest("label") ?? one : one).getBoundingClientRect();
      const least = one.matches("td .menu > summary") ? 32 : 24;
      return { width, height, least, what: one.outerHTML.slice(0, 120) };
    })
    .filter(({ width, height, least }) => width && (width < least - 0.5 || height < least - 0.5))
    .map(({ width, height, what }) => `${Math.round(width)}x${Math.round(height)} ${what}`);
}"""


def check(page: Any, what: str) -> None:
    """Check what a page shows now: axe finds nothing, nothing is too wide, and no target is too small."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: use `nox -s e2e`")
    page.evaluate(_STANDS_STILL)
    found = axe.Axe().run(page).response["violations"]
    assert not [(what, one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found]
    assert fits(page), what
    assert not page.evaluate(_SMALL_TARGETS), what
