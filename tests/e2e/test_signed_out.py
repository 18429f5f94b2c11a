"""A session that ends loses nothing: after signing in, a page goes on with what was typed on it."""

from __future__ import annotations

from console_pages import TYPED, focused, is_accepted, open_test, sign_in, sign_out, typed
from console_site import PORTAL_SECRET

from unihooks.console import Viewer, end_portal_sessions, portal_link


def portal(site) -> str:
    """Return a link that lets somebody in whom the host does not know."""
    return portal_link(site.url, Viewer("acme", "Grace Hopper"), secret=PORTAL_SECRET)


def test_ended_session_keeps_what_was_typed_and_goes_on_after_signing_in(site, rough, webhook):
    page = rough()
    send = open_test(page, site, webhook)
    sign_out(page.context)
    send.click()
    told = page.get_by_role("alert")
    told.get_by_text("Your session has ended").wait_for()
    with page.context.expect_page() as opened:
        told.get_by_role("link", name="Sign in").click()
    back = opened.value.get_by_role("link", name="Continue where you were")
    back.wait_for()
    sign_in(page.context, site)
    back.click()
    opened.value.get_by_role("button", name="Send test event").wait_for()
    assert opened.value.url == page.url
    send.click()
    is_accepted(page)
    assert site.receiver.requests[0].json()["messageId"] == "typed by hand"


def test_ended_session_without_javascript_keeps_what_was_typed(site, rough, webhook):
    page = rough(java_script_enabled=False)
    send = open_test(page, site, webhook)
    sign_out(page.context)
    send.click()
    page.get_by_text("it is still on this page").wait_for()
    sign_in(page.context, site)
    page.get_by_role("button", name="Send it again").click()
    is_accepted(page)
    assert site.receiver.requests[0].json()["messageId"] == "typed by hand"


def test_page_of_a_session_with_other_cookies_is_renewed_where_it_is(site, rough, webhook):
    page = rough()
    send = open_test(page, site, webhook)
    page.context.clear_cookies()
    sign_in(page.context, site)
    send.click()
    page.get_by_role("alert").get_by_text("This page was out of date, and is renewed").wait_for()
    focused(send)
    assert typed(page) == TYPED
    send.click()
    page.locator("#toasts").get_by_text("1 of 1 endpoint has accepted the test.").wait_for()
    assert site.receiver.requests[0].json()["messageId"] == "typed by hand"


def test_customer_of_a_portal_link_signs_out(site, rough):
    page = rough(tenant=None)
    page.goto(portal(site))
    page.get_by_text("Grace Hopper").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="You are signed out").wait_for()
    page.goto(f"{site.url}/")
    page.get_by_role("heading", name="Please sign in").wait_for()
    page.go_back()
    assert page.get_by_text("Grace Hopper").count() == 0


def test_session_that_the_host_has_ended_keeps_nobody_in(site, rough, webhook):
    page = rough(tenant=None)
    page.goto(portal(site))
    page.get_by_role("link", name=webhook.name).first.wait_for()
    assert end_portal_sessions(site.dispatcher, tenant="acme") == 1
    page.reload()
    page.get_by_role("heading", name="Please sign in").wait_for()
