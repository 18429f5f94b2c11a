"""Every page passes axe, light and dark, from left to right and from right to left, on a desk and on a phone."""

from __future__ import annotations

import pytest

from unihooks import EventSubscription, HeaderSet, PayloadMapping, Webhook
from unihooks.testing import Answer

from .conftest import EXAMPLE

SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 800}}


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
    steps = [f"{own}/edit?step={step}" for step in ("details", "events", "mapping", "headers", "review")]
    parts = [f"{own}{part}" for part in ("", "/deliveries", "/test", "/secret", "/delete")]
    site.dispatcher.jobs.replay(tenant="acme", webhook_id=webhook.id, state="failed")
    log = [
        "/deliveries",
        "/deliveries?to=2020-01-01T00:00",
        f"/deliveries/{delivery.id}",
        "/deliveries/replay",
        "/jobs",
    ]
    return ["/", "/?search=nothing", "/new", *parts, *steps, *log, "/events", "/operator"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("locale", ["en", "ar"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_no_page_is_wider_than_the_screen(site, browse, paths, scheme, locale, size, shoot):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: use `nox -s e2e`")
    page = browse(color_scheme=scheme, locale=locale, viewport=SIZES[size])
    for path in paths:
        page.goto(site.url + path)
        found = axe.Axe().run(page).response["violations"]
        assert not [(path, one["id"], one["nodes"][0]["target"]) for one in found]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        if (scheme, locale, size) == ("light", "en", "desk") and path.startswith("/webhooks/") and "?" not in path:
            shoot(page, f"webhook-{path.split('/')[3]}" if path.count("/") > 2 else "webhook")
