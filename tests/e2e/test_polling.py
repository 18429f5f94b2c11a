"""The log asks again by itself: rows change in place, new ones wait in a pill, and what goes wrong is said."""

from __future__ import annotations

import re

import pytest
from accessibility import check
from console_pages import ROWS, answers, focused, row, sign_in, sign_out


@pytest.fixture
def shown(site, webhook):
    """Give the delivery that the log shows: it waits for a retry."""
    site.receiver.answer(503)
    site.emit()
    (delivery,) = site.deliveries()
    return delivery


def ask_again(page) -> None:
    """Let a page ask at once, as when its reader is back at it."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_new_rows_wait_behind_a_pill_and_shown_ones_change_in_place(site, browse, shown):
    page = browse()
    page.goto(site.url + "/deliveries")
    waiting = row(page, shown)
    waiting.get_by_text("503").wait_for()
    waiting.get_by_role("checkbox").check()
    link, place = waiting.get_by_role("link").first, waiting.bounding_box()
    link.focus()
    site.emit(3)
    site.dispatcher.log.cancel(shown.id, tenant="acme")
    pill = page.get_by_role("button", name="3 new")
    pill.wait_for()
    waiting.get_by_text("Cancelled", exact=True).wait_for()
    focused(link)
    assert (page.locator(ROWS).count(), waiting.bounding_box()) == (1, place)
    assert waiting.get_by_role("checkbox").is_checked()
    page.get_by_text(re.compile("1 to [14] of 4")).wait_for()
    pill.click()
    page.locator(ROWS).nth(3).wait_for()
    assert (page.locator(ROWS).count(), pill.count()) == (4, 0)
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 1


def test_polling_says_since_when_it_fails_and_goes_on_by_itself(site, rough, shown):
    page = rough()
    page.goto(site.url + "/deliveries")
    row(page, shown).wait_for()
    answers(page, "**/deliveries", status=502, body="Bad gateway")
    page.get_by_role("status").get_by_text(re.compile(r"Last updated \d+ seconds ago\. Trying again")).wait_for()
    assert (page.locator(ROWS).count(), page.get_by_role("alert").count()) == (1, 0)
    page.unroute("**/deliveries")
    site.emit()
    page.evaluate("dispatchEvent(new Event('online'))")
    page.get_by_role("button", name="1 new").wait_for()
    page.get_by_text("Last updated").wait_for(state="hidden")


def test_polling_of_an_ended_session_says_so_and_goes_on_after_signing_in(site, rough, shown):
    page = rough()
    page.goto(site.url + "/deliveries")
    sign_out(page.context)
    ended = page.get_by_role("status").get_by_text("your session has ended")
    ended.wait_for()
    assert page.locator(ROWS).count() == 1
    sign_in(page.context, site)
    ask_again(page)
    ended.wait_for(state="hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_said_over_a_page_is_accessible(site, rough, shown, scheme):
    page = rough(color_scheme=scheme, viewport={"width": 320, "height": 700})
    page.goto(site.url + "/deliveries")
    row(page, shown).wait_for()
    site.emit()
    page.get_by_role("button", name="1 new").wait_for()
    answers(page, "**/*", status=502, body="")
    page.get_by_text("Last updated").wait_for()
    page.locator("button[name=theme]").click()
    page.get_by_role("alert").wait_for()
    check(page, "an alert, and a log that cannot be asked")
