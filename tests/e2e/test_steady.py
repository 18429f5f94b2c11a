"""No input is lost and nothing happens twice: double clicks, reloads, broken and slow networks, ended sessions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from unihooks import EventSubscription, Webhook

from .conftest import EXAMPLE, Site

# What Chromium and htmx say of a request that a test lets fail.
EXPECTED = re.compile(r"Failed to load resource|htmx:error")
REFUSED = '<main id="main"><h1>Something went wrong</h1><p>Go back</p></main>'
TYPED = '{"messageId": "typed by hand", "sender": {}}'
ROWS = "#results tbody tr"


@pytest.fixture
def rough(chromium, site) -> Iterator[Callable[..., object]]:
    """Open pages whose requests may fail, as a viewer of a tenant; no script may fail for that."""
    wrong: list[str] = []
    contexts = []

    def open_page(**options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(10_000)
        sign_in(context, site)
        page = context.new_page()
        page.on("console", lambda one: one.type == "error" and not EXPECTED.search(one.text) and wrong.append(one.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def webhook(site) -> Webhook:
    return site.dispatcher.webhooks.add(
        Webhook(
            name="CRM sync",
            endpoints=[site.receiver.url_for("/hooks", host="crm.example.com")],
            subscriptions=[EventSubscription("whatsapp", "message.received")],
        ),
        tenant="acme",
    )


def sign_in(context, site: Site) -> None:
    context.add_cookies([{"name": "tenant", "value": "acme", "url": site.url}])


def emit(site: Site, count: int = 1) -> None:
    for _ in range(count):
        site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme")
    site.dispatcher.drain()


def open_test(page, site: Site, webhook: Webhook):
    """Open the page of test events with a payload typed, and return its button."""
    page.goto(f"{site.url}/webhooks/{webhook.id}/test")
    page.get_by_label("Payload, before the mapping").fill(TYPED)
    return page.get_by_role("button", name="Send test event")


def rotate_button(page):
    """Open the menu of the page of the secret, and return the button that makes a new one."""
    page.get_by_text("Rotate", exact=False).locator("visible=true").first.click()
    return page.get_by_role("button", name="Make a new secret")


def typed(page) -> str:
    return page.get_by_label("Payload, before the mapping").input_value()


def is_focused(locator) -> bool:
    return locator.evaluate("element => element === document.activeElement")


def answers(page, url: str, **answer) -> None:
    page.route(url, lambda route: route.fulfill(**answer))


def lose_answers(page, url: str) -> None:
    """Let requests reach the server, and a proxy respond in its place."""

    def lose(route) -> None:
        route.fetch()
        route.fulfill(status=502, body="")

    page.route(url, lose)


@pytest.mark.parametrize("javascript", [True, False])
def test_double_click_does_it_once(site, rough, webhook, javascript):
    page = rough(java_script_enabled=javascript)
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    rotate_button(page).dblclick()
    page.locator("code[data-secret]").or_(page.get_by_text("This form was already sent")).first.wait_for()
    assert len(site.dispatcher.webhooks.get(webhook.id, tenant="acme").secrets) == 2


def test_reload_after_a_post_without_javascript_does_nothing_again(site, rough, webhook):
    page = rough(java_script_enabled=False)
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    rotate_button(page).click()
    page.locator("code[data-secret]").first.wait_for()
    page.reload()
    page.get_by_text("This form was already sent, so nothing was done again.").wait_for()
    assert page.locator("code[data-secret]").count() == 0
    assert len(site.dispatcher.webhooks.get(webhook.id, tenant="acme").secrets) == 2


@pytest.mark.parametrize("javascript", [True, False])
def test_what_was_done_is_said_once(site, rough, webhook, javascript):
    page = rough(java_script_enabled=javascript)
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    page.get_by_role("button", name="Activate").first.click()
    page.get_by_text("The webhook is active").wait_for()
    assert "done" not in page.url
    page.reload()
    page.get_by_role("button", name="Deactivate").wait_for()
    assert page.get_by_text("The webhook is active").count() == 0


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
    assert (typed(page), is_focused(send), send.get_attribute("aria-busy")) == (TYPED, True, None)
    page.unroute("**/test")
    send.click()
    page.locator(".timeline").get_by_text("204").wait_for()
    assert (typed(page), is_focused(send), page.get_by_role("alert").count()) == (TYPED, True, 0)


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
    page.locator(".timeline").get_by_text("204").wait_for()


def test_ended_session_keeps_what_was_typed_and_goes_on_after_signing_in(site, rough, webhook):
    page = rough()
    send = open_test(page, site, webhook)
    page.context.clear_cookies(name="tenant")
    send.click()
    page.get_by_role("alert").get_by_text("Your session has ended").wait_for()
    with page.context.expect_page() as opened:
        page.get_by_role("alert").get_by_role("link", name="Sign in").click()
    opened.value.get_by_role("link", name="Go on where you were").wait_for()
    sign_in(page.context, site)
    opened.value.get_by_role("link", name="Go on where you were").click()
    opened.value.get_by_role("button", name="Send test event").wait_for()
    assert opened.value.url == page.url
    send.click()
    page.locator(".timeline").get_by_text("204").wait_for()
    assert site.receiver.wait_for(1)[0].json()["messageId"] == "typed by hand"


def test_page_of_a_session_with_other_cookies_is_renewed_where_it_is(site, rough, webhook):
    page = rough()
    send = open_test(page, site, webhook)
    page.context.clear_cookies()
    sign_in(page.context, site)
    send.click()
    page.get_by_role("alert").get_by_text("This page was out of date, and is renewed").wait_for()
    assert (typed(page), is_focused(send)) == (TYPED, True)
    send.click()
    page.locator("#toasts").get_by_text("1 of 1 endpoint has accepted the test.").wait_for()
    assert site.receiver.wait_for(1)[0].json()["messageId"] == "typed by hand"


def test_ended_session_without_javascript_keeps_what_was_typed(site, rough, webhook):
    page = rough(java_script_enabled=False)
    send = open_test(page, site, webhook)
    page.context.clear_cookies(name="tenant")
    send.click()
    page.get_by_text("it is still on this page").wait_for()
    sign_in(page.context, site)
    page.get_by_role("button", name="Send it again").click()
    page.locator(".timeline").get_by_text("204").wait_for()
    assert site.receiver.wait_for(1)[0].json()["messageId"] == "typed by hand"


def test_button_of_a_page_that_is_not_partial_keeps_the_page_too(site, rough, webhook):
    page = rough()
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    activate = page.get_by_role("button", name="Activate").first
    answers(page, "**/activate", status=503, body="")
    activate.click()
    page.get_by_role("alert").get_by_text("is not responding at the moment (503)").wait_for()
    assert is_focused(activate)
    page.unroute("**/activate")
    activate.click()
    page.get_by_text("The webhook is active").wait_for()


def test_lost_answer_of_what_was_done_does_not_do_it_again(site, rough, webhook):
    page = rough()
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    rotate = rotate_button(page)

    lose_answers(page, "**/rotate")
    rotate.click()
    page.get_by_role("alert").wait_for()
    page.unroute("**/rotate")
    rotate.click()
    page.get_by_text("This form was already sent").wait_for()
    assert len(site.dispatcher.webhooks.get(webhook.id, tenant="acme").secrets) == 2


def test_slow_network_shows_that_it_waits_and_sends_once(site, rough, webhook):
    page = rough()
    send = open_test(page, site, webhook)
    held = []

    def hold(route) -> None:
        held.append(route)

    page.route("**/test", hold)
    send.click()
    page.locator("#progress").wait_for()
    assert send.get_attribute("aria-busy") == "true"
    for _ in range(2):
        send.dispatch_event("click")
    assert len(held) == 1
    held[0].continue_()
    page.locator(".timeline").get_by_text("204").wait_for()
    page.locator("#progress").wait_for(state="hidden")
    assert (send.get_attribute("aria-busy"), len(site.receiver.wait_for(1))) == (None, 1)


def test_new_rows_wait_behind_a_pill_and_shown_ones_change_in_place(site, rough, webhook):
    site.dispatcher.webhooks.activate(webhook.id, tenant="acme")
    site.receiver.answer(503)
    emit(site)
    page = rough()
    page.goto(site.url + "/deliveries")
    row = page.locator(ROWS)
    row.get_by_text("503").wait_for()
    (shown,) = site.dispatcher.log.deliveries(tenant="acme")
    link = row.get_by_role("link").first
    link.focus()
    place = row.bounding_box()
    site.dispatcher.log.cancel(shown.id, tenant="acme")
    emit(site, 3)
    page.get_by_role("button", name="3 new").wait_for()
    row.get_by_text("Cancelled", exact=True).wait_for()
    assert (row.count(), is_focused(link), row.bounding_box()["y"]) == (1, True, place["y"])
    page.get_by_role("button", name="3 new").click()
    page.locator(ROWS).nth(3).wait_for()
    assert page.locator(ROWS).count() == 4
    assert page.get_by_role("button", name="3 new").count() == 0
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 1


def test_polling_says_since_when_it_fails_and_goes_on_by_itself(site, rough, webhook):
    site.dispatcher.webhooks.activate(webhook.id, tenant="acme")
    emit(site)
    page = rough()
    page.goto(site.url + "/deliveries")
    page.locator(ROWS).get_by_text("Delivered").wait_for()
    asked = []

    def fail(route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=502, body="Bad gateway")

    page.route("**/deliveries", fail)
    page.get_by_role("status").get_by_text(re.compile(r"Last updated \d+ seconds ago\. Trying again")).wait_for()
    assert page.locator(ROWS).count() == 1
    assert page.get_by_role("alert").count() == 0
    page.unroute("**/deliveries")
    emit(site)
    page.evaluate("dispatchEvent(new Event('online'))")
    page.get_by_role("button", name="1 new").wait_for()
    assert page.get_by_text("Last updated").count() == 0 or page.get_by_text("Last updated").is_hidden()


def test_polling_of_an_ended_session_says_so_and_goes_on_after_signing_in(site, rough, webhook):
    site.dispatcher.webhooks.activate(webhook.id, tenant="acme")
    emit(site)
    page = rough()
    page.goto(site.url + "/deliveries")
    page.context.clear_cookies(name="tenant")
    page.get_by_role("status").get_by_text("your session has ended").wait_for()
    assert page.locator(ROWS).count() == 1
    sign_in(page.context, site)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("status").get_by_text("your session has ended").wait_for(state="hidden")


def test_focus_stays_in_the_filters_while_results_are_replaced(site, rough, webhook):
    page = rough()
    page.goto(site.url + "/")
    search = page.get_by_label("Search", exact=True)
    search.press_sequentially("nothing")
    page.get_by_text("No webhooks match").wait_for()
    assert (is_focused(search), search.input_value()) == (True, "nothing")
    answers(page, "**/*search=*", status=502, body="")
    search.press_sequentially("!")
    page.get_by_role("alert").wait_for()
    assert (is_focused(search), search.input_value()) == (True, "nothing!")
    assert page.get_by_text("No webhooks match").count() == 1


def test_times_are_the_viewers_own_with_seconds_and_zone(site, rough, webhook):
    site.dispatcher.webhooks.activate(webhook.id, tenant="acme")
    emit(site)
    page = rough(timezone_id="Asia/Riyadh", locale="en-GB")
    page.goto(f"{site.url}/deliveries")
    (delivery,) = site.dispatcher.log.deliveries(tenant="acme")
    there = delivery.created_at + timedelta(hours=3)
    time = page.locator(f"{ROWS} time").first
    assert time.inner_text() == f"{there:%b} {there.day}, {there:%H:%M:%S}"
    own, _, universal = time.get_attribute("title").partition(" · ")
    assert own == f"{there:%b} {there.day}, {there.year}, {there:%H:%M:%S} GMT+3"
    assert universal == "" or universal.endswith(" UTC")
    plain = rough(java_script_enabled=False)
    plain.goto(f"{site.url}/deliveries")
    assert plain.locator(f"{ROWS} time").first.inner_text() == f"{delivery.created_at:%Y-%m-%d %H:%M:%S} UTC"


def test_theme_is_changed_without_losing_what_is_typed(site, rough, webhook):
    page = rough(color_scheme="light")
    open_test(page, site, webhook)
    page.get_by_role("button", name="Theme: system").click()
    page.locator("html.dark").wait_for(state="attached")
    assert is_focused(page.get_by_role("button", name="Theme: dark"))
    assert typed(page) == TYPED


def test_filters_stay_when_the_language_is_changed(site, rough, webhook):
    page = rough()
    page.goto(site.url + "/")
    page.get_by_label("Search", exact=True).fill("CRM")
    page.wait_for_url("**search=CRM*")
    page.get_by_role("button", name="العربية").click()
    page.locator("html[dir=rtl]").wait_for(state="attached")
    assert "search=CRM" in page.url


def test_create_whose_answer_was_lost_leads_to_the_webhook_that_was_made(site, rough):
    page = rough()
    page.goto(site.url + "/new")
    page.get_by_label("Name", exact=True).fill("CRM sync")
    page.get_by_label("URL of endpoint 1").fill(site.receiver.url_for("/hooks", host="crm.example.com"))
    page.locator("#draft button[value='step:review']").click()
    page.get_by_role("heading", name="Review", level=2).wait_for()
    create = page.get_by_role("button", name="Create webhook")
    lose_answers(page, "**/review")
    create.click()
    page.get_by_role("alert").get_by_text("is not responding at the moment (502)").wait_for()
    page.unroute("**/review")
    create.click()
    page.wait_for_url("**/webhooks/wh_**")
    (added,) = site.dispatcher.webhooks.list(tenant="acme")
    assert added.id in page.url


@pytest.mark.parametrize("broken", ["502", "offline", "ended"])
def test_settings_keep_what_was_typed(site, rough, webhook, broken):
    page = rough()
    page.goto(f"{site.url}/webhooks/{webhook.id}/settings/details")
    name = page.get_by_label("Name", exact=True)
    name.fill("Renamed")
    if broken == "502":
        answers(page, "**/details", status=502, body="<h1>Bad gateway</h1>")
    elif broken == "ended":
        page.context.clear_cookies(name="tenant")
    page.context.set_offline(broken == "offline")
    save = page.locator("#draft button[value=save]:visible:not(.sr-only)")
    save.click()
    page.get_by_role("alert").wait_for()
    assert (name.input_value(), is_focused(save)) == ("Renamed", True)
    page.context.set_offline(False)
    page.unroute("**/details")
    sign_in(page.context, site)
    save.click()
    page.get_by_text("Your changes are saved").wait_for()
    assert site.dispatcher.webhooks.get(webhook.id, tenant="acme").name == "Renamed"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_is_said_over_a_page(site, rough, webhook, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: use `nox -s e2e`")
    site.dispatcher.webhooks.activate(webhook.id, tenant="acme")
    emit(site)
    page = rough(color_scheme=scheme, viewport={"width": 320, "height": 700})
    page.goto(site.url + "/deliveries")
    page.locator(ROWS).first.wait_for()
    emit(site)
    page.get_by_role("button", name="1 new").wait_for()
    answers(page, "**/*", status=502, body="")
    page.get_by_text("Last updated").wait_for()
    page.locator("button[name=theme]").click()
    page.get_by_role("alert").wait_for()
    found = axe.Axe().run(page).response["violations"]
    assert not [(one["id"], one["nodes"][0]["target"]) for one in found]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_button_that_asks_by_itself_is_busy_keeps_the_focus_and_asks_once(site, rough, webhook):
    page = rough()
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    check = page.get_by_role("button", name="Check connection")
    held = []

    def hold(route) -> None:
        held.append(route)

    page.route("**/check", hold)
    check.click()
    page.locator("button.check-live[aria-busy=true]").wait_for()
    check.dispatch_event("click")
    assert (len(held), is_focused(check)) == (1, True)
    held[0].fulfill(status=502, body="")
    page.get_by_role("alert").get_by_text("is not responding at the moment (502)").wait_for()
    page.unroute("**/check")
    check.click()
    page.get_by_text("Its certificate is accepted").wait_for()
    assert is_focused(check)


def test_browser_asks_before_what_is_typed_is_left_and_not_after_it_was_saved(site, rough, webhook):
    page = rough()
    asked = []

    def stay(dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto(f"{site.url}/webhooks/{webhook.id}/settings/details")
    name = page.get_by_label("Name", exact=True)
    name.click()
    name.press_sequentially("Renamed")
    with page.expect_event("dialog"):
        page.get_by_role("link", name="Events", exact=True).first.click(no_wait_after=True)
    page.locator("#progress").wait_for(state="hidden")
    assert (name.input_value()[-7:], asked) == ("Renamed", ["beforeunload"])
    page.locator("#draft button[value=save]:visible:not(.sr-only)").click()
    page.get_by_text("Your changes are saved").wait_for()
    assert asked == ["beforeunload"]
    page.goto(f"{site.url}/webhooks/{webhook.id}/settings/details")
    name.click()
    name.press_sequentially("Dropped")
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/settings")
    assert asked == ["beforeunload"]
