"""A customer in the settings of a webhook, in a real browser: sections, events, conditions, payload."""

from __future__ import annotations

import pytest
from console_pages import focused
from console_site import AUTHORIZATION, EXAMPLE

from unihooks import Condition, EventSubscription, HeaderSet, PayloadMapping, Webhook


@pytest.fixture
def webhook(site) -> Webhook:
    headers = HeaderSet({"Authorization": AUTHORIZATION})
    return site.add_webhook(mapping=PayloadMapping(remove=["sender.name"]), headers=headers)


@pytest.fixture
def saved(site, webhook):
    """Return a function that reads the webhook again."""
    return lambda: site.reread(webhook)


@pytest.fixture
def opened(site, browse, webhook):
    """Return a function that opens a section of the settings."""

    def opened(section: str, **options):
        page = browse(**options)
        page.goto(f"{site.url}/webhooks/{webhook.id}/settings/{section}")
        return page

    return opened


def save(page) -> None:
    page.get_by_role("button", name="Save changes").click()
    page.wait_for_url("**/settings")
    page.get_by_text("Your changes are saved").wait_for()


def test_each_section_is_edited_by_itself(site, browse, webhook, saved):
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Edit details").click()
    page.get_by_label("Name", exact=True).fill("Renamed")
    save(page)
    page.get_by_role("heading", name="Renamed").wait_for()
    page.get_by_role("link", name="Edit delivery policy").click()
    page.get_by_role("switch", name="In order").check()
    save(page)
    page.get_by_text("In order by subject").wait_for()
    assert (saved().name, saved().ordered, saved().mapping) == ("Renamed", True, webhook.mapping)
    # What was said once is not said again.
    page.reload()
    assert page.get_by_text("Your changes are saved").count() == 0


def test_too_long_a_name_and_url_are_refused_with_words_and_stay(opened, saved, webhook):
    page = opened("details")
    name = page.get_by_label("Name", exact=True)
    name.fill("x" * 201)
    page.get_by_role("button", name="Save changes").click()
    page.get_by_text("Use at most 200 characters").wait_for()
    focused(name)
    assert name.input_value() == "x" * 201
    page = opened("endpoints")
    url = page.get_by_label("URL of endpoint 1")
    url.fill("https://example.com/" + "x" * 2048)
    page.get_by_text("2,048").wait_for()
    assert len(url.input_value()) == 2068
    assert saved() == webhook


def test_a_double_click_makes_one_copy(site, browse, webhook):
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}/settings")
    page.get_by_role("button", name="Duplicate").dblclick()
    page.get_by_text("This is the copy").wait_for()
    page.get_by_role("heading", name="Copy of CRM sync").wait_for()
    assert len(site.webhooks()) == 2
    page.reload()
    page.get_by_role("heading", name="Copy of CRM sync").wait_for()
    assert len(site.webhooks()) == 2


def test_a_header_is_replaced_and_removed_by_buttons_that_keep_the_focus_near(opened, saved):
    page = opened("headers")
    assert page.locator("#draft select").count() == 0
    page.get_by_role("button", name="Replace the value of Authorization").click()
    value = page.get_by_label("New value of Authorization")
    focused(value)
    value.fill("Bearer new")
    save(page)
    assert saved().headers.revealed() == [("Authorization", "Bearer new")]
    page = opened("headers")
    page.get_by_role("button", name="Remove Authorization").click()
    page.get_by_text("is removed when you save").wait_for()
    keep = page.get_by_role("button", name="Keep Authorization")
    focused(keep)
    keep.click()
    focused(page.get_by_role("button", name="Replace the value of Authorization"))
    page.get_by_role("button", name="Remove Authorization").click()
    page.get_by_text("is removed when you save").wait_for()
    save(page)
    assert not saved().headers


def test_all_events_and_single_ones_exclude_each_other_and_are_counted(opened, saved):
    page = opened("events")
    every = page.get_by_role("checkbox", name="All events of WhatsApp")
    single = page.get_by_role("checkbox", name="Message received")
    other = page.get_by_role("checkbox", name="Message read")
    count = page.locator(".fold", has_text="WhatsApp").locator(".count")
    assert every.evaluate("box => box.indeterminate")
    assert count.inner_text() == "1 of 2"
    every.check()
    assert not single.is_checked()
    assert count.inner_text() == "all, also later ones"
    assert page.locator("#chosen-count").inner_text() == "2"
    other.check()
    assert not every.is_checked()
    assert every.evaluate("box => box.indeterminate")
    every.check()
    save(page)
    assert saved().subscriptions == (EventSubscription("whatsapp", "*"),)


