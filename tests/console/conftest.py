"""A console on a real SQLite store, used in process as a browser would."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from html import unescape
from html.parser import HTMLParser

import httpx
import pytest

from unihooks import Catalog, Dispatcher, EventSubscription, HeaderSet, PayloadMapping, RetryPolicy, Webhook
from unihooks.console import Permission, Viewer, create_console
from unihooks.stores import SQLiteStore
from unihooks.testing import Receiver

HOST = "https://console.example.com"
CANARY = "canary-4711-never-shown"


class FormReader(HTMLParser):
    """A parser of what a browser without JavaScript would send for the form with an id."""

    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self.buttons: list[str] = []
        self._wanted, self._inside, self._select, self._area = form_id, False, "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._inside = given.get("id") == self._wanted
        name, value = given.get("name") or "", given.get("value") or ""
        if not self._inside:
            return
        if tag == "button":
            self.buttons.append(value)
        elif tag == "input" and (given.get("type") not in ("checkbox", "radio") or "checked" in given):
            self.fields.append((name, value))
        elif tag == "textarea":
            self._area = name
            self.fields.append((name, ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in given:
            self.fields.append((self._select, value))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"
        self._area = "" if tag == "textarea" else self._area

    def handle_data(self, data: str) -> None:
        if self._area:
            name, value = self.fields[-1]
            self.fields[-1] = (name, value + data)


def fields_of(answer: httpx.Response, form_id: str = "draft") -> list[tuple[str, str]]:
    reader = FormReader(form_id)
    reader.feed(answer.text)
    return reader.fields


class Browser:
    """A client that uses the console as one viewer, keeps cookies, and sends forms with their token."""

    def __init__(self, app, headers: dict[str, str]) -> None:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers, follow_redirects=True)

    async def get(self, path: str, **rest) -> httpx.Response:
        return await self.client.get(path, **rest)

    async def draft(self) -> str:
        """Return the path of the first step of a new draft."""
        return (await self.get("/new?fresh=1")).url.path

    async def token(self, path: str = "/") -> str:
        return found[1] if (found := re.search(r'name="csrf" value="([0-9a-f]+)"', (await self.get(path)).text)) else ""

    async def post(self, path: str, fields=(), *, token: str = "", **rest) -> httpx.Response:
        token = token or await self.token()
        pairs = [*(fields.items() if isinstance(fields, dict) else fields), ("csrf", token)]
        content = str(httpx.QueryParams(pairs))
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "sec-fetch-site": "same-origin",
            **rest.pop("headers", {}),
        }
        return await self.client.post(path, content=content, headers=headers, **rest)

    async def press(
        self, answer: httpx.Response, go: str, changes: dict[str, str | list[str]] | None = None, form_id: str = "draft"
    ) -> httpx.Response:
        """Fill in a form of a page and press one of its buttons."""
        changed = changes or {}
        fields = [pair for pair in fields_of(answer, form_id) if pair[0] not in changed]
        for name, values in changed.items():
            fields += [(name, value) for value in ([values] if isinstance(values, str) else values)]
        headers = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        content = str(httpx.QueryParams([*fields, ("go", go)]))
        return await self.client.post(answer.url, content=content, headers=headers)


def text_of(answer: httpx.Response) -> str:
    """Return the text that a person reads: without tags, and with white space collapsed."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.text)))


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
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def dispatcher(tmp_path, catalog, receiver) -> Iterator[Dispatcher]:
    with Dispatcher(
        SQLiteStore(tmp_path / "webhooks.db"),
        catalog=catalog,
        targets=receiver.targets,
        ssl_context=receiver.ssl_context,
        retries=RetryPolicy.from_delays([600]),
        egress_ips=["157.175.105.131"],
    ) as dispatcher:
        yield dispatcher


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
