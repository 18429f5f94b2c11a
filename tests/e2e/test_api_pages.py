"""The reference of the API, portal sessions, and the operator's pages, in a real browser."""

from __future__ import annotations

import time

import httpx
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


# The operator's pages.


def fail_and_succeed(site, webhook) -> None:
    site.receiver.answer(204, 500, 204)
    for number in range(3):
        site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme", subject=f"chat/{number}")
    site.receiver.wait_for(3)
    site.dispatcher.drain()
    # The chore that workers do every half minute notes what they have sent.
    store = site.dispatcher.settings.open_store
    for _ in range(100):
        store.expire_held(0, 1)
        if store.trends(1).hours[-1].attempts == 3:
            break
        time.sleep(0.05)
    site.dispatcher.jobs.replay(tenant="acme", state="failed")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_operator_goes_from_the_overview_to_a_tenant_its_webhook_and_a_worker(site, browse, webhook, shoot, scripts):
    fail_and_succeed(site, webhook)
    page = browse("host", java_script_enabled=scripts)
    page.goto(f"{site.url}/operator")
    for heading in ("Queue age", "Throughput", "Failures by tenant", "Workers", "Jobs"):
        page.get_by_role("heading", name=heading).wait_for()
    assert page.locator("figure.chart rect.bad").count() == 1
    page.get_by_text("Show as a table").click()
    assert page.locator(".as-table td").nth(1).inner_text() == "3"
    shoot(page, "operator")
    page.locator("section", has=page.locator("#failures")).get_by_role("link", name="acme").click()
    page.get_by_role("heading", name="acme", level=1).wait_for()
    assert page.locator(f"#{webhook.id}").get_by_text("crm.example.com").is_visible()
    assert page.get_by_role("heading", name="Changes").is_visible()
    assert page.get_by_text("Webhook created").is_visible()
    page.go_back()
    page.locator("section", has=page.locator("#workers")).get_by_role("link").click()
    page.get_by_role("heading", name="What it holds").wait_for()


def test_overview_of_the_operator_renews_itself_and_keeps_the_focus(site, browse, webhook):
    page = browse("host")
    page.goto(f"{site.url}/operator")
    link = page.locator("section", has=page.locator("#tenants")).get_by_role("link", name="acme")
    link.focus()
    site.dispatcher.webhooks.add(Webhook(name="More", endpoints=["https://x.example.com/"]), tenant="acme")
    page.locator("section", has=page.locator("#tenants")).get_by_role("cell", name="2", exact=True).wait_for()
    assert link.evaluate("one => one === document.activeElement")


@pytest.mark.parametrize("path", ["/operator", "/operator/tenant?name=acme"])
def test_operators_pages_fit_on_small_screens(site, browse, webhook, path):
    fail_and_succeed(site, webhook)
    page = browse("host", viewport={"width": 320, "height": 640})
    page.goto(f"{site.url}{path}")
    assert not overflows(page)


# The test receiver.


def test_who_has_no_endpoint_yet_sees_what_arrives_while_it_arrives(site, browse, shoot):
    page = browse()
    page.goto(f"{site.url}/new")
    page.get_by_label("Name", exact=True).fill("CRM sync")
    page.get_by_role("button", name="Use a test receiver").click()
    page.get_by_text("Nothing yet").wait_for()
    url = page.locator("code.fixed").inner_text()
    headers = {"authorization": "Bearer s3cr3t", "webhook-id": "evt_1"}
    assert httpx.post(url, json={"hello": "world"}, headers=headers).status_code == 204
    page.get_by_text('"world"').wait_for()
    assert page.get_by_text("evt_1").is_visible()
    assert "s3cr3t" not in page.content()
    shoot(page, "receiver")
    page.get_by_role("button", name="Use this URL").click()
    page.get_by_role("heading", name="Details", level=2).wait_for()
    assert page.get_by_label("Name", exact=True).input_value() == "CRM sync"
    assert page.get_by_label("URL of endpoint 1").input_value() == url


def test_receiver_works_without_scripts_too(site, browse):
    page = browse(java_script_enabled=False)
    page.goto(f"{site.url}/new")
    page.get_by_label("Name", exact=True).fill("CRM sync")
    page.get_by_role("button", name="Use a test receiver").click()
    httpx.post(page.locator("code.fixed").inner_text(), content=b"plain text")
    page.reload()
    assert page.get_by_text("plain text").is_visible()
    page.get_by_role("link", name="Back to the webhook").click()
    assert page.get_by_label("Name", exact=True).input_value() == "CRM sync"
