"""What a person at a browser does with a page of the console, what the page shows, and how its requests may fail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from console_site import Site

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 800}
ROWS = "#results tbody tr"
TYPED = '{"messageId": "typed by hand", "sender": {}}'
# What Chromium and htmx say of a request that a test lets fail.
_FAILED_REQUEST = re.compile(r"Failed to load resource|htmx:error")


@contextmanager
def browsing(chromium: Any, site: Site, *, may_fail: bool = False) -> Iterator[Callable[..., Any]]:
    """Give what opens pages as a viewer of a tenant, or as a stranger; at the end, check that none went wrong.

    An error and a request to another host are wrong; where requests may fail, what a browser says of that is not, and
    a dialog is the test's to answer.
    """
    wrong: list[str] = []

    def note(message: Any) -> None:
        if message.type == "error" and not (may_fail and _FAILED_REQUEST.search(message.text)):
            wrong.append(message.text)

    def open_page(tenant: str | None = "acme", **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": DESK, **options})
        contexts.callback(context.close)
        context.set_default_timeout(10_000)
        if tenant:
            sign_in(context, site, tenant)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: _is_foreign(request.url, site.url) and wrong.append(request.url))
        if not may_fail:
            page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        return page

    with ExitStack() as contexts:
        yield open_page
    assert not wrong


def _is_foreign(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "about:"))


def sign_in(context: Any, site: Site, tenant: str = "acme") -> None:
    """Let the host know a browser as a viewer of a tenant."""
    context.add_cookies([{"name": "tenant", "value": tenant, "url": site.url}])


def sign_out(context: Any) -> None:
    """End the session at the host, as its time does."""
    context.clear_cookies(name="tenant")


# What is pressed.


def press(page: Any, value: str) -> None:
    """Press a button of the form in which a webhook is entered or changed."""
    page.locator(f'#draft button[name=go][value="{value}"]:visible:not(.sr-only)').click()


def enter(field: Any, text: str) -> None:
    """Type into a field of filters, and ask for what fits."""
    field.fill(text)
    field.press("Enter")


def open_test(page: Any, site: Site, webhook: Any) -> Any:
    """Open the page of test events, type a payload, and return the button that sends it."""
    page.goto(f"{site.url}/webhooks/{webhook.id}/test")
    page.get_by_label("Payload, before the mapping").fill(TYPED)
    return page.get_by_role("button", name="Send test event")


# What is shown.


def typed(page: Any) -> str:
    """Return the payload on the page of test events."""
    return page.get_by_label("Payload, before the mapping").input_value()


def is_accepted(page: Any) -> None:
    """Wait until the page of test events shows that the endpoint has accepted one."""
    page.locator(".timeline").get_by_text("204").wait_for()


def row(page: Any, delivery: Any) -> Any:
    """Return the row of a delivery in the log."""
    return page.locator(f"#row-{delivery.id}")


def focused(locator: Any) -> None:
    """Wait until an element has the focus."""
    locator.and_(locator.page.locator(":focus")).wait_for()


def has_value(field: Any, text: str) -> None:
    """Wait until a field has a value."""
    from playwright.sync_api import expect

    expect(field).to_have_value(text)


def fits(page: Any) -> bool:
    """Tell whether a page is no wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# How requests fail.


def answers(page: Any, url: str, **answer: Any) -> None:
    """Let a proxy between browser and console respond to requests, until the route is taken away."""
    page.route(url, lambda route: route.fulfill(**answer))


def lose_answers(page: Any, url: str) -> None:
    """Let requests reach the console, and a proxy respond in its place."""

    def lose(route: Any) -> None:
        route.fetch()
        route.fulfill(status=502, body="")

    page.route(url, lose)


def held_back(page: Any, url: str) -> list[Any]:
    """Hold back what a page posts to a URL, as a slow network does; return the list that gets it."""
    held: list[Any] = []
    page.route(url, lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    return held
