"""The API of a console over a real store, called in process as viewers of two tenants and as an operator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from attrs import define

from unihooks import Catalog, Dispatcher, EventSubscription, HeaderSet, RetryPolicy, Webhook
from unihooks.console import Limiter, Permission, Rate, Rates, Viewer, create_console
from unihooks.stores import MemoryStore

HOST = "https://console.example.com"
CANARY = "canary-4711-never-shown"
SECRET = "whsec_" + "Q" * 43 + "="


@define
class Api:
    """A client of one viewer; the host lets in the viewer that the headers name."""

    app: Any
    tenant: str = "acme"
    permissions: str = "read write send secrets"

    async def ask(self, method: str, path: str, **rest: Any) -> httpx.Response:
        headers = {"x-tenant": self.tenant, "x-permissions": self.permissions, **rest.pop("headers", {})}
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            return await client.request(method, f"/api{path}", headers=headers, **rest)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.ask("GET", path, **({"params": query} if query else {}))

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.ask("POST", path, json={} if body is None else body, headers=headers)

    async def patch(self, path: str, body: Any) -> httpx.Response:
        return await self.ask("PATCH", path, json=body)

    async def delete(self, path: str) -> httpx.Response:
        return await self.ask("DELETE", path)


def authenticate(request):
    tenant = request.headers.get("x-tenant")
    return Viewer(tenant, "Ada", set(request.headers.get("x-permissions", "").split())) if tenant else None


@pytest.fixture
def dispatcher(receiver) -> Iterator[Dispatcher]:
    catalog = Catalog()
    chat = catalog.add_product("chat", title="Chat")
    chat.add_event("message.received", example={"text": "hi"})
    chat.add_event("message.sent")
    with Dispatcher(
        MemoryStore(),
        catalog=catalog,
        targets=receiver.targets,
        ssl_context=receiver.ssl_context,
        retries=RetryPolicy.from_delays([]),
        egress_ips=["192.0.2.7"],
    ) as dispatcher:
        yield dispatcher


@pytest.fixture
def rates() -> Rates:
    return Rates(tests=Limiter(Rate(5, 60)), replays=Limiter(Rate(5, 60)))


@pytest.fixture
def app(dispatcher, rates):
    return create_console(dispatcher, authenticate=authenticate, rates=rates)


@pytest.fixture
def api(app) -> Api:
    return Api(app)


@pytest.fixture
def webhook(dispatcher, receiver) -> Webhook:
    """Return an active webhook of acme, with a header and a secret that nobody may see."""
    added = dispatcher.webhooks.add(
        Webhook(
            name="CRM",
            endpoints=[receiver.url_for("/in")],
            subscriptions=[EventSubscription("chat", "*")],
            headers=HeaderSet({"Authorization": CANARY}),
            secrets=[SECRET],
        ),
        tenant="acme",
    )
    return dispatcher.webhooks.activate(added.id, tenant="acme")


@pytest.fixture
def delivery(dispatcher, webhook):
    """Return an existing delivery."""
    dispatcher.emit("chat", "message.received", {"text": "hi"}, tenant="acme")
    dispatcher.drain()
    return dispatcher.log.deliveries(tenant="acme")[0]


@pytest.fixture
def viewing(app) -> Callable[..., Api]:
    """Return a function that makes a client of another viewer."""

    def asking(tenant: str = "acme", *permissions: Permission) -> Api:
        return Api(app, tenant, " ".join(permissions))

    return asking
