"""The reference of the API, portal sessions, and the operator's pages, in a real browser."""

from __future__ import annotations

import pytest

from unihooks import EventSubscription, Webhook
from unihooks.console import Viewer, end_portal_sessions, portal_link

from .conftest import EXAMPLE, PORTAL_SECRET


@pytest.fixture
def webhook(site) -> Webhook:
    return site.dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            endpoints=[site.receiver.url_for("/hooks", host="crm.example.com")],
            subscriptions=[EventSubscription("whatsapp", "*")],
            status="active",
        ),
        tenant="acme",
    )


def overflows(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_developer_finds_an_operation_with_its_fields_and_a_command_to_copy(site, browse, shoot, scripts):
    page = browse(java_script_enabled=scripts)
    page.goto(f"{site.url}/")
    page.get_by_role("link", name="API", exact=True).click()
    shoot(page, "api")
    page.locator("a", has_text="/webhooks/{webhook_id}").first.click()
    assert page.url.startswith(f"{site.url}/reference/webhooks#")
    card = page.locator("#addWebhook")
    assert card.get_by_text("curl -X POST").is_visible()
    assert card.get_by_text("endpoints[].url").first.is_visible()
    assert not card.get_by_text("each with a JSON pointer").is_visible()
    card.get_by_text("When it is refused").click()
    assert card.get_by_text("each with a JSON pointer").is_visible()
    shoot(page, "api-chapter")


@pytest.mark.parametrize("width", [320, 768])
@pytest.mark.parametrize("path", ["/reference", "/reference/webhooks", "/reference/operator"])
def test_reference_fits_on_small_screens(site, browse, path, width):
    page = browse(viewport={"width": width, "height": 800})
    page.goto(f"{site.url}{path}")
    assert not overflows(page)


def test_customer_of_a_portal_link_signs_out(site, chromium):
    page = chromium.new_context().new_page()
    page.goto(portal_link(site.url, Viewer("acme", "Grace Hopper"), secret=PORTAL_SECRET))
    page.get_by_text("Grace Hopper").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="You are signed out").wait_for()
    page.goto(f"{site.url}/")
    page.get_by_role("heading", name="Please sign in").wait_for()
    page.go_back()
    assert page.get_by_text("Grace Hopper").count() == 0
    page.context.close()


def test_session_that_the_host_has_ended_keeps_nobody_in(site, chromium, webhook):
    page = chromium.new_context().new_page()
    page.goto(portal_link(site.url, Viewer("acme", "Grace Hopper"), secret=PORTAL_SECRET))
    page.get_by_role("link", name="CRM sync").first.wait_for()
    assert end_portal_sessions(site.dispatcher, tenant="acme") == 1
    page.reload()
    page.get_by_role("heading", name="Please sign in").wait_for()
    page.context.close()


def test_viewer_who_may_only_read_sees_no_button_that_changes_anything(site, browse, webhook):
    site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme")
    site.receiver.wait_for(1)
    page = browse()
    page.context.add_cookies([{"name": "permissions", "value": "read", "url": site.url}])
    for path in ("/", f"/webhooks/{webhook.id}", f"/webhooks/{webhook.id}/secret", "/deliveries", "/jobs", "/events"):
        page.goto(f"{site.url}{path}")
        actions = page.locator("main form[method=post]:not([action$='/preferences']), main [formaction]")
        assert actions.count() == 0, (path, actions.first.evaluate("one => one.outerHTML"))
