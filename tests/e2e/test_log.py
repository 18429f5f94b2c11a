"""A customer in the log: open a delivery beside it, go to the next, replay, count, search, and watch it."""

from __future__ import annotations

import re
from datetime import timedelta, timezone

import pytest
from console_pages import PHONE, ROWS, answers, enter, focused, row

from unihooks.testing import Answer

TITLE = "#delivery-title"


@pytest.fixture
def send(site, webhook):
    """Send events, each with its response, one after the other; return the deliveries, newest first."""

    def send(*answers, subject=None):
        for answer in answers:
            site.receiver.answer(answer)
            site.emit(subject=subject)
        return site.deliveries()

    return send


def link_to(page, delivery):
    return page.locator(f'a[data-drawer="{delivery.id}"]')


def open_beside(page, delivery) -> None:
    """Open a delivery beside the list, from its row."""
    row(page, delivery).get_by_role("link").click()
    focused(page.locator(TITLE))


def is_listed(page, count: int) -> None:
    """Wait until the list says that it shows all of what was found."""
    page.get_by_text(f"1 to {count} of {count}").wait_for()


def test_a_row_opens_beside_the_list_and_escape_leads_back_to_it(site, browse, send):
    newest, failed, _ = send(204, 500, 204)
    page = browse()
    page.goto(site.url + "/deliveries?period=24h")
    listed = page.url
    # Not only the link: the whole row.
    row(page, failed).locator(".took").click(force=True)
    focused(page.locator(TITLE))
    assert f"/deliveries/{failed.id}?in=period" in page.url
    drawer = page.locator("#drawer")
    drawer.get_by_text("Your system returned 500").first.wait_for()
    for part in ("Attempts", "Request body", "Response"):
        drawer.get_by_role("heading", name=part, exact=True).wait_for()
    assert drawer.locator("pre.json .key").first.inner_text() == '"messageId"'
    assert row(page, failed).get_attribute("aria-current") == "true"
    assert page.locator(ROWS).count() == 3
    page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    focused(link_to(page, failed))
    assert page.url == listed
    # By keyboard from there: up to the row above, and Enter.
    page.keyboard.press("ArrowUp")
    focused(link_to(page, newest))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/deliveries/{newest.id}?in=*")
    drawer.get_by_role("button", name="Close").click()
    drawer.wait_for(state="hidden")
    assert page.url == listed


def test_arrows_lead_to_the_next_delivery_of_the_list(site, browse, send):
    third, _, second, _, first = send(503, 204, 500, 204, 502)
    page = browse()
    page.goto(site.url + "/deliveries?code=5xx")
    open_beside(page, second)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/deliveries/{first.id}?in=*")
    # There is none older, so that only the way back is left.
    older = page.get_by_role("button", name="Older delivery")
    older.and_(page.locator(":disabled")).wait_for()
    newer = page.get_by_role("link", name="Newer delivery")
    newer.click()
    page.wait_for_url(f"**/deliveries/{second.id}?in=*")
    focused(page.locator('#drawer a[rel="prev"]'))
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/deliveries/{third.id}?in=*")
    assert row(page, third).get_attribute("aria-current") == "true"
    # However many were looked at, Back leads to the list.
    page.go_back()
    page.locator("#drawer").wait_for(state="hidden")
    page.wait_for_url("**/deliveries?code=5xx")
    focused(link_to(page, third))
    page.go_forward()
    page.locator(TITLE).wait_for()


def test_back_leads_to_the_list_as_its_filters_were_changed(site, browse, send):
    failed, _ = send(204, 500)
    page = browse()
    page.goto(site.url + "/deliveries")
    enter(page.get_by_label("Status code"), "5xx")
    page.wait_for_url("**code=5xx*")
    listed = page.url
    page.evaluate("window.same = true")
    open_beside(page, failed)
    page.keyboard.press("Escape")
    page.wait_for_url(listed)
    focused(link_to(page, failed))
    assert page.evaluate("window.same")
    assert page.locator(ROWS).count() == 1


def test_the_url_of_an_open_delivery_is_a_page_by_itself(site, browse, send):
    newer, failed = send(500, 204)
    page = browse()
    page.goto(site.url + "/deliveries?period=1h")
    open_beside(page, failed)
    page.reload()
    assert page.locator("#drawer").count() == 0
    page.get_by_role("heading", level=1, name="Message received").wait_for()
    page.get_by_role("link", name="Newer delivery").click()
    page.wait_for_url(f"**/deliveries/{newer.id}?in=*")
    page.get_by_role("link", name="Back to the list").click()
    page.wait_for_url("**/deliveries?period=1h")


