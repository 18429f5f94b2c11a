"""A customer in the log: open a delivery beside it, go to the next, replay, count, search, and watch it."""

from __future__ import annotations

import re
from datetime import timedelta, timezone

import pytest

from unihooks import EventSubscription, Webhook
from unihooks.testing import Answer

from .conftest import EXAMPLE

ROWS = "#results tbody tr"
TITLE = "#delivery-title"
FOCUSED = "document.activeElement"


@pytest.fixture
def webhook(site) -> Webhook:
    return site.dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            endpoints=[site.receiver.url_for("/hooks", host="crm.example.com")],
            subscriptions=[EventSubscription("whatsapp", "message.received")],
            status="active",
        ),
        tenant="acme",
    )


@pytest.fixture
def send(site, webhook):
    """Send events, each with its response, one after the other; return the deliveries, newest first."""

    def send(*answers, subject=None):
        for answer in answers:
            site.receiver.answer(answer)
            emit(site, subject)
        return list(site.dispatcher.log.deliveries(tenant="acme", limit=len(answers)))

    return send


def emit(site, subject=None) -> None:
    before = len(site.receiver.requests)
    site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme", subject=subject)
    site.receiver.wait_for(before + 1)
    # A drain returns when what was sent is recorded.
    site.dispatcher.drain()


def row(page, delivery):
    return page.locator(f"#row-{delivery.id}")


def focused_in(page, selector: str) -> None:
    """Wait until the focus is on what a selector finds."""
    page.wait_for_function("selector => document.activeElement.matches(selector)", arg=selector)


def test_a_row_opens_beside_the_list_and_escape_leads_back_to_it(site, browse, send):
    newest, failed, _ = send(204, 500, 204)
    page = browse()
    page.goto(site.url + "/deliveries?period=24h")
    listed = page.url
    # Not only the link: the whole row.
    row(page, failed).locator(".took").click(force=True)
    page.locator(TITLE).wait_for()
    focused_in(page, TITLE)
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
    focused_in(page, f'a[data-drawer="{failed.id}"]')
    assert page.url == listed
    # By keyboard from there: up to the row above, and Enter.
    page.keyboard.press("ArrowUp")
    focused_in(page, f'a[data-drawer="{newest.id}"]')
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/deliveries/{newest.id}?in=*")
    drawer.get_by_role("button", name="Close").click()
    drawer.wait_for(state="hidden")
    assert page.url == listed


def test_arrows_lead_to_the_next_delivery_of_the_list(site, browse, send):
    third, _, second, _, first = send(503, 204, 500, 204, 502)
    page = browse()
    page.goto(site.url + "/deliveries?code=5xx")
    row(page, second).get_by_role("link").click()
    page.locator(TITLE).wait_for()
    focused_in(page, TITLE)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**/deliveries/{first.id}?in=*")
    # There is none older, so that only the way back is left.
    older = page.get_by_role("button", name="Older delivery")
    older.and_(page.locator(":disabled")).wait_for()
    newer = page.get_by_role("link", name="Newer delivery")
    newer.click()
    page.wait_for_url(f"**/deliveries/{second.id}?in=*")
    focused_in(page, '#drawer a[rel="prev"]')
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/deliveries/{third.id}?in=*")
    assert row(page, third).get_attribute("aria-current") == "true"
    # However many were looked at, Back leads to the list.
    page.go_back()
    page.locator("#drawer").wait_for(state="hidden")
    page.wait_for_url("**/deliveries?code=5xx")
    focused_in(page, f'a[data-drawer="{third.id}"]')
    page.go_forward()
    page.locator(TITLE).wait_for()


def test_back_leads_to_the_list_as_its_filters_were_changed(site, browse, send):
    failed, _ = send(204, 500)
    page = browse()
    page.goto(site.url + "/deliveries")
    page.get_by_label("Status code").fill("5xx")
    page.get_by_label("Status code").press("Enter")
    page.wait_for_url("**code=5xx*")
    listed = page.url
    page.evaluate("window.same = true")
    row(page, failed).get_by_role("link").click()
    focused_in(page, TITLE)
    page.keyboard.press("Escape")
    page.wait_for_url(listed)
    focused_in(page, f'a[data-drawer="{failed.id}"]')
    assert page.evaluate("window.same")
    assert page.locator(ROWS).count() == 1


