"""Every page passes axe in both themes and languages, on desks and phones, in forced colours; targets can be hit."""

from __future__ import annotations

import re
from itertools import product
from string import Formatter

import httpx
import pytest
from accessibility import LOOKS, check
from console_pages import row
from console_site import AUTHORIZATION, EXAMPLE, PORTAL_SECRET
from starlette.routing import Route

from unihooks import EventSubscription, HeaderSet, PayloadMapping
from unihooks.console import Permission, Viewer, portal_link
from unihooks.console.pages import page_routes
from unihooks.console.views.reference import chapters
from unihooks.testing import Answer

# They respond with a file, a redirect, or a page only for a link that was just made.
NO_PAGES = {"openapi", "asyncapi", "static", "edit", "portal", "tenant"}
STEPS = ("details", "events", "payload", "headers", "review")
SECTIONS = ("details", "endpoints", "events", "payload", "headers", "policy")

# Of the pages, so that no test takes minutes.
PARTS = 3
FAILURE = Answer(500, body=b'{"error": {"code": 17, "fatal": false}}')
SIZES = {"desk": (1280, 900), "phone": (390, 800), "small": (320, 640)}


@pytest.fixture
def paths(site) -> list[str]:
    """Return the paths of all pages, with data on them: a page of a new route is among them by itself."""
    site.receiver.answer(*[204] * 8, FAILURE, Answer(410))
    webhook = site.add_webhook(
        description="Copies messages to the CRM",
        subscriptions=[EventSubscription("whatsapp", "*")],
        mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
        headers=HeaderSet({"Authorization": AUTHORIZATION}),
    )
    for _ in range(10):
        site.emit()
    delivery = site.deliveries()[0]
    job = site.dispatcher.jobs.replay(tenant="acme", webhook_id=webhook.id, state="failed")
    parts = {
        "webhook_id": [webhook.id],
        "endpoint_id": [webhook.endpoints[0].id],
        "delivery_id": [delivery.id],
        "job_id": [job.id],
        "section": SECTIONS,
        "draft_id": [draft_of(site)],
        "step": STEPS,
        "chapter": [tag.lower() for tag in chapters(Viewer("acme", permissions=set(Permission)))],
        "worker_id": [one.id for one in site.dispatcher.overview().stats.workers],
    }
    link = portal_link(site.url, Viewer("globex", "Grace Hopper"), secret=PORTAL_SECRET).removeprefix(site.url)
    more = [
        link,
        "/operator/tenant?name=acme",
        "/?search=nothing",
        "/deliveries?to=2020-01-01T00:00",
    ]
    return [*(path for route in pages() for path in filled(route.path, parts)), *more]


def draft_of(site) -> str:
    """Begin a webhook, let something arrive at its test receiver, and return the id of its draft."""
    header = {"header_name": "Authorization", "header_value": AUTHORIZATION, "header_choice": "new"}
    typed = {
        "details": {
            "name": "Half done",
            "endpoint_id": ["", ""],
            "endpoint_url": ["https://example.com/in", "b.example"],
        },
        "events": {"event": "whatsapp message.received"},
        "headers": header,
    }
    with httpx.Client(cookies={"tenant": "acme"}, follow_redirects=True) as client:
        page = client.get(f"{site.url}/new")
        token = re.findall(r'name="csrf" value="([0-9a-f]+)"', page.text)[0]
        for step, fields in typed.items():
            path = str(page.url).replace("/details", f"/{step}")
            assert client.post(path, data={"csrf": token, "go": "next", **fields}).status_code in (200, 422)
        draft_id = page.url.path.split("/new/")[1].split("/")[0]
        receiver = re.search(r"/receive/[\w.~-]+", client.get(f"{site.url}/new/{draft_id}/receiver").text)[0]
        assert client.post(f"{site.url}{receiver}", json=EXAMPLE).is_success
        return draft_id


def pages() -> list[Route]:
    return [
        one for one in page_routes() if isinstance(one, Route) and "GET" in one.methods and one.name not in NO_PAGES
    ]


def filled(path: str, parts: dict[str, list[str]]) -> list[str]:
    """Return the paths of a route with each value of its parts."""
    names = [name for _, name, _, _ in Formatter().parse(path) if name]
    return [path.format(**dict(zip(names, values, strict=True))) for values in product(*(parts[one] for one in names))]


@pytest.mark.parametrize("look, size", [*product(LOOKS, ("desk", "small")), ("light", "phone")])
@pytest.mark.parametrize("locale", ["en", "ar"])
@pytest.mark.parametrize("part", range(PARTS))
def test_axe_finds_nothing_nothing_is_too_wide_nor_too_small(site, browse, paths, look, locale, size, part, shoot):
    width, height = SIZES[size]
    page = browse(locale=locale, viewport={"width": width, "height": height}, reduced_motion="reduce", **LOOKS[look])
    for path in paths[part::PARTS]:
        assert page.goto(site.url + path).ok, path
        check(page, path)
        if (look, locale, size) == ("light", "en", "desk") and path.startswith("/webhooks/") and "?" not in path:
            shoot(page, f"webhook-{path.split('/')[3]}" if path.count("/") > 2 else "webhook")


@pytest.mark.parametrize("look, size", [("light", "desk"), ("dark", "small"), ("forced", "desk")])
@pytest.mark.parametrize("locale", ["en", "ar"])
def test_axe_finds_nothing_in_what_opens(site, browse, paths, look, locale, size):
    width, height = SIZES[size]
    page = browse(locale=locale, viewport={"width": width, "height": height}, reduced_motion="reduce", **LOOKS[look])
    page.goto(f"{site.url}/")
    page.locator("td .menu > summary").first.click()
    check(page, "the menu of a row")
    page.goto(f"{site.url}/deliveries")
    if size != "desk":
        page.locator(".sheet-opener").click()
        page.locator(".sheet:target").wait_for()
        check(page, "the filters as a sheet")
        page.locator(".sheet-closer").click()
    failed = next(one for one in site.deliveries() if one.status_code == FAILURE.status)
    row(page, failed).get_by_role("link").click()
    page.locator("#drawer #delivery").wait_for()
    check(page, "the drawer of a delivery")
    page.goto(next(site.url + path for path in paths if path.endswith("/secret")))
    page.locator("form[action$='/secret'], form[action$='/reveal']").first.locator("button").click()
    page.locator("[data-secret]").first.wait_for()
    check(page, "a secret that is shown")
