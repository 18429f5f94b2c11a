"""Customers see the host's name and never the library's: in pages, cookies, headers, code and documents."""

from __future__ import annotations

import re

import pytest

from unihooks import EventSubscription, HeaderSet, Webhook
from unihooks.testing import Answer


@pytest.fixture
def dispatcher_options():
    return {"header_prefix": "acme", "user_agent": "Acme-Webhooks/1.0", "operational_events": True}


@pytest.fixture
def webhook(dispatcher, receiver):
    receiver.answer(204, Answer(503), Answer(500))
    webhook = dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            endpoints=[receiver.url_for("/hooks", host="crm.example.com")],
            subscriptions=[EventSubscription("whatsapp", "message.read")],
            headers=HeaderSet({"Authorization": "Bearer s3cr3t"}),
            status="active",
        ),
        tenant="acme",
    )
    for _ in range(2):
        dispatcher.emit("whatsapp", "message.read", {"id": 1}, tenant="acme")
    dispatcher.drain(timeout=20)
    return webhook


def names_in(answer) -> set[str]:
    headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items())
    # Hashes of files may begin with any letters.
    return {found.group() for found in re.finditer("(?i).{0,40}unihooks.{0,40}", f"{headers}\n{answer.text}")}


async def test_the_library_is_named_in_nothing_that_customers_get(browse, console, dispatcher, webhook):
    browser = browse(permissions="read,write,send,secrets")
    delivery = dispatcher.log.deliveries(tenant="acme")[0]
    own = f"/webhooks/{webhook.id}"
    paths = [
        "/",
        "/new",
        "/deliveries",
        f"/deliveries/{delivery.id}",
        "/deliveries/replay",
        "/jobs",
        "/events",
        "/nothing",
    ]
    paths += [f"{own}{part}" for part in ("", "/deliveries", "/test", "/settings", "/secret", "/delete", "/ready")]
    sections = ("details", "endpoints", "events", "payload", "headers", "policy")
    paths += [f"{own}/settings/{section}" for section in sections]
    paths += [
        "/nothing",
        "/reference",
        "/events/openapi.json",
        "/events/asyncapi.json",
        "/api/openapi.json",
        "/api/v1/webhooks",
    ]
    start = (await browser.get("/")).text
    paths += re.findall(r'(?:href|src)="(/(?:static|brand)[^"]+)"', start)
    assert sum(path.startswith("/static") for path in paths) >= 3
    found = {path: names_in(await browser.get(path)) for path in paths}
    assert not {path: names for path, names in found.items() if names}
    assert not [name for name in browser.client.cookies if "unihooks" in name.lower()]
    # What a viewer sends is shown with the host's own names.
    sent = (await browser.get(f"/deliveries/{delivery.id}")).text
    assert "acme-event" in sent
    assert "Acme-Webhooks/1.0" in sent


async def test_documents_of_events_and_refused_headers_follow_the_hosts_prefix(browser, webhook):
    for path in ("/events/openapi.json", "/events/asyncapi.json"):
        assert "acme-event" in (await browser.get(path)).text
    page = await browser.get(f"/webhooks/{webhook.id}/settings/headers")
    answer = await browser.press(page, "save", {"header_name": "acme-x", "header_value": "1", "header_choice": "new"})
    assert "The header acme-x is set with every request. Remove it." in answer.text


async def test_refused_requests_name_nothing(browse, webhook):
    for path, permissions in (("/webhooks/wh_x", "read"), ("/new", "read")):
        assert not names_in(await browse(permissions=permissions).get(path))
    assert not names_in(await browse(tenant=None).get("/"))
