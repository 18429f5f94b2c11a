"""A customer's way through the console, in a real browser: from the empty list to a delivered event, and after."""

from __future__ import annotations

import re

import pytest

from unihooks import EventSubscription, HeaderSet, PayloadMapping, Webhook, verify
from unihooks.testing import Answer

from .conftest import EGRESS_IP, EXAMPLE

MAPPED = {**EXAMPLE, "sender": {"contact": "+966500000001"}, "content": {"type": "text", "body": "Hello"}}


@pytest.fixture
def webhook(site) -> Webhook:
    return site.dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            endpoints=[site.receiver.url_for("/hooks", host="crm.example.com")],
            subscriptions=[EventSubscription("whatsapp", "message.received")],
            mapping=PayloadMapping(remove=["sender.name"]),
            headers=HeaderSet({"Authorization": "Bearer s3cr3t-of-crm"}),
            status="active",
        ),
        tenant="acme",
    )


def emit(site) -> None:
    site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme")


def press(page, value: str) -> None:
    page.locator(f'#draft button[name=go][value="{value}"]:visible:not(.sr-only)').click()


def on_step(page, name: str) -> None:
    page.get_by_role("heading", name=name, level=2).wait_for()


def test_from_the_empty_list_to_a_delivered_mapped_authenticated_event(site, browse, shoot):
    page = browse()
    page.goto(site.url + "/")
    page.get_by_role("link", name="Add your first webhook").click()
    page.get_by_label("Name", exact=True).fill("CRM sync")
    page.get_by_label("URL of endpoint 1").fill("http://crm.example.com/")
    page.get_by_role("button", name="Add https://?").wait_for()
    page.get_by_label("URL of endpoint 1").fill(site.receiver.url_for("/hooks", host="crm.example.com"))
    page.get_by_text("This URL is well formed").wait_for()
    shoot(page, "details")
    press(page, "next")
    on_step(page, "Events")
    page.get_by_role("checkbox", name="Message received").check()
    shoot(page, "events")
    press(page, "next")
    on_step(page, "Payload")
    page.get_by_role("button", name="Remove sender.name").click()
    page.get_by_role("button", name="Undo sender.name").wait_for()
    page.get_by_text("Advanced: rules as text").click()
    page.get_by_label("Rules as text").press_sequentially("\nrename content.text -> body")
    page.locator("#preview").get_by_text('"body": "Hello"').wait_for()
    shoot(page, "mapping")
    press(page, "next")
    on_step(page, "Headers")
    press(page, "add-header")
    page.get_by_label("Name of header 1").fill("Authorization")
    page.get_by_label("Value of header 1").fill("Bearer s3cr3t-of-crm")
    press(page, "next")
    on_step(page, "Review")
    shoot(page, "review")
    press(page, "save")
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    secret = page.locator("code[data-secret]").inner_text()
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/=]{44}", secret)
    page.get_by_role("link", name="Send a test event").click()
    page.get_by_role("button", name="Send test event").click()
    page.locator(".timeline").get_by_text("204").wait_for()
    shoot(page, "test-event")
    page.get_by_role("button", name="Activate").click()
    page.get_by_text("The webhook is active").wait_for()
    page.get_by_role("link", name="Deliveries", exact=True).last.click()
    emit(site)
    # The list asks again by itself.
    page.locator("#results").get_by_text("Delivered").wait_for()
    page.get_by_role("link", name="Message received").click()
    page.get_by_text("The signature is valid for the current secret.").wait_for(state="attached")
    shoot(page, "delivery")
    _test, sent = site.receiver.wait_for(2)
    assert sent.json() == MAPPED
    assert sent.headers["authorization"] == "Bearer s3cr3t-of-crm"
    assert verify(sent.headers, sent.body, secret)
    assert "s3cr3t-of-crm" not in page.content()


def test_webhook_is_deleted(site, browse, webhook):
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    page.get_by_role("link", name="Delete webhook").click()
    page.get_by_text("1 endpoint with its health").wait_for()
    page.get_by_role("button", name="Delete webhook").click()
    page.get_by_text("No webhooks yet").wait_for()


def test_addresses_for_the_firewall_are_on_each_page_where_a_customer_sets_one_up(site, browse, webhook):
    page = browse()
    page.goto(site.url + "/new")
    address = page.get_by_text(EGRESS_IP, exact=True).locator("visible=true")
    address.wait_for()
    page.get_by_label("Name", exact=True).fill("CRM")
    page.get_by_label("URL of endpoint 1").fill("https://example.com/in")
    for step in ("Events", "Payload", "Headers", "Review"):
        press(page, "next")
        on_step(page, step)
    page.get_by_role("heading", name="Behind a firewall?").wait_for()
    address.wait_for()
    press(page, "save")
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    for path in ("/settings", "/secret"):
        page.goto(f"{site.url}/webhooks/{webhook.id}{path}")
        page.get_by_text("Requests come from").first.wait_for()
        address.wait_for()