def test_event_types_that_begin_alike_are_added_and_counted(opened, saved):
    page = opened("events")
    pattern = page.get_by_label("Event types that begin alike")
    pattern.select_option("whatsapp message.*")
    page.locator("button[value=add-pattern]").click()
    every = page.get_by_role("checkbox", name="every event type that begins like this")
    every.wait_for()
    assert every.is_checked()
    count = page.locator(".fold", has_text="WhatsApp").locator(".count")
    assert count.inner_text() == "2 of 2"
    included = page.locator(".fold", has_text="WhatsApp").locator(".included:visible")
    assert included.count() == 2
    page.get_by_role("checkbox", name="Message received").uncheck()
    assert count.inner_text() == "2 of 2"
    every.uncheck()
    assert (count.inner_text(), included.count()) == ("0 of 2", 0)
    every.check()
    save(page)
    assert saved().subscriptions == (EventSubscription("whatsapp", "message.*"),)


def test_events_are_searched_and_folds_stay_as_they_were_left(opened):
    page = opened("events")
    search = page.get_by_label("Search event types")
    search.fill("read")
    page.get_by_role("checkbox", name="Message received").wait_for(state="hidden")
    assert page.get_by_role("checkbox", name="Message read").is_visible()
    assert not page.locator(".fold", has_text="SMS").is_visible()
    search.press("Enter")
    search.fill("nothing like this")
    page.get_by_text("No event types match").wait_for()
    search.fill("")
    page.locator("summary", has_text="SMS").click()
    page.get_by_role("checkbox", name="SMS sent").wait_for(state="hidden")
    page.get_by_role("button", name="Example of message.read").click()
    page.locator("#example").get_by_text('"status": "read"').wait_for()
    assert not page.get_by_role("checkbox", name="SMS sent").is_visible()
    page.keyboard.press("Escape")
    page.locator("#example").wait_for(state="detached")
    focused(page.get_by_role("button", name="Example of message.read"))


def test_products_that_a_search_has_unfolded_are_folded_again_after_it(opened):
    page = opened("events")
    page.locator("summary", has_text="SMS").click()
    sent = page.get_by_role("checkbox", name="SMS sent")
    sent.wait_for(state="hidden")
    search = page.get_by_label("Search event types")
    search.fill("sent")
    sent.wait_for()
    search.fill("")
    sent.wait_for(state="hidden")
    assert page.get_by_role("checkbox", name="Message read").is_visible()


def test_the_buttons_stay_in_sight_while_events_are_chosen(opened):
    page = opened("events", viewport={"width": 1280, "height": 420})
    button = page.get_by_role("button", name="Save changes")
    assert page.evaluate("document.documentElement.scrollHeight > innerHeight + 300")
    box = button.bounding_box()
    assert box["y"] + box["height"] <= 420


def test_conditions_are_rows_that_are_tried_on_the_example(opened, saved, site):
    page = opened("events")
    page.get_by_role("button", name="Add a condition to message.received").click()
    path = page.get_by_label("Property of condition 1")
    focused(path)
    options = page.locator("datalist option").evaluate_all("all => all.map(one => one.value)")
    assert {"content.text", "sender.contact"} <= set(options)
    path.fill("content.text")
    page.get_by_label("Operator of condition 1").select_option("begins with")
    value = page.get_by_label("Value of condition 1")
    value.press_sequentially("Bye")
    page.get_by_text("The example would not be sent.").wait_for()
    focused(value)
    value.fill("Hel")
    page.get_by_text("The example would be sent.").wait_for()
    page.get_by_role("button", name="or …").click()
    focused(page.get_by_label("Property of condition 2"))
    page.get_by_label("Property of condition 2").fill("sender.contact")
    page.get_by_label("Value of condition 2").fill("966")
    page.get_by_role("button", name="Add condition").first.click()
    page.get_by_label("Property of condition 3").fill("sender.name")
    page.get_by_role("button", name="Save changes").click()
    page.get_by_text("Enter a value").wait_for()
    page.get_by_label("Operator of condition 3").select_option("exists")
    save(page)
    page.get_by_text("begins with").wait_for()
    assert saved().subscriptions == (
        EventSubscription("whatsapp", "message.received", where=[Condition("content.text", "prefix", "Hel")]),
        EventSubscription(
            "whatsapp",
            "message.received",
            # A number typed where the example has a text is that text.
            where=[Condition("sender.contact", "eq", "966"), Condition("sender.name", "exists")],
        ),
    )
    other = {**EXAMPLE, "content": {"type": "text", "text": "Goodbye"}}
    site.dispatcher.emit("whatsapp", "message.received", other, tenant="acme")
    site.emit()
    (sent,) = site.receiver.requests
    assert sent.json()["content"]["text"] == "Hello"


