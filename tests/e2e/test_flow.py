"""A customer's way through the console, in a real browser: from the empty list to a delivered event, and after."""

from __future__ import annotations

import re

from console_pages import is_accepted
from console_site import AUTHORIZATION, EGRESS_IP, EXAMPLE
from console_wizard import STEPS, Wizard, open_wizard

from unihooks import verify
from unihooks.testing import Answer

MAPPED = {**EXAMPLE, "sender": {"contact": "+966500000001"}, "content": {"type": "text", "body": "Hello"}}


def test_from_the_empty_list_to_a_delivered_mapped_authenticated_event(site, browse, shoot):
    page = browse()
    page.goto(site.url + "/")
    page.get_by_role("link", name="Add your first webhook").click()
    wizard = Wizard(page, site)
    wizard.enter_details(url="http://crm.example.com/")
    page.get_by_role("button", name="Add https://?").wait_for()
    wizard.url().fill(site.crm())
    page.get_by_text("This URL is well formed").wait_for()
    shoot(page, "details")
    wizard.next("Events")
    wizard.choose_event()
    shoot(page, "events")
    wizard.next("Payload")
    page.get_by_role("button", name="Remove sender.name").click()
    page.get_by_role("button", name="Undo sender.name").wait_for()
    page.get_by_text("Advanced: rules as text").click()
    page.get_by_label("Rules as text").press_sequentially("\nrename content.text -> body")
    page.locator("#preview").get_by_text('"body": "Hello"').wait_for()
    shoot(page, "mapping")
    wizard.next("Headers")
    wizard.add_header("Authorization", AUTHORIZATION)
    wizard.next("Review")
    shoot(page, "review")
    wizard.create()
    secret = page.locator("code[data-secret]").inner_text()
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/=]{44}", secret)
    page.get_by_role("link", name="Send a test event").click()
    page.get_by_role("button", name="Send test event").click()
    is_accepted(page)
    shoot(page, "test-event")
    page.get_by_role("button", name="Activate").click()
    page.get_by_text("The webhook is active").wait_for()
    page.get_by_role("link", name="Deliveries", exact=True).last.click()
    site.emit()
    # The list asks again by itself.
    page.locator("#results").get_by_text("Delivered").wait_for()
    page.get_by_role("link", name="Message received").click()
    page.get_by_text("The signature is valid for the current secret.").wait_for(state="attached")
    shoot(page, "delivery")
    _test, sent = site.receiver.requests
    assert sent.json() == MAPPED
    assert sent.headers["authorization"] == AUTHORIZATION
    assert verify(sent.headers, sent.body, secret)
    assert AUTHORIZATION not in page.content()


def test_webhook_is_deleted(site, browse, webhook):
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    page.get_by_role("link", name="Delete webhook").click()
    page.get_by_text("1 endpoint with its health").wait_for()
    page.get_by_role("button", name="Delete webhook").click()
    page.get_by_text("No webhooks yet").wait_for()


def test_addresses_for_the_firewall_are_on_each_page_where_a_customer_sets_one_up(site, browse, webhook):
    page = browse()
    address = page.get_by_text(EGRESS_IP, exact=True).locator("visible=true")
    wizard = open_wizard(page, site)
    address.wait_for()
    wizard.enter_details()
    for step in STEPS:
        wizard.next(step)
    page.get_by_role("heading", name="Behind a firewall?").wait_for()
    address.wait_for()
    wizard.create()
    for path in ("/settings", "/secret"):
        page.goto(f"{site.url}/webhooks/{webhook.id}{path}")
        page.get_by_text("Requests come from").first.wait_for()
        address.wait_for()


def test_hostile_answers_show_as_text(site, browse, webhook):
    hostile = b"<script>alert(1)</script><img src=x onerror=alert(2)>"
    site.receiver.always(Answer(500, headers={"x-evil": "<img src=x onerror=alert(3)>"}, body=hostile))
    site.emit()
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}/deliveries")
    page.locator("#results").get_by_text("500", exact=True).wait_for()
    page.get_by_role("link", name="Message received").click()
    assert page.locator("[data-hostile]").inner_text() == hostile.decode()
    assert page.locator("main img, main script").count() == 0


def test_another_tenant_finds_nothing(site, browse, webhook):
    page = browse("other")
    page.goto(site.url + "/")
    page.get_by_text("No webhooks yet").wait_for()
    for path in ("", "/settings", "/settings/events", "/delete", "/deliveries", "/test", "/secret"):
        assert page.request.get(f"{site.url}/webhooks/{webhook.id}{path}").status == 404


def test_viewer_who_may_only_read_sees_no_button_that_changes_anything(site, browse, webhook):
    site.emit()
    page = browse()
    page.context.add_cookies([{"name": "permissions", "value": "read", "url": site.url}])
    for path in ("/", f"/webhooks/{webhook.id}", f"/webhooks/{webhook.id}/secret", "/deliveries", "/jobs", "/events"):
        page.goto(f"{site.url}{path}")
        actions = page.locator("main form[method=post]:not([action$='/preferences']), main [formaction]")
        assert actions.count() == 0, (path, actions.first.evaluate("one => one.outerHTML"))


def test_theme_and_language_are_switched(site, browse, webhook, shoot):
    page = browse(color_scheme="light")
    page.goto(site.url + "/")
    page.get_by_role("button", name="Theme: system").click()
    page.locator("html.dark").wait_for(state="attached")
    shoot(page, "list-dark")
    page.get_by_role("button", name="العربية").click()
    page.locator("html[dir=rtl]").wait_for(state="attached")
    page.get_by_role("heading", name="خطافات الويب").wait_for()
    shoot(page, "list-arabic")