def test_deliveries_are_searched(site, browse, webhook):
    site.receiver.answer(503, 204)
    for number in (1, 2):
        emit(site)
        site.receiver.wait_for(number)
    site.dispatcher.drain()
    page = browse()
    page.goto(site.url + "/deliveries")
    rows = page.locator("#results tbody tr")
    assert rows.count() == 2
    page.get_by_label("Status code").fill("5xx")
    page.get_by_label("Status code").press("Enter")
    page.wait_for_url("**code=5xx*")
    rows.get_by_text("503").wait_for()
    assert rows.count() == 1
    page.get_by_label("Search deliveries").fill("nobody.example")
    page.get_by_label("Search deliveries").press("Enter")
    page.get_by_text("No deliveries match").wait_for()
    page.get_by_label("Search deliveries").fill("crm.example.com")
    page.get_by_label("Search deliveries").press("Enter")
    rows.get_by_text("503").wait_for()


def test_refused_input_stays_and_is_focused(site, browse):
    page = browse()
    page.goto(site.url + "/new")
    page.get_by_label("Name", exact=True).fill("Kept <b>name</b>")
    page.get_by_label("URL of endpoint 1").fill("https://me:pw@example.com/")
    press(page, "next")
    page.get_by_label("URL of endpoint 1").and_(page.locator("[aria-invalid]")).wait_for()
    assert page.evaluate("document.activeElement.name") == "endpoint_url"
    assert page.get_by_label("Name", exact=True).input_value() == "Kept <b>name</b>"
    assert page.get_by_label("URL of endpoint 1").input_value() == "https://me:pw@example.com/"


def test_webhook_is_added_by_keyboard_only(site, browse):
    page = browse()
    page.goto(site.url + "/new")
    keyboard = page.keyboard

    def to(role: str, name: str) -> None:
        wanted = page.get_by_role(role, name=name).element_handle()
        for _ in range(60):
            if page.evaluate("element => element === document.activeElement", wanted):
                return
            keyboard.press("Tab")
        raise AssertionError(f"{name} cannot be reached by Tab")

    to("textbox", "Name")
    keyboard.type("By keyboard")
    to("textbox", "URL of endpoint 1")
    keyboard.type("https://example.com/in")
    keyboard.press("Enter")
    on_step(page, "Events")
    to("checkbox", "Message received")
    keyboard.press("Space")
    to("button", "Next")
    keyboard.press("Enter")
    on_step(page, "Payload")
    to("button", "Remove sender.name")
    keyboard.press("Enter")
    page.get_by_role("button", name="Undo sender.name").wait_for()
    to("button", "Next")
    keyboard.press("Enter")
    on_step(page, "Headers")
    to("button", "Next")
    keyboard.press("Enter")
    on_step(page, "Review")
    to("button", "Create webhook")
    keyboard.press("Enter")
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    (added,) = site.dispatcher.webhooks.list(tenant="acme")
    assert (added.name, added.mapping.remove) == ("By keyboard", ("sender.name",))
    assert added.subscriptions == (EventSubscription("whatsapp", "message.received"),)


def test_webhook_is_added_and_switched_on_without_javascript(site, browse):
    page = browse(java_script_enabled=False)
    page.goto(site.url + "/new")
    page.get_by_label("Name", exact=True).fill("Plain")
    page.get_by_label("URL of endpoint 1").fill(site.receiver.url_for("/hooks", host="crm.example.com"))
    for step in ("Events", "Payload", "Headers", "Review"):
        press(page, "next")
        on_step(page, step)
        if step == "Events":
            page.get_by_role("checkbox", name="Message received").check()
    press(page, "save")
    page.get_by_role("button", name="Activate").click()
    emit(site)
    site.receiver.wait_for(1)
    page.get_by_role("link", name="Deliveries", exact=True).last.click()
    page.get_by_role("link", name="Message received").click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("Message received")


def test_hostile_answers_show_as_text(site, browse, webhook):
    hostile = b"<script>alert(1)</script><img src=x onerror=alert(2)>"
    site.receiver.always(Answer(500, headers={"x-evil": "<img src=x onerror=alert(3)>"}, body=hostile))
    emit(site)
    site.receiver.wait_for(1)
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