def test_a_delivery_that_cannot_be_fetched_leaves_the_list_as_it_is(site, rough, send):
    [delivery] = send(500)
    page = rough()
    page.goto(site.url + "/deliveries")
    listed = page.url
    answers(page, "**/deliveries/dlv_*", status=502, body="<h1>Bad gateway</h1>")
    row(page, delivery).get_by_role("link").click()
    page.locator("#toasts .wrong").wait_for()
    assert (page.url, page.locator("#drawer").is_hidden()) == (listed, True)
    page.unroute_all()
    open_beside(page, delivery)


def test_one_is_replayed_from_its_row_and_several_that_are_ticked(site, browse, send):
    last, _, first = send(500, 204, 503)
    page = browse()
    page.goto(site.url + "/deliveries?code=5xx")
    page.get_by_role("button", name="Replay selected").and_(page.locator(":disabled")).wait_for()
    row(page, last).get_by_role("button", name="Replay Message received").click()
    page.get_by_text("A new delivery with the same content is being sent.").wait_for()
    assert "code=5xx" in page.url
    site.receiver.wait_for(4)
    for one in (first, last):
        row(page, one).get_by_role("checkbox").check()
    page.get_by_role("button", name="Replay 2 selected").click()
    page.get_by_text("The new deliveries are being sent.").wait_for()
    site.receiver.wait_for(6)
    made = [one.replay_of for one in site.deliveries() if one.replay_of]
    assert sorted(made) == sorted([first.id, last.id, last.id])


def test_all_of_a_page_are_ticked_at_once(site, browse, send):
    send(500, 500, 500)
    page = browse()
    page.goto(site.url + "/deliveries")
    every = page.get_by_label("Select all on this page")
    every.check()
    page.get_by_role("button", name="Replay 3 selected").wait_for()
    page.locator(f"{ROWS} input").first.uncheck()
    page.get_by_role("button", name="Replay 2 selected").wait_for()
    assert every.evaluate("box => box.indeterminate")


def test_all_since_one_are_replayed_as_a_job_with_progress(site, browse, send):
    _, _, since, _ = send(204, 204, 204, 204)
    page = browse()
    page.goto(site.url + "/deliveries")
    row(page, since).get_by_role("link").click()
    page.locator("#drawer").get_by_role("link", name="Replay since this one").click()
    page.get_by_role("heading", name="Replay 3 deliveries?").wait_for()
    page.get_by_role("button", name="Replay them as a job").click()
    page.get_by_text("The job waits for a worker").wait_for()
    page.get_by_text("3 of 3").wait_for()
    site.receiver.wait_for(7)


def test_pages_are_counted(site, browse, webhook):
    site.emit(31)
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}/deliveries")
    page.get_by_text("1 to 30 of 31").wait_for()
    page.get_by_role("link", name="Older", exact=True).click()
    page.get_by_text("31 to 31 of 31").wait_for()
    page.get_by_role("link", name="Newer", exact=True).click()
    page.get_by_text("1 to 30 of 31").wait_for()


def test_what_is_searched_and_filtered_stands_in_the_url(site, browse, send):
    [by_subject] = send(500, subject="order/7")
    other, _ = send(204)
    page = browse()
    page.goto(site.url + "/deliveries")
    search = page.get_by_label("Search deliveries")
    for text, found in (
        (other.id, other),
        (by_subject.event_id, by_subject),
        ("order/", by_subject),
        ("crm.example.com", other),
    ):
        enter(search, text)
        page.wait_for_url(re.compile("search=" + text.replace("/", "%2F")))
        row(page, found).wait_for()
    enter(page.get_by_label("Status code"), "500")
    is_listed(page, 1)
    page.reload()
    assert search.input_value() == "crm.example.com"
    assert page.get_by_label("Status code").input_value() == "500"
    row(page, by_subject).wait_for()
    assert page.locator(ROWS).count() == 1


def test_from_after_until_is_an_error(site, browse, send):
    send(204)
    page = browse(timezone_id="Asia/Riyadh")
    page.goto(site.url + "/deliveries?from=2026-01-02T00:00")
    page.get_by_text("Exact times").click()
    # What stands in the URL without a zone is UTC.
    until = page.get_by_label("Until (UTC)")
    enter(until, "2026-01-01T00:00")
    page.get_by_role("alert").get_by_text("From must not be later than Until.").wait_for()
    assert page.locator(ROWS).count() == 0
    assert until.input_value().startswith("2026-01-01T00:00")