def test_the_url_of_an_open_delivery_is_a_page_by_itself(site, browse, send):
    newer, failed = send(500, 204)
    page = browse()
    page.goto(site.url + "/deliveries?period=1h")
    row(page, failed).get_by_role("link").click()
    focused_in(page, TITLE)
    page.reload()
    assert page.locator("#drawer").count() == 0
    page.get_by_role("heading", level=1, name="Message received").wait_for()
    page.get_by_role("link", name="Newer delivery").click()
    page.wait_for_url(f"**/deliveries/{newer.id}?in=*")
    page.get_by_role("link", name="Back to the list").click()
    page.wait_for_url("**/deliveries?period=1h")


def test_a_delivery_that_cannot_be_fetched_leaves_the_list_as_it_is(site, chromium, send):
    [delivery] = send(500)
    context = chromium.new_context()
    context.add_cookies([{"name": "tenant", "value": "acme", "url": site.url}])
    page = context.new_page()
    page.goto(site.url + "/deliveries")
    listed = page.url
    page.route("**/deliveries/dlv_*", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    row(page, delivery).get_by_role("link").click()
    page.locator("#toasts .wrong").wait_for()
    assert page.url == listed
    assert page.locator("#drawer").is_hidden()
    page.unroute("**/deliveries/dlv_*")
    row(page, delivery).get_by_role("link").click()
    focused_in(page, TITLE)
    context.close()


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
    made = [one.replay_of for one in site.dispatcher.log.deliveries(tenant="acme") if one.replay_of]
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
    send(204, 204, 204, 204)
    _, _, since, _ = site.dispatcher.log.deliveries(tenant="acme")
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
    for _ in range(31):
        site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme")
    site.receiver.wait_for(31)
    site.dispatcher.drain()
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}/deliveries")
    page.get_by_text("1 to 30 of 31").wait_for()
    page.get_by_role("link", name="Older", exact=True).click()
    page.get_by_text("31 to 31 of 31").wait_for()
    page.get_by_role("link", name="Newer", exact=True).click()
    page.get_by_text("1 to 30 of 31").wait_for()


def test_what_is_searched_and_filtered_stands_in_the_url(site, browse, send):
    by_subject, other = send(500, subject="order/7")[0], send(204)[0]
    page = browse()
    page.goto(site.url + "/deliveries")
    search = page.get_by_label("Search deliveries")
    for text, found in (
        (other.id, other),
        (by_subject.event_id, by_subject),
        ("order/", by_subject),
        ("crm.example.com", other),
    ):
        search.fill(text)
        search.press("Enter")
        page.wait_for_url(re.compile("search=" + text.replace("/", "%2F")))
        row(page, found).wait_for()
    page.get_by_label("Status code").fill("500")
    page.get_by_label("Status code").press("Enter")
    page.get_by_text("1 to 1 of 1").wait_for()
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
    page.get_by_label("Until (UTC)").fill("2026-01-01T00:00")
    page.get_by_label("Until (UTC)").press("Enter")
    page.get_by_role("alert").get_by_text("From must not be later than Until.").wait_for()
    assert page.locator(ROWS).count() == 0
    assert page.get_by_label("Until (UTC)").input_value().startswith("2026-01-01T00:00")


