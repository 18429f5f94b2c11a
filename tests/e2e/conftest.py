"""A console that is served with its worker and receiver, and a browser that records every error and foreign request."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from console_pages import browsing
from console_site import EGRESS_IP, PORTAL_SECRET, Site, catalog, serving, viewer_from_cookie
from starlette.applications import Starlette
from starlette.routing import Mount

from unihooks import Dispatcher, RetryPolicy, Webhook
from unihooks.console import create_console
from unihooks.stores import SQLiteStore
from unihooks.testing import Receiver

SCREENSHOTS = "UNIHOOKS_SCREENSHOTS"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATH = "/developers/webhooks"


@pytest.fixture
def site(tmp_path) -> Iterator[Site]:
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
        serving(_host(dispatcher)) as url,
    ):
        yield Site(f"{url}{PATH}", dispatcher, receiver)


def _host(dispatcher: Dispatcher) -> Starlette:
    console = create_console(dispatcher, secret=PORTAL_SECRET, authenticate=viewer_from_cookie)
    return Starlette(routes=[Mount(PATH, app=console)])


@pytest.fixture
def webhook(site) -> Webhook:
    """Give the customer's webhook, switched on."""
    return site.add_webhook()


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
    """Open pages as a viewer of a tenant; nothing may go wrong on them."""
    with browsing(chromium, site) as open_page:
        yield open_page


@pytest.fixture
def rough(chromium, site) -> Iterator[Callable[..., object]]:
    """Open pages as a viewer of a tenant; their requests may fail, and no script may fail for that."""
    with browsing(chromium, site, may_fail=True) as open_page:
        yield open_page


@pytest.fixture
def shoot():
    """Save a screenshot for the documentation, if that is asked for."""

    def keep(page, name: str) -> None:
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return keep
