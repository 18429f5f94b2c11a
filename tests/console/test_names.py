"""Customers see the host's name and never the library's: in pages, cookies, headers, code and documents."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest

from unihooks import EventSubscription, HeaderSet, Webhook
from unihooks.console.pages.settings import SECTIONS
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


async def crawl(browser, *starts: str) -> dict[str, httpx.Response]:
    """Return what is found at some paths, and wherever links lead from there; queries are left out."""
    waiting, found = list(starts), {}
    while waiting:
        path = waiting.pop()
        found[path] = await browser.get(path)
        links = {unescape(one).partition("?")[0] for one in re.findall(r'(?:href|src)="(/[^"]+)"', found[path].text)}
        waiting += links - set(found) - set(waiting)
    return found


async def test_the_library_is_named_in_nothing_that_customers_get(browse, console, dispatcher, webhook):
    browser = browse(permissions="read,write,send,secrets")
    delivery = dispatcher.log.deliveries(tenant="acme")[0]
    own = f"/webhooks/{webhook.id}"
    documents = ("/api/openapi.json", "/api/catalog/openapi.json", "/api/webhooks", "/api/nothing")
    found = await crawl(browser, "/", "/nothing", f"{own}/ready", *documents)
    assert {"/jobs", "/reference", "/events/asyncapi.json", f"/deliveries/{delivery.id}"} <= set(found)
    parts = ("test", "secret", "delete", *(f"settings/{name}" for name in SECTIONS))
    assert {f"{own}/{part}" for part in parts} <= set(found)
    assert sum(path.startswith("/static") for path in found) >= 3
    assert {path for path, answer in found.items() if answer.status_code != 200} == {"/nothing", "/api/nothing"}
    named = {path: names_in(answer) for path, answer in found.items()}
    assert not {path: names for path, names in named.items() if names}
    assert not [name for name in browser.client.cookies if "unihooks" in name.lower()]
    # What a viewer sends is shown with the host's own names.
    sent = found[f"/deliveries/{delivery.id}"].text
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
