"""Every page passes axe in both themes and languages, on desks and phones, in forced colours; targets can be hit."""

from __future__ import annotations

from itertools import product

import pytest

from unihooks import EventSubscription, HeaderSet, PayloadMapping, Webhook
from unihooks.testing import Answer

from .conftest import EXAMPLE

SIZES = {"desk": (1280, 900), "phone": (390, 800), "small": (320, 640)}
LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced": {"forced_colors": "active"},
}
# What a finger or a trembling hand must hit is at least 24 pixels high and wide, and a menu of a row 32. A link inside
# of a sentence is as high as its line.
SMALL_TARGETS = """() => {
  const all = "a[href], button, input:not([type=hidden]), select, textarea, summary";
  const box = "input[type=checkbox], input[type=radio]";
  const seen = { opacityProperty: true, visibilityProperty: true };
  const inText = (one) => getComputedStyle(one).display === "inline" && one.closest("p, li, dd, td, label, span");
  return [...document.querySelectorAll(all)]
    .filter((one) => one.checkVisibility(seen) && !one.closest(".sr-only, .skip, [aria-hidden=true], :disabled"))
    .filter((one) => !inText(one))
    .map((one) => {
      const target = one.matches(box) ? one.closest("label") ?? one : one;
      const { width, height } = target.getBoundingClientRect();
      const least = one.matches("td .menu > summary") ? 32 : one.matches(box) ? 18 : 24;
      return { width, height, least, what: one.outerHTML.slice(0, 120) };
    })
    .filter(({ width, height, least }) => width && (width < least - 0.5 || height < least - 0.5))
    .map(({ width, height, what }) => `${Math.round(width)}x${Math.round(height)} ${what}`);
}"""


@pytest.fixture
def paths(site) -> list[str]:
    """Return the paths of all pages, with data on them."""
    site.receiver.answer(*[204] * 8, Answer(500, body=b'{"error": "maintenance"}'), Answer(410))
    webhook = site.dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            description="Copies messages to the CRM",
            endpoints=[site.receiver.url_for("/hooks", host="crm.example.com")],
            subscriptions=[EventSubscription("whatsapp", "*")],
            mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
            headers=HeaderSet({"Authorization": "Bearer s3cr3t-of-crm"}),
            status="active",
        ),
        tenant="acme",
    )
    for number in range(1, 11):
        site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme")
        site.receiver.wait_for(number)
    # A drain returns when what was sent is recorded.
    site.dispatcher.drain()
    delivery = site.dispatcher.log.deliveries(tenant="acme")[0]
    own = f"/webhooks/{webhook.id}"
    sections = ("details", "endpoints", "events", "payload", "headers", "policy")
    settings = [f"{own}/settings", *(f"{own}/settings/{section}" for section in sections)]
    parts = [f"{own}{part}" for part in ("", "/deliveries", "/test", "/secret", "/delete")]
    site.dispatcher.jobs.replay(tenant="acme", webhook_id=webhook.id, state="failed")
    log = [
        "/deliveries",
        "/deliveries?to=2020-01-01T00:00",
        f"/deliveries/{delivery.id}",
        "/deliveries/replay",
        "/jobs",
    ]
    return ["/", "/?search=nothing", "/new", *parts, *settings, *log, "/events", "/operator"]


@pytest.mark.parametrize("look, size", [*product(LOOKS, ("desk", "small")), ("light", "phone")])
@pytest.mark.parametrize("locale", ["en", "ar"])
def test_axe_finds_nothing_nothing_is_too_wide_nor_too_small(site, browse, paths, look, locale, size, shoot):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: use `nox -s e2e`")
    width, height = SIZES[size]
    page = browse(locale=locale, viewport={"width": width, "height": height}, **LOOKS[look])
    for path in paths:
        page.goto(site.url + path)
        found = axe.Axe().run(page).response["violations"]
        assert not [(path, one["id"], one["nodes"][0]["target"]) for one in found]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert not page.evaluate(SMALL_TARGETS), path
        if (look, locale, size) == ("light", "en", "desk") and path.startswith("/webhooks/") and "?" not in path:
            shoot(page, f"webhook-{path.split('/')[3]}" if path.count("/") > 2 else "webhook")