def test_properties_are_renamed_in_place_and_removed_by_keyboard(opened, saved):
    page = opened("payload")
    page.locator("#preview del", has_text='"name"').wait_for()
    page.get_by_label("Rename content.text").click()
    new = page.get_by_label("New name of content.text", exact=True)
    focused(new)
    new.fill("body")
    new.press("Enter")
    page.locator("#preview ins", has_text='"body": "Hello"').wait_for()
    focused(page.get_by_role("button", name="Undo content.text"))
    page.get_by_label("Rename messageId").click()
    page.get_by_label("New name of messageId", exact=True).fill("dropped")
    page.get_by_label("New name of messageId", exact=True).press("Escape")
    focused(page.get_by_label("Rename messageId"))
    page.get_by_role("button", name="Remove sender.contact").focus()
    page.keyboard.press("Enter")
    focused(page.get_by_role("button", name="Undo sender.contact"))
    # One that was opened and left alone keeps its name.
    page.get_by_label("Rename content.type").click()
    focused(page.get_by_label("New name of content.type", exact=True))
    page.get_by_role("button", name="Undo sender.name").click()
    focused(page.get_by_role("button", name="Remove sender.name"))
    save(page)
    assert saved().mapping == PayloadMapping(remove=["sender.contact"], rename={"content.text": "body"})


def test_buttons_of_a_property_show_on_hover_and_on_focus(opened):
    page = opened("payload")
    button = page.get_by_role("button", name="Remove content.type")
    shown = "button => getComputedStyle(button).opacity"
    assert button.evaluate(shown) == "0"
    page.get_by_label("Rename content.type").hover()
    assert button.evaluate(shown) == "1"
    page.mouse.move(0, 0)
    button.focus()
    assert button.evaluate(shown) == "1"


def test_rules_as_text_stay_open_and_warn_when_nothing_is_left(opened):
    page = opened("payload")
    page.get_by_text("Advanced: rules as text").click()
    rules = page.get_by_label("Rules as text")
    rules.fill("remove messageId\nremove sender\nremove content")
    page.get_by_text("Nothing is left of this example").wait_for()
    page.get_by_role("button", name="Undo sender", exact=True).click()
    page.get_by_text("Nothing is left of this example").wait_for(state="detached")
    assert rules.input_value() == "remove messageId\nremove content"


def test_settings_are_changed_without_javascript(opened, saved):
    page = opened("events", java_script_enabled=False)
    page.get_by_role("button", name="Add a condition to message.received").click()
    page.get_by_label("Property of condition 1").fill("content.text")
    page.get_by_label("Value of condition 1").fill("Hello")
    page.get_by_role("button", name="Try on the example").click()
    page.get_by_text("The example would be sent.").wait_for()
    page.get_by_role("button", name="Example of message.read").click()
    page.locator("#example").get_by_text('"status": "read"').wait_for()
    page.get_by_label("Search event types").fill("sms")
    page.get_by_role("button", name="Search", exact=True).click()
    assert not page.get_by_role("checkbox", name="Message read").is_visible()
    page.get_by_role("checkbox", name="All events of SMS").check()
    save(page)
    page = opened("payload", java_script_enabled=False)
    page.get_by_label("Rename content.text").click()
    page.get_by_label("New name of content.text", exact=True).fill("body")
    page.get_by_role("button", name="Apply the new name of content.text").click()
    page.locator("#preview").get_by_text('"body": "Hello"').wait_for()
    save(page)
    page = opened("headers", java_script_enabled=False)
    page.get_by_role("button", name="Replace the value of Authorization").click()
    page.get_by_label("New value of Authorization").fill("Bearer new")
    save(page)
    changed = saved()
    assert changed.subscriptions == (
        EventSubscription("whatsapp", "message.received", where=[Condition("content.text", "eq", "Hello")]),
        EventSubscription("sms", "*"),
    )
    assert changed.mapping.rename == {"content.text": "body"}
    assert changed.headers.revealed() == [("Authorization", "Bearer new")]
