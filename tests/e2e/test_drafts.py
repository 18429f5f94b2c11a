"""A new webhook is kept as a draft, in a real browser: no input is lost until it becomes a webhook."""

from __future__ import annotations

import pytest
from console_pages import has_value, held_back, press, sign_in, sign_out
from console_site import AUTHORIZATION
from console_wizard import Wizard, open_wizard


def test_what_was_entered_is_saved_by_itself_and_survives_a_reload_and_another_language_and_theme(site, browse):
    page = browse()
    wizard = open_wizard(page, site)
    url = wizard.begin()
    page.reload()
    assert (wizard.name.input_value(), page.url) == ("CRM sync", url)
    wizard.name.fill("Not yet left")
    page.get_by_role("button", name="Theme: system").click()
    page.locator("html.dark").wait_for(state="attached")
    assert (wizard.name.input_value(), page.url) == ("Not yet left", url)
    wizard.name.fill("In Arabic")
    page.get_by_role("button", name="العربية").click()
    page.locator("html[dir=rtl]").wait_for(state="attached")
    assert (page.locator("#name").input_value(), page.url) == ("In Arabic", url)


def test_a_reload_right_after_typing_keeps_what_was_typed(site, browse):
    wizard = open_wizard(browse(), site)
    wizard.begin()
    wizard.name.fill("Typed just now")
    wizard.page.reload()
    has_value(wizard.name, "Typed just now")


def test_a_link_away_and_back_keeps_what_was_typed(site, browse):
    page = browse()
    wizard = open_wizard(page, site)
    wizard.begin()
    wizard.name.fill("Typed before the link")
    page.get_by_role("link", name="Deliveries", exact=True).click()
    page.get_by_role("heading", name="Deliveries", level=1).wait_for()
    page.go_back()
    has_value(wizard.name, "Typed before the link")


@pytest.mark.parametrize("javascript", [True, False])
def test_each_step_has_its_own_url_and_back_leads_to_it(site, browse, javascript):
    page = browse(java_script_enabled=javascript)
    wizard = open_wizard(page, site)
    wizard.enter_details()
    wizard.next("Events")
    assert page.url.endswith("/events")
    wizard.choose_event()
    wizard.next("Payload")
    page.reload()
    wizard.is_on("Payload")
    page.go_back()
    wizard.is_on("Events")
    assert page.get_by_role("checkbox", name="Message received").is_checked()
    page.go_back()
    wizard.is_on("Details")
    assert wizard.name.input_value() == "CRM sync"
    press(page, "add-endpoint")
    wizard.url(2).wait_for()
    page.reload()
    assert wizard.url(2).input_value() == ""
    page.go_back()
    assert "/new" in page.url or page.url.endswith("blank")


def test_two_tabs_on_one_draft_are_distinguished(site, rough):
    here = open_wizard(rough(), site)
    url = here.begin()
    there = open_wizard(here.page.context.new_page(), site)
    there.page.goto(url)
    there.rename("From the other tab")
    there.is_saved()
    here.rename("From this tab")
    changed = here.page.get_by_role("alert").get_by_text("changed in another tab")
    changed.wait_for()
    assert here.name.input_value() == "From this tab"
    press(here.page, "next")
    changed.wait_for()
    here.next("Events")
    there.page.reload()
    assert there.name.input_value() == "From this tab"


def test_an_ended_session_loses_nothing(site, rough):
    page = rough()
    wizard = open_wizard(page, site)
    url = wizard.begin()
    sign_out(page.context)
    wizard.rename("While signed out")
    page.get_by_role("alert").get_by_text("you are signed out").wait_for()
    press(page, "next")
    page.locator("#toasts").get_by_text("Your session has ended").wait_for()
    assert (wizard.name.input_value(), page.url) == ("While signed out", url)
    other = Wizard(page.context.new_page(), site)
    other.page.goto(url)
    back = other.page.get_by_role("link", name="Continue where you were")
    back.wait_for()
    sign_in(page.context, site)
    back.click()
    assert (other.page.url, other.name.input_value()) == (url, "CRM sync")
    page.bring_to_front()
    wizard.is_saved()
    other.page.reload()
    assert other.name.input_value() == "While signed out"


@pytest.mark.parametrize("broken", ["502", "offline", "429"])
def test_what_could_not_be_saved_is_saved_once_it_can(site, rough, broken):
    page = rough()
    wizard = open_wizard(page, site)
    url = wizard.begin()
    page.context.set_offline(broken == "offline")
    if broken != "offline":
        page.route(url, lambda route: route.fulfill(status=int(broken), body="<h1>Bad</h1>", content_type="text/html"))
    wizard.rename("Not lost")
    page.get_by_role("alert").get_by_text("Not saved yet").wait_for()
    press(page, "next")
    page.locator("#toasts .wrong").wait_for()
    assert (wizard.name.input_value(), page.url) == ("Not lost", url)
    page.context.set_offline(False)
    page.unroute_all()
    wizard.is_saved()
    wizard.next("Events")


def test_a_slow_network_shows_that_the_button_is_busy_and_loses_nothing(site, browse):
    page = browse()
    wizard = open_wizard(page, site)
    wizard.begin()
    waiting = held_back(page, "**/details")
    wizard.name.fill("Slow")
    press(page, "next")
    page.locator("#draft [aria-busy=true]").wait_for()
    assert wizard.name.input_value() == "Slow"
    waiting[0].continue_()
    wizard.is_on("Events")
    page.unroute_all()
    page.go_back()
    wizard.is_on("Details")
    assert wizard.name.input_value() == "Slow"


def test_drafts_are_offered_on_the_list_continued_and_discarded(site, browse):
    page = browse()
    wizard = open_wizard(page, site)
    wizard.enter_to_review()
    open_wizard(page, site).begin("Second")
    page.goto(site.url + "/")
    page.get_by_role("heading", name="Unfinished webhooks").wait_for()
    page.get_by_role("link", name="Continue CRM sync").click()
    wizard.is_on("Events")
    page.goto(site.url + "/new")
    page.get_by_role("heading", name="Continue where you left off?").wait_for()
    page.get_by_role("button", name="Discard Second").click()
    page.get_by_text("The draft is discarded.").wait_for()
    assert page.get_by_role("link", name="Continue Second").count() == 0
    page.get_by_role("link", name="Continue CRM sync").click()
    wizard.is_on("Events")
    page.get_by_role("button", name="Discard", exact=True).click()
    page.get_by_text("No webhooks yet").wait_for()
    assert page.get_by_role("heading", name="Unfinished webhooks").count() == 0


def test_the_value_of_a_header_is_kept_and_never_shown_again(site, browse):
    page = browse()
    wizard = open_wizard(page, site)
    wizard.begin()
    wizard.jump("Headers")
    wizard.add_header("Authorization", AUTHORIZATION)
    page.get_by_label("Value of header 1").blur()
    wizard.is_saved()
    page.reload()
    wizard.is_on("Headers")
    page.get_by_text("Authorization", exact=True).wait_for()
    assert AUTHORIZATION not in page.content()
    wizard.next("Review")
    assert AUTHORIZATION not in page.content()
    wizard.create()
    (added,) = site.webhooks()
    assert added.headers.revealed() == [("Authorization", AUTHORIZATION)]
