"""A new webhook is entered with the mouse or by keyboard, with or without JavaScript, tried, and created once."""

from __future__ import annotations

import httpx
import pytest
from console_pages import focused, has_value, press
from console_site import AUTHORIZATION, EGRESS_IP, EXAMPLE
from console_wizard import STEPS, Wizard, open_wizard

from unihooks import EventSubscription, verify

SCRIPTS = pytest.mark.parametrize("javascript", [True, False])
RESULT_IN_SIGHT = """() => {
  const edge = (selector, side) => document.querySelector(selector).getBoundingClientRect()[side];
  return edge(".trial .timeline", "bottom") <= edge(".bar", "top");
}"""


@pytest.fixture
def wizard(site, browse) -> Wizard:
    """Give the form of a new webhook, just opened."""
    return open_wizard(browse(), site)


def paste(field, text: str) -> None:
    """Paste into a field, as from the clipboard."""
    field.focus()
    field.page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            const event = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
            document.activeElement.dispatchEvent(event);
        }""",
        text,
    )


# What is entered.


def test_the_first_field_has_the_focus_and_the_column_is_narrow(wizard):
    focused(wizard.name)
    assert wizard.page.locator("#draft").bounding_box()["width"] <= 640
    # The addresses for the firewall are beside the URLs.
    wizard.page.locator("#endpoints").get_by_text(EGRESS_IP).wait_for()
    press(wizard.page, "next")
    wizard.name.and_(wizard.page.locator("[aria-invalid]")).wait_for()
    focused(wizard.name)


def test_refused_input_stays_and_is_focused(wizard):
    name, url = "Kept <b>name</b>", "https://me:pw@example.com/"
    wizard.enter_details(name, url)
    press(wizard.page, "next")
    wizard.url().and_(wizard.page.locator("[aria-invalid]")).wait_for()
    focused(wizard.url())
    assert (wizard.name.input_value(), wizard.url().input_value()) == (name, url)


def test_step_bar_follows_the_step(wizard):
    current = wizard.page.locator(".steps [aria-current=step]")
    assert current.inner_text().endswith("Details")
    wizard.enter_details()
    wizard.next("Events")
    assert current.inner_text().endswith("Events")
    assert wizard.page.locator(".steps .ok").count() == 1


def test_pasted_lines_become_rows_and_a_url_without_https_is_completed(wizard):
    page = wizard.page
    wizard.name.fill("Pasted")
    paste(wizard.url(), "https://a.example.com/in\nb.example.com\n")
    wizard.url(2).wait_for()
    assert wizard.urls() == ["https://a.example.com/in", "b.example.com"]
    page.get_by_role("button", name="Add https://?").click()
    has_value(wizard.url(2), "https://b.example.com")
    assert (page.get_by_text("This URL is well formed").count(), wizard.name.input_value()) == (2, "Pasted")
    paste(wizard.url(), "one")
    assert len(wizard.urls()) == 2
    wizard.jump("Headers")
    press(page, "add-header")
    paste(page.get_by_label("Name of header 1"), f"Authorization: {AUTHORIZATION}\nX-Key: 1")
    page.get_by_text("X-Key", exact=True).wait_for()
    assert AUTHORIZATION not in page.content()


def test_a_url_is_checked_live_while_it_is_typed(site, wizard):
    page = wizard.page
    check, good = page.get_by_role("button", name="Check connection"), page.get_by_text("Its certificate is accepted")
    wizard.enter_details()
    page.get_by_text("This URL is well formed").wait_for()
    check.click()
    good.wait_for()
    assert wizard.name.input_value() == "CRM sync"
    # What was found was about the URL before.
    wizard.url().fill("https://no-such-name.example.org/")
    good.wait_for(state="detached")
    check.click()
    page.get_by_text("could not be reached").wait_for()
    assert site.receiver.requests == []


def test_webhook_is_added_by_keyboard_only(site, wizard):
    page, keyboard = wizard.page, wizard.page.keyboard

    def to(role: str, name: str) -> None:
        wanted = page.get_by_role(role, name=name).element_handle()
        for _ in range(60):
            if page.evaluate("element => element === document.activeElement", wanted):
                return
            keyboard.press("Tab")
        raise AssertionError(f"{name} cannot be reached by Tab")

    def go_on(step: str) -> None:
        to("button", "Next")
        keyboard.press("Enter")
        wizard.is_on(step)

    to("textbox", "Name")
    keyboard.type("By keyboard")
    to("textbox", "URL of endpoint 1")
    keyboard.type("https://example.com/in")
    keyboard.press("Enter")
    wizard.is_on("Events")
    to("checkbox", "Message received")
    keyboard.press("Space")
    go_on("Payload")
    to("button", "Remove sender.name")
    keyboard.press("Enter")
    page.get_by_role("button", name="Undo sender.name").wait_for()
    go_on("Headers")
    go_on("Review")
    to("button", "Create webhook")
    keyboard.press("Enter")
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    (added,) = site.webhooks()
    assert (added.name, added.mapping.remove) == ("By keyboard", ("sender.name",))
    assert added.subscriptions == (EventSubscription("whatsapp", "message.received"),)


def test_webhook_is_added_and_switched_on_without_javascript(site, browse):
    page = browse(java_script_enabled=False)
    wizard = open_wizard(page, site)
    wizard.enter_details("Plain")
    for step in STEPS:
        wizard.next(step)
        if step == "Events":
            wizard.choose_event()
    wizard.create()
    page.get_by_role("button", name="Activate").click()
    site.emit()
    page.get_by_role("link", name="Deliveries", exact=True).last.click()
    page.get_by_role("link", name="Message received").click()
    assert page.get_by_role("heading", level=1).inner_text().startswith("Message received")


# How it is tried and created.


@SCRIPTS
def test_a_webhook_is_tried_created_activated_and_then_the_checklist_says_what_is_left(site, browse, javascript):
    page = browse(java_script_enabled=javascript)
    wizard = open_wizard(page, site)
    wizard.enter_to_review()
    site.receiver.answer(500, 204)
    for told in ("Not every endpoint has accepted it.", "Every endpoint has accepted it."):
        press(page, "try")
        page.get_by_text(told, exact=True).wait_for()
    if javascript:
        page.wait_for_function(RESULT_IN_SIGHT)
    assert [one.json() for one in site.receiver.wait_for(2)] == [EXAMPLE] * 2
    assert site.webhooks() == []
    wizard.create("save:active")
    page.get_by_role("heading", name="Activated").wait_for()
    secret = page.locator("code[data-secret]").inner_text()
    site.emit()
    *_, sent = site.receiver.requests
    assert verify(sent.headers, sent.body, secret)
    page.reload()
    page.get_by_role("button", name="Reveal").wait_for()
    assert secret not in page.content()


@SCRIPTS
def test_a_double_click_or_back_and_create_again_leads_to_the_webhook_that_was_made(site, browse, javascript):
    page = browse(java_script_enabled=javascript)
    wizard = open_wizard(page, site)
    wizard.enter_details()
    wizard.jump("Review")
    review = page.url
    page.locator('#draft button[name=go][value="save"]:visible:not(.sr-only)').dblclick()
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    (added,) = site.webhooks()
    page.go_back()
    page.goto(review)
    page.get_by_role("heading", name="CRM sync").first.wait_for()
    assert f"/webhooks/{added.id}" in page.url
    assert added.secrets[0].reveal() not in page.content()
    assert len(site.webhooks()) == 1


# The test receiver.


def test_who_has_no_endpoint_yet_sees_what_arrives_while_it_arrives(wizard, shoot):
    page = wizard.page
    wizard.name.fill("CRM sync")
    page.get_by_role("button", name="Use a test receiver").click()
    page.get_by_text("Nothing yet").wait_for()
    url = page.locator("code.fixed").inner_text()
    headers = {"authorization": AUTHORIZATION, "webhook-id": "evt_1"}
    assert httpx.post(url, json={"hello": "world"}, headers=headers).status_code == 204
    page.get_by_text('"world"').wait_for()
    assert page.get_by_text("evt_1").is_visible()
    assert AUTHORIZATION not in page.content()
    shoot(page, "receiver")
    page.get_by_role("button", name="Use this URL").click()
    wizard.is_on("Details")
    assert (wizard.name.input_value(), wizard.url().input_value()) == ("CRM sync", url)


def test_receiver_works_without_scripts_too(site, browse):
    page = browse(java_script_enabled=False)
    wizard = open_wizard(page, site)
    wizard.name.fill("CRM sync")
    page.get_by_role("button", name="Use a test receiver").click()
    httpx.post(page.locator("code.fixed").inner_text(), content=b"plain text")
    page.reload()
    assert page.get_by_text("plain text").is_visible()
    page.get_by_role("link", name="Back to the webhook").click()
    assert wizard.name.input_value() == "CRM sync"
