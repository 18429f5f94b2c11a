"""The first view of a page loads less than 60 kB over the wire, and only one style sheet blocks its paint."""

from __future__ import annotations

import re
from html import unescape

import pytest

from unihooks import EventSubscription, Webhook

from .test_assets import raw

MOST = 60_000
MOST_OF_STYLES = 15_000
MOST_OF_SCRIPTS = 25_000
# A request and the headers of its response.
HEADERS = 900


@pytest.fixture
def pages(dispatcher, webhook, receiver) -> dict[str, str]:
    """Return the most visited pages, with as much content as they can show."""
    receiver.on("/hooks").answer(*[204, 500] * 30)
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    for number in range(30):
        dispatcher.webhooks.add(
            Webhook(
                name=f"Integration {number} of a customer with many",
                description=f"Copies all messages of number {number * 7919} to the system",
                endpoints=[f"https://system-{number}-{at}.example.com/hooks/{number * 104729}" for at in range(3)],
                subscriptions=[EventSubscription("whatsapp", "message.read"), EventSubscription("sms", "sent")],
            ),
            tenant="acme",
        )
    for number in range(60):
        payload = {"sender": {"id": number}, "content": {"text": f"Message {number}"}}
        dispatcher.emit("whatsapp", "message.received", payload, tenant="acme", subject=f"chat/{number}")
    dispatcher.drain()
    delivery = dispatcher.log.deliveries(tenant="acme", state="pending")[0]
    return {
        "list": "/",
        "form": "/new",
        "webhook": f"/webhooks/{webhook.id}",
        "log": "/deliveries",
        "delivery": f"/deliveries/{delivery.id}",
    }


async def test_first_view_of_a_page_is_light(browser, pages):
    for name, path in pages.items():
        answer = await browser.get(path)
        _, body = await raw(browser, answer.url.path)
        sizes = {"page": len(body)}
        for link in re.findall(r'(?:href|src)="(/static/[^"]+)"', unescape(answer.text)):
            _, sent = await raw(browser, link)
            sizes[link] = len(sent)
        assert sum(sizes.values()) + HEADERS * len(sizes) < MOST, (name, sizes)
        assert sum(size for link, size in sizes.items() if link.endswith(".css")) < MOST_OF_STYLES
        assert sum(size for link, size in sizes.items() if link.endswith(".js")) < MOST_OF_SCRIPTS


async def test_paint_waits_for_one_style_sheet_and_no_script(browser, pages):
    for path in pages.values():
        head = (await browser.get(path)).text.partition("</head>")[0]
        assert len(re.findall(r'rel="stylesheet"', head)) == 1
        assert all(" defer" in tag for tag in re.findall(r"<script[^>]*>", head))
        assert "@import" not in (await browser.get("/static/console.css")).text
