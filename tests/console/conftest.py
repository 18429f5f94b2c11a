"""A console on a real SQLite store, used in process as a browser would."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from console_browser import CANARY, Browser

from unihooks import Catalog, Dispatcher, EventSubscription, HeaderSet, PayloadMapping, RetryPolicy, Webhook
from unihooks.console import Permission, Viewer, create_console
from unihooks.stores import MemoryStore


@pytest.fixture
def catalog() -> Catalog:
    catalog = Catalog()
    whatsapp = catalog.add_product("whatsapp", title="WhatsApp", description="Messages of your numbers")
    whatsapp.add_event(
        "message.received",
        title="Message received",
        description="Somebody wrote to you",
        example={"sender": {"id": 7, "name": "Ada"}, "content": {"text": "Hi"}, "tags": [{"k": 1}]},
        schema={
            "type": "object",
            "required": ["sender"],
            "properties": {"sender": {"type": "object", "description": "Who wrote"}, "content": {"type": "object"}},
        },
    )
    whatsapp.add_event("message.read", title="Message read", example={"id": 1})
    catalog.add_product("sms").add_event("sent")
    return catalog


@pytest.fixture
def dispatcher_options() -> dict[str, Any]:
    """Return what the host chooses of its dispatcher; some tests choose otherwise."""
    return {}


@pytest.fixture
def dispatcher(catalog, receiver, dispatcher_options) -> Iterator[Dispatcher]:
    with Dispatcher(
        MemoryStore(),
        catalog=catalog,
        targets=receiver.targets,
        ssl_context=receiver.ssl_context,
        retries=RetryPolicy.from_delays([600]),
        egress_ips=["157.175.105.131"],
        **dispatcher_options,
    ) as dispatcher:
        yield dispatcher


@pytest.fixture
def emit(dispatcher) -> Callable[..., None]:
    """Return a function that emits messages for acme, and then delivers what is due."""

    def emit(count: int = 1, payload: Any = None, **options: Any) -> None:
        for _ in range(count):
            dispatcher.emit("whatsapp", "message.received", payload or {"sender": {}}, tenant="acme", **options)
        dispatcher.drain()

    return emit


@pytest.fixture
def add_webhook(dispatcher, receiver) -> Callable[..., Webhook]:
    """Return a function that adds an active webhook for all events of a product."""

    def add(name: str, product: str = "whatsapp", *, host: str = "crm.example.com", tenant: str = "acme") -> Webhook:
        url, subscription = receiver.url_for("/hooks", host=host), EventSubscription(product, "*")
        webhook = Webhook(name=name, endpoints=[url], subscriptions=[subscription], status="active")
        return dispatcher.webhooks.add(webhook, tenant=tenant)

    return add


@pytest.fixture
def authenticate():
    """Return a function that finds the viewer in the test's own headers."""

    def viewer_from_headers(request) -> Viewer | None:
        tenant = request.headers.get("x-tenant")
        permissions = request.headers.get("x-permissions", "read,write,send,secrets").split(",")
        return None if tenant is None else Viewer(tenant, "Ada", set(map(Permission, permissions)))

    return viewer_from_headers


@pytest.fixture
def console(dispatcher, authenticate):
    return create_console(dispatcher, authenticate=authenticate)


@pytest.fixture
async def browser(console) -> AsyncIterator[Browser]:
    browser = Browser(console, {"x-tenant": "acme"})
    yield browser
    await browser.client.aclose()


@pytest.fixture
async def browse(console) -> AsyncIterator[Callable[..., Browser]]:
    opened: list[Browser] = []

    def browse(tenant: str | None = "acme", permissions: str | None = None, app=console, **headers: str) -> Browser:
        given = {"x-tenant": tenant, "x-permissions": permissions}
        opened.append(Browser(app, {**{name: value for name, value in given.items() if value}, **headers}))
        return opened[-1]

    yield browse
    for one in opened:
        await one.client.aclose()


@pytest.fixture
def webhook(dispatcher, receiver) -> Webhook:
    """Return an inactive webhook of the tenant acme."""
    return dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            endpoints=[receiver.url_for("/hooks", host="crm.example.com")],
            description="Copies messages",
            subscriptions=[EventSubscription("whatsapp", "message.received")],
            mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
            headers=HeaderSet({"Authorization": f"Bearer {CANARY}"}),
        ),
        tenant="acme",
    )
