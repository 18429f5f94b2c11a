"""A page, its focus, and what was typed on it stay as they are: when a request fails, or its look is changed."""

from __future__ import annotations

import pytest
from console_pages import (
    TYPED,
    answers,
    focused,
    held_back,
    is_accepted,
    open_test,
    press,
    sign_in,
    sign_out,
    typed,
)

REFUSED = '<main id="main"><h1>Something went wrong</h1><p>Go back</p></main>'


@pytest.fixture
def details(site, webhook) -> str:
    """Give the URL of the section of details."""
    return f"{site.url}/webhooks/{webhook.id}/settings/details"


@pytest.mark.parametrize(
    "answer, told",
    [
        ({"status": 502, "body": "<h1>502 Bad Gateway</h1>"}, "The server is not responding at the moment (502)"),
        ({"status": 429, "headers": {"retry-after": "12"}, "body": ""}, "Too many requests: try again in 12 seconds"),
        ({"status": 200, "body": "<title>Sign in</title><form></form>"}, "Your session has ended"),
        (
            {"status": 500, "headers": {"console-answer": "1"}, "body": REFUSED},
            "Something went wrong. Go back",
        ),
    ],
)
def test_another_answer_keeps_the_page_the_focus_and_what_was_typed(site, rough, webhook, answer, told):
    page = rough()
    send = open_test(page, site, webhook)
    answers(page, "**/test", **answer)
    send.click()
    page.get_by_role("alert").get_by_text(told).wait_for()
    focused(send)
    assert (typed(page), send.get_attribute("aria-busy")) == (TYPED, None)
    page.unroute("**/test")
    send.click()
    is_accepted(page)
    focused(send)
    assert (typed(page), page.get_by_role("alert").count()) == (TYPED, 0)


def test_offline_keeps_what_was_typed(site, rough, webhook):
    page = rough()
    send = open_test(page, site, webhook)
    page.context.set_offline(True)
    send.click()
    page.get_by_role("alert").get_by_text("You are offline").wait_for()
    page.get_by_role("button", name="Close").click()
    assert (typed(page), page.get_by_role("alert").count()) == (TYPED, 0)
    page.context.set_offline(False)
    send.click()
    is_accepted(page)


def test_button_of_a_page_that_is_not_partial_keeps_the_page_too(site, rough):
    webhook = site.add_webhook(status="inactive")
    page = rough()
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    activate = page.get_by_role("button", name="Activate").first
    answers(page, "**/activate", status=503, body="")
    activate.click()
    page.get_by_role("alert").get_by_text("is not responding at the moment (503)").wait_for()
    focused(activate)
    page.unroute("**/activate")
    activate.click()
    page.get_by_text("The webhook is active").wait_for()


def test_button_that_asks_by_itself_is_busy_keeps_the_focus_and_asks_once(site, rough, webhook):
    page = rough()
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    check, held = page.get_by_role("button", name="Check connection"), held_back(page, "**/check")
    check.click()
    page.locator("button.check-live[aria-busy=true]").wait_for()
    check.dispatch_event("click")
    focused(check)
    assert len(held) == 1
    held[0].fulfill(status=502, body="")
    page.get_by_role("alert").get_by_text("is not responding at the moment (502)").wait_for()
    page.unroute("**/check")
    check.click()
    page.get_by_text("Its certificate is accepted").wait_for()
    focused(check)


@pytest.mark.parametrize("broken", ["502", "offline", "ended"])
def test_settings_keep_what_was_typed(site, rough, webhook, details, broken):
    page = rough()
    page.goto(details)
    name, save = page.get_by_label("Name", exact=True), page.locator("#draft button[value=save]:focus")
    name.fill("Renamed")
    if broken == "502":
        answers(page, "**/details", status=502, body="<h1>Bad gateway</h1>")
    elif broken == "ended":
        sign_out(page.context)
    page.context.set_offline(broken == "offline")
    press(page, "save")
    page.get_by_role("alert").wait_for()
    save.wait_for()
    assert name.input_value() == "Renamed"
    page.context.set_offline(False)
    page.unroute_all()
    sign_in(page.context, site)
    save.click()
    page.get_by_text("Your changes are saved").wait_for()
    assert site.reread(webhook).name == "Renamed"


def test_focus_stays_in_the_filters_while_results_are_replaced(site, rough, webhook):
    page = rough()
    page.goto(site.url + "/")
    search, nothing = page.get_by_label("Search", exact=True), page.get_by_text("No webhooks match")
    search.press_sequentially("nothing")
    nothing.wait_for()
    focused(search)
    assert search.input_value() == "nothing"
    answers(page, "**/*search=*", status=502, body="")
    search.press_sequentially("!")
    page.get_by_role("alert").wait_for()
    focused(search)
    assert (search.input_value(), nothing.count()) == ("nothing!", 1)


def test_theme_is_changed_without_losing_what_is_typed(site, browse, webhook):
    page = browse(color_scheme="light")
    open_test(page, site, webhook)
    page.get_by_role("button", name="Theme: system").click()
    page.locator("html.dark").wait_for(state="attached")
    focused(page.get_by_role("button", name="Theme: dark"))
    assert typed(page) == TYPED


def test_filters_stay_when_the_language_is_changed(site, browse, webhook):
    page = browse()
    page.goto(site.url + "/")
    page.get_by_label("Search", exact=True).fill("CRM")
    page.wait_for_url("**search=CRM*")
    page.get_by_role("button", name="العربية").click()
    page.locator("html[dir=rtl]").wait_for(state="attached")
    assert "search=CRM" in page.url


def test_browser_asks_before_what_is_typed_is_left_and_not_after_it_was_saved(rough, details):
    page = rough()
    asked = []

    def stay(dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    def add(text: str) -> None:
        name.click()
        name.press_sequentially(text)

    page.on("dialog", stay)
    page.goto(details)
    name = page.get_by_label("Name", exact=True)
    add("Renamed")
    with page.expect_event("dialog"):
        page.get_by_role("link", name="Events", exact=True).first.click(no_wait_after=True)
    page.locator("#progress").wait_for(state="hidden")
    assert (name.input_value()[-7:], asked) == ("Renamed", ["beforeunload"])
    press(page, "save")
    page.get_by_text("Your changes are saved").wait_for()
    assert asked == ["beforeunload"]
    page.goto(details)
    add("Dropped")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/settings")
    assert asked == ["beforeunload"]