def test_times_are_typed_in_the_viewers_zone(site, browse, send):
    [delivery] = send(204)
    made = delivery.created_at.astimezone(timezone(timedelta(hours=3)))
    page = browse(timezone_id="Asia/Riyadh")
    page.goto(site.url + "/deliveries")
    page.get_by_text("Exact times").click()
    until = page.get_by_label("Until (Asia/Riyadh)")
    until.fill((made - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M"))
    until.press("Enter")
    page.get_by_text("No deliveries match").wait_for()
    assert "zone=Asia%2FRiyadh" in page.url
    assert "state=" not in page.url
    page.get_by_text("Exact times").click()
    until.fill((made + timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M"))
    until.press("Enter")
    row(page, delivery).wait_for()
    page.reload()
    page.get_by_text("Exact times").click()
    page.get_by_label("Until (Asia/Riyadh)").wait_for()
    row(page, delivery).get_by_role("link").click()
    focused_in(page, TITLE)
    page.keyboard.press("Escape")
    page.wait_for_url("**zone=Asia%2FRiyadh*")


def test_rows_change_in_place_and_new_ones_wait_in_a_pill(site, browse, send):
    [waiting] = send(503)
    page = browse()
    page.goto(site.url + "/deliveries")
    row(page, waiting).get_by_text("503").wait_for()
    row(page, waiting).get_by_role("checkbox").check()
    row(page, waiting).get_by_role("link").focus()
    place = row(page, waiting).bounding_box()
    emit(site)
    site.dispatcher.log.cancel(waiting.id, tenant="acme")
    page.get_by_role("button", name="1 new").wait_for()
    row(page, waiting).get_by_text("Cancelled").wait_for()
    assert row(page, waiting).bounding_box() == place
    assert row(page, waiting).get_by_role("checkbox").is_checked()
    focused_in(page, f'a[data-drawer="{waiting.id}"]')
    page.get_by_text("1 to 2 of 2").or_(page.get_by_text("1 to 1 of 2")).wait_for()
    page.get_by_role("button", name="1 new").click()
    page.wait_for_function("document.querySelectorAll('#results tbody tr').length === 2")


def test_the_log_works_without_javascript(site, browse, send):
    failed, *_ = send(503, 204, Answer(500, body=b'{"error": 1}'))
    page = browse(java_script_enabled=False)
    page.goto(site.url + "/deliveries")
    page.get_by_label("Status code").fill("500")
    page.get_by_role("button", name="Apply").click()
    page.get_by_text("1 to 1 of 1").wait_for()
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
    page = browse(viewport={"width": 390, "height": 800})
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
    page.get_by_label("Search deliveries").fill("x" * 301)
    page.get_by_label("Search deliveries").press("Enter")
    page.get_by_text("Only the first 300 characters of what was entered are used.").wait_for()


def test_failures_without_a_response_are_a_filter(site, browse, send):
    send(Answer(drop=True), 204)
    page = browse()
    page.goto(f"{site.url}/deliveries")
    page.get_by_label("Status code").fill("none")
    page.get_by_label("Status code").press("Enter")
    page.wait_for_url("**code=none*")
    page.get_by_text("1 to 1 of 1").wait_for()
    page.locator(ROWS, has_text="No response").wait_for()


def test_a_delivery_covers_the_page_of_a_phone(site, browse, send):
    [failed] = send(500)
    page = browse(viewport={"width": 390, "height": 800})
    page.goto(site.url + "/deliveries")
    row(page, failed).get_by_role("link").click()
    focused_in(page, TITLE)
    assert page.locator("#drawer").bounding_box()["width"] == 390
    # What lies below can be reached by nobody.
    assert page.locator("header.top").evaluate("header => header.inert")
    page.get_by_role("button", name="Close").click()
    focused_in(page, f'a[data-drawer="{failed.id}"]')
    assert not page.locator("header.top").evaluate("header => header.inert")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("width", [1280, 320])
def test_a_delivery_beside_the_log_passes_axe(site, browse, send, scheme, language, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    failed, _ = send(204, Answer(500, body=b'{"error": {"code": 17, "fatal": false}}'))
    page = browse(color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    page.goto(f"{site.url}/deliveries?lang={language}")
    row(page, failed).get_by_role("link").click()
    focused_in(page, TITLE)
    found = axe.run(page)
    assert not found.response["violations"], found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
