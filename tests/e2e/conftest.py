"""A console with a worker and a receiver, all real, and a browser that records every error and foreign request."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen
from starlette.applications import Starlette
from starlette.routing import Mount

from unihooks import Catalog, Dispatcher, RetryPolicy
from unihooks.console import Permission, Viewer, create_console
from unihooks.stores import SQLiteStore
from unihooks.testing import Receiver

SCREENSHOTS = "UNIHOOKS_SCREENSHOTS"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
EGRESS_IP = "157.175.105.131"
PORTAL_SECRET = "a secret of the host's, of 32 or more"
EXAMPLE = {
    "messageId": "4ac6890b-1756-4d6d-8a11-2b9c6d0e4f10",
    "sender": {"contact": "+966500000001", "name": "Sara"},
    "content": {"type": "text", "text": "Hello"},
}
SCHEMA = {
    "type": "object",
    "required": ["messageId", "sender"],
    "properties": {
        "messageId": {"type": "string", "description": "Identifies the message"},
        "sender": {
            "type": "object",
            "properties": {"contact": {"type": "string", "description": "Phone number"}, "name": {"type": "string"}},
        },
        "content": {"type": "object", "properties": {"type": {"enum": ["text", "image"]}, "text": {"type": "string"}}},
    },
}


@frozen
class Site:
    """A console that runs below a path of a host, with its dispatcher and receiver."""

    url: str
    dispatcher: Dispatcher
    receiver: Receiver


def catalog() -> Catalog:
    offered = Catalog()
    whatsapp = offered.add_product("whatsapp", title="WhatsApp", description="Messages of your numbers")
    whatsapp.add_event(
        "message.received",
        title="Message received",
        description="Somebody wrote to one of your numbers",
        example=EXAMPLE,
        schema=SCHEMA,
    )
    whatsapp.add_event("message.read", title="Message read", example={"messageId": "4ac6890b", "status": "read"})
    offered.add_product("sms", title="SMS").add_event("sent", title="SMS sent", example={"id": 1, "to": "+966500000"})
    return offered


def viewer_from_cookie(request) -> Viewer | None:
    tenant = request.cookies.get("tenant")
    permissions = request.cookies.get("permissions", "read-write-send-secrets-operate").split("-")
    return Viewer(tenant, "Ada Lovelace", set(map(Permission, permissions))) if tenant else None


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
    import uvicorn

    with (
        Receiver() as receiver,
        Dispatcher(
            SQLiteStore(tmp_path / "webhooks.db"),
            catalog=catalog(),
            targets=receiver.targets,
            ssl_context=receiver.ssl_context,
            retries=RetryPolicy.from_delays([600]),
            egress_ips=[EGRESS_IP],
        ) as dispatcher,
        dispatcher.running(),
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        console = create_console(dispatcher, secret=PORTAL_SECRET, authenticate=viewer_from_cookie)
        app = Starlette(routes=[Mount("/developers/webhooks", app=console)])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}/developers/webhooks", dispatcher, receiver)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: use `nox -s e2e`")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium was found: install it, as with `apt-get install chromium`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browse(chromium, site) -> Iterator[Callable[..., object]]:
    """Open pages as a viewer of a tenant; at the end, check that none had an error or asked another host."""
    wrong: list[str] = []
    contexts = []

    def open_page(tenant: str = "acme", **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.add_cookies([{"name": "tenant", "value": tenant, "url": site.url}])
        page = context.new_page()
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: _is_foreign(request.url, site.url) and wrong.append(request.url))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def shoot():
    """Save a screenshot for the documentation, if that is asked for."""

    def keep(page, name: str) -> None:
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return keep


def _is_foreign(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "about:"))