def test_times_are_typed_in_the_viewers_zone(site, browse, send):
    [delivery] = send(204)
    made = delivery.created_at.astimezone(timezone(timedelta(hours=3)))
    page = browse(timezone_id="Asia/Riyadh")
    page.goto(site.url + "/deliveries")
    page.get_by_text("Exact times").click()
    until = page.get_by_label("Until (Asia/Riyadh)")
    enter(until, (made - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M"))
    page.get_by_text("No deliveries match").wait_for()
    assert "zone=Asia%2FRiyadh" in page.url
    assert "state=" not in page.url
    page.get_by_text("Exact times").click()
    enter(until, (made + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M"))
    row(page, delivery).wait_for()
    page.reload()
    page.get_by_text("Exact times").click()
    page.get_by_label("Until (Asia/Riyadh)").wait_for()
    open_beside(page, delivery)
    page.keyboard.press("Escape")
    page.wait_for_url("**zone=Asia%2FRiyadh*")


def test_times_are_the_viewers_own_with_seconds_and_zone(site, browse, send):
    [delivery] = send(204)
    there = delivery.created_at + timedelta(hours=3)
    page, plain = browse(timezone_id="Asia/Riyadh", locale="en-GB"), browse(java_script_enabled=False)
    for one in (page, plain):
        one.goto(f"{site.url}/deliveries")
    time = page.locator(f"{ROWS} time").first
    assert time.inner_text() == f"{there:%b} {there.day}, {there:%H:%M:%S}"
    own, _, universal = time.get_attribute("title").partition(" · ")
    assert own == f"{there:%b} {there.day}, {there.year}, {there:%H:%M:%S} GMT+3"
    assert universal == "" or universal.endswith(" UTC")
    assert plain.locator(f"{ROWS} time").first.inner_text() == f"{delivery.created_at:%Y-%m-%d %H:%M:%S} UTC"


def test_the_log_works_without_javascript(site, browse, send):
    failed, *_ = send(503, 204, Answer(500, body=b'{"error": 1}'))
    page = browse(java_script_enabled=False)
    page.goto(site.url + "/deliveries")
    page.get_by_label("Status code").fill("500")
    page.get_by_role("button", name="Apply").click()
    is_listed(page, 1)
    row(page, failed).locator(".took").click(force=True)
    page.get_by_role("heading", level=1, name="Message received").wait_for()
    page.get_by_role("link", name="Back to the list").click()
    page.wait_for_url("**code=500*")
    row(page, failed).get_by_role("checkbox").check()
    page.get_by_role("button", name="Replay selected").click()
    page.get_by_text("A new delivery with the same content is being sent.").wait_for()
    site.receiver.wait_for(4)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_what_stands_above_the_log_of_a_phone_takes_few_rows(site, browse, send, language):
    send(204)
    page = browse(viewport=PHONE)
    page.goto(f"{site.url}/deliveries?lang={language}")

    def middle(selector: str) -> float:
        box = page.locator(selector).bounding_box()
        return box["y"] + box["height"] / 2

    assert abs(middle(".title h1") - middle(".title > .btn")) < 8
    assert abs(middle(".filters .find") - middle(".sheet-opener")) < 8
    assert page.locator(ROWS).first.bounding_box()["y"] < 400
    # Two deliveries of one event differ in nothing else.
    assert page.locator(ROWS).first.locator(".to").is_visible()


def test_what_is_pasted_is_cut_and_that_is_said(site, browse, send):
    send(204)
    page = browse()
    page.goto(f"{site.url}/deliveries")
    enter(page.get_by_label("Search deliveries"), "x" * 301)
    page.get_by_text("Only the first 300 characters of what was entered are used.").wait_for()


def test_failures_without_a_response_are_a_filter(site, browse, send):
    send(Answer(drop=True), 204)
    page = browse()
    page.goto(f"{site.url}/deliveries")
    enter(page.get_by_label("Status code"), "none")
    page.wait_for_url("**code=none*")
    is_listed(page, 1)
    page.locator(ROWS, has_text="No response").wait_for()


def test_a_delivery_covers_the_page_of_a_phone(site, browse, send):
    [failed] = send(500)
    page = browse(viewport=PHONE)
    page.goto(site.url + "/deliveries")
    open_beside(page, failed)
    assert page.locator("#drawer").bounding_box()["width"] == 390
    # What lies below can be reached by nobody.
    assert page.locator("header.top").evaluate("header => header.inert")
    page.get_by_role("button", name="Close").click()
    focused(link_to(page, failed))
    assert not page.locator("header.top").evaluate("header => header.inert")
