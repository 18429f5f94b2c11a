"""A new webhook is kept as a draft, in a real browser: no input is lost until it becomes a webhook."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from unihooks import verify

from .conftest import EGRESS_IP, EXAMPLE, Site

# What Chromium says of a request that a test lets fail.
EXPECTED = re.compile(r"Failed to load resource|htmx:error")
SECRET = "Bearer s3cr3t-of-crm"
OTHER_SCREEN = {"viewport": {"width": 320, "height": 720}}
RESULT_IN_SIGHT = """() => {
  const edge = (selector, side) => document.querySelector(selector).getBoundingClientRect()[side];
  return edge(".trial .timeline", "bottom") <= edge(".bar", "top");
}"""


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


def sign_in(context, site: Site) -> None:
    context.add_cookies([{"name": "tenant", "value": "acme", "url": site.url}])


def press(page, value: str) -> None:
    page.locator(f'#draft button[name=go][value="{value}"]:visible:not(.sr-only)').click()


def on_step(page, name: str) -> None:
    page.get_by_role("heading", name=name, level=2, exact=True).wait_for()


def saved(page) -> None:
    page.locator("#kept").get_by_text("Saved", exact=True).wait_for()


def name_field(page):
    return page.get_by_label("Name", exact=True)


def url_field(page, number: int = 1):
    return page.get_by_label(f"URL of endpoint {number}", exact=True)


def urls(page) -> list[str]:
    return [one.input_value() for one in page.locator("input[name=endpoint_url]").all()]


def begun(page, site: Site, name: str = "CRM sync", path: str = "/hooks") -> str:
    """Enter the details of a new webhook, wait until they are saved by themselves, and return the page's URL."""
    page.goto(site.url + "/new?fresh=1")
    name_field(page).fill(name)
    url_field(page).fill(site.receiver.url_for(path, host="crm.example.com"))
    url_field(page).blur()
    saved(page)
    return page.url


def reviewed(page, site: Site) -> None:
    """Go on to the last step, with an event chosen."""
    begun(page, site)
    press(page, "next")
    on_step(page, "Events")
    page.get_by_label("Message received").first.check()
    press(page, "step:review")
    on_step(page, "Review")


def has_value(field, text: str) -> None:
    from playwright.sync_api import expect

    expect(field).to_have_value(text)


def is_focused(field) -> None:
    from playwright.sync_api import expect

    expect(field).to_be_focused()


def names(site: Site) -> list[str]:
    return [one.name for one in site.dispatcher.webhooks.list(tenant="acme")]


def paste(page, field, text: str) -> None:
    """Paste into a field, as from the clipboard."""
    field.focus()
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            const event = new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
            document.activeElement.dispatchEvent(event);
        }""",
        text,
    )


def test_what_was_entered_is_saved_by_itself_and_survives_a_reload_and_another_language_and_theme(site, browse):
    page = browse()
    url = begun(page, site)
    page.reload()
    assert (name_field(page).input_value(), page.url) == ("CRM sync", url)
    name_field(page).fill("Not yet left")
    page.get_by_role("button", name="Theme: system").click()
    page.locator("html.dark").wait_for(state="attached")
    assert (name_field(page).input_value(), page.url) == ("Not yet left", url)
    name_field(page).fill("In Arabic")
    page.get_by_role("button", name="العربية").click()
    page.locator("html[dir=rtl]").wait_for(state="attached")
    assert (page.locator("#name").input_value(), page.url) == ("In Arabic", url)


def test_a_reload_right_after_typing_keeps_what_was_typed(site, browse):
    page = browse()
    begun(page, site)
    name_field(page).fill("Typed just now")
    page.reload()
    has_value(name_field(page), "Typed just now")


def test_a_link_away_and_back_keeps_what_was_typed(site, browse):
    page = browse()
    begun(page, site)
    name_field(page).fill("Typed before the link")
    page.get_by_role("link", name="Deliveries", exact=True).click()
    page.get_by_role("heading", name="Deliveries", level=1).wait_for()
    page.go_back()
    has_value(name_field(page), "Typed before the link")


@pytest.mark.parametrize("javascript", [True, False])
def test_each_step_has_its_own_url_and_back_leads_to_it(site, browse, javascript):
    page = browse(java_script_enabled=javascript)
    page.goto(site.url + "/new")
    name_field(page).fill("CRM sync")
    url_field(page).fill(site.receiver.url_for("/hooks", host="crm.example.com"))
    press(page, "next")
    on_step(page, "Events")
    assert page.url.endswith("/events")
    page.get_by_label("Message received").first.check()
    press(page, "next")
    on_step(page, "Payload")
    page.reload()
    on_step(page, "Payload")
    page.go_back()
    on_step(page, "Events")
    assert page.get_by_label("Message received").first.is_checked()
    page.go_back()
    on_step(page, "Details")
    assert name_field(page).input_value() == "CRM sync"
    press(page, "add-endpoint")
    url_field(page, 2).wait_for()
    page.reload()
    assert url_field(page, 2).input_value() == ""
    page.go_back()
    assert "/new" in page.url or page.url.endswith("blank")


def test_two_tabs_on_one_draft_are_told_apart(site, rough):
    page = rough()
    url = begun(page, site)
    other = page.context.new_page()
    other.goto(url)
    name_field(other).fill("From the other tab")
    name_field(other).blur()
    saved(other)
    name_field(page).fill("From this tab")
    name_field(page).blur()
    page.get_by_role("alert").get_by_text("changed in another tab").wait_for()
    assert name_field(page).input_value() == "From this tab"
    press(page, "next")
    page.get_by_role("alert").get_by_text("changed in another tab").wait_for()
    press(page, "next")
    on_step(page, "Events")
    other.reload()
    assert name_field(other).input_value() == "From this tab"


def test_an_ended_session_loses_nothing(site, rough):
    page = rough()
    url = begun(page, site)
    page.context.clear_cookies(name="tenant")
    name_field(page).fill("While signed out")
    name_field(page).blur()
    page.get_by_role("alert").get_by_text("you are signed out").wait_for()
    press(page, "next")
    page.locator("#toasts").get_by_text("Your session has ended").wait_for()
    assert (name_field(page).input_value(), page.url) == ("While signed out", url)
    other = page.context.new_page()
    other.goto(url)
    back = other.get_by_role("link", name="Go on where you were")
    back.wait_for()
    sign_in(page.context, site)
    back.click()
    assert (other.url, name_field(other).input_value()) == (url, "CRM sync")
    page.bring_to_front()
    saved(page)
    other.reload()
    assert name_field(other).input_value() == "While signed out"


@pytest.mark.parametrize("broken", ["502", "offline", "429"])
def test_what_could_not_be_saved_is_saved_once_it_can(site, rough, broken):
    page = rough()
    url = begun(page, site)
    if broken == "offline":
        page.context.set_offline(True)
    else:
        page.route(url, lambda route: route.fulfill(status=int(broken), body="<h1>Bad</h1>", content_type="text/html"))
    name_field(page).fill("Not lost")
    name_field(page).blur()
    page.get_by_role("alert").get_by_text("Not saved yet").wait_for()
    press(page, "next")
    page.locator("#toasts .wrong").wait_for()
    assert (name_field(page).input_value(), page.url) == ("Not lost", url)
    if broken == "offline":
        page.context.set_offline(False)
    else:
        page.unroute(url)
    saved(page)
    press(page, "next")
    on_step(page, "Events")


def test_drafts_are_offered_on_the_list_continued_and_discarded(site, browse):
    page = browse()
    reviewed(page, site)
    begun(page, site, "Second")
    page.goto(site.url + "/")
    page.get_by_role("heading", name="Unfinished webhooks").wait_for()
    page.get_by_role("link", name="Continue CRM sync").click()
    on_step(page, "Events")
    page.goto(site.url + "/new")
    page.get_by_role("heading", name="Continue where you left off?").wait_for()
    page.get_by_role("button", name="Discard Second").click()
    page.get_by_text("The draft is discarded.").wait_for()
    assert page.get_by_role("link", name="Continue Second").count() == 0
    page.get_by_role("link", name="Continue CRM sync").click()
    on_step(page, "Events")
    page.get_by_role("button", name="Discard", exact=True).click()
    page.get_by_text("No webhooks yet").wait_for()
    assert page.get_by_role("heading", name="Unfinished webhooks").count() == 0


def test_the_value_of_a_header_is_kept_and_never_shown_again(site, browse):
    page = browse()
    begun(page, site)
    press(page, "step:headers")
    on_step(page, "Headers")
    press(page, "add-header")
    page.get_by_label("Name of header 1").fill("Authorization")
    page.get_by_label("Value of header 1").fill(SECRET)
    page.get_by_label("Value of header 1").blur()
    saved(page)
    page.reload()
    on_step(page, "Headers")
    page.get_by_text("Authorization", exact=True).wait_for()
    assert SECRET not in page.content()
    press(page, "next")
    on_step(page, "Review")
    assert SECRET not in page.content()
    press(page, "save")
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    (added,) = site.dispatcher.webhooks.list(tenant="acme")
    assert added.headers.revealed() == [("Authorization", SECRET)]


def test_pasted_lines_become_rows_and_a_url_without_https_is_completed(site, browse):
    page = browse()
    page.goto(site.url + "/new")
    name_field(page).fill("Pasted")
    paste(page, url_field(page), "https://a.example.com/in\nb.example.com\n")
    url_field(page, 2).wait_for()
    assert urls(page) == ["https://a.example.com/in", "b.example.com"]
    page.get_by_role("button", name="Add https://?").click()
    has_value(url_field(page, 2), "https://b.example.com")
    assert (page.get_by_text("This URL is well formed").count(), name_field(page).input_value()) == (2, "Pasted")
    paste(page, url_field(page), "one")
    assert len(urls(page)) == 2
    press(page, "step:headers")
    on_step(page, "Headers")
    press(page, "add-header")
    paste(page, page.get_by_label("Name of header 1"), f"Authorization: {SECRET}\nX-Key: 1")
    page.get_by_text("X-Key", exact=True).wait_for()
    assert SECRET not in page.content()


def test_the_first_field_has_the_focus_and_the_column_is_narrow(site, browse):
    page = browse()
    page.goto(site.url + "/new")
    is_focused(name_field(page))
    assert page.locator("#draft").bounding_box()["width"] <= 640
    # The addresses for the firewall are beside the URLs.
    page.locator("#endpoints").get_by_text(EGRESS_IP).wait_for()
    page.get_by_role("button", name="Next").locator("visible=true").last.click()
    name_field(page).and_(page.locator("[aria-invalid]")).wait_for()
    is_focused(name_field(page))


def test_the_wizard_fits_on_a_phone(site, browse):
    page = browse(**OTHER_SCREEN)
    begun(page, site)
    for step in ("Events", "Payload", "Headers", "Review"):
        press(page, "next")
        on_step(page, step)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), step


@pytest.mark.parametrize("javascript", [True, False])
def test_a_webhook_is_tried_created_activated_and_then_the_checklist_says_what_is_left(site, browse, javascript):
    page = browse(java_script_enabled=javascript)
    page.goto(site.url + "/new")
    name_field(page).fill("CRM sync")
    url_field(page).fill(site.receiver.url_for("/hooks", host="crm.example.com"))
    press(page, "next")
    on_step(page, "Events")
    page.get_by_label("Message received").first.check()
    press(page, "step:review")
    on_step(page, "Review")
    site.receiver.answer(500, 204)
    for told in ("Not every endpoint has accepted it.", "Every endpoint has accepted it."):
        press(page, "try")
        page.get_by_text(told, exact=True).wait_for()
    if javascript:
        page.wait_for_function(RESULT_IN_SIGHT)
    assert [one.json() for one in site.receiver.wait_for(2)] == [EXAMPLE] * 2
    assert names(site) == []
    press(page, "save:active")
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    page.get_by_role("heading", name="Activated").wait_for()
    secret = page.locator("code[data-secret]").inner_text()
    site.dispatcher.emit("whatsapp", "message.received", EXAMPLE, tenant="acme")
    *_, sent = site.receiver.wait_for(3)
    assert verify(sent.headers, sent.body, secret)
    page.reload()
    page.get_by_role("button", name="Reveal").wait_for()
    assert secret not in page.content()


@pytest.mark.parametrize("javascript", [True, False])
def test_a_double_click_or_back_and_create_again_leads_to_the_webhook_that_was_made(site, browse, javascript):
    page = browse(java_script_enabled=javascript)
    page.goto(site.url + "/new")
    name_field(page).fill("CRM sync")
    url_field(page).fill(site.receiver.url_for("/hooks", host="crm.example.com"))
    press(page, "step:review")
    on_step(page, "Review")
    review = page.url
    page.locator('#draft button[name=go][value="save"]:visible:not(.sr-only)').dblclick()
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    assert names(site) == ["CRM sync"]
    page.go_back()
    page.goto(review)
    page.get_by_role("heading", name="CRM sync").first.wait_for()
    (added,) = site.dispatcher.webhooks.list(tenant="acme")
    assert f"/webhooks/{added.id}" in page.url
    assert added.secrets[0].reveal() not in page.content()
    assert names(site) == ["CRM sync"]


def test_a_slow_network_shows_that_the_button_is_busy_and_loses_nothing(site, browse):
    page = browse()
    begun(page, site)
    waiting = []
    page.route(
        "**/details", lambda route: waiting.append(route) if route.request.method == "POST" else route.continue_()
    )
    name_field(page).fill("Slow")
    press(page, "next")
    page.locator("#draft [aria-busy=true]").wait_for()
    assert name_field(page).input_value() == "Slow"
    waiting[0].continue_()
    on_step(page, "Events")
    page.unroute("**/details")
    page.go_back()
    on_step(page, "Details")
    assert name_field(page).input_value() == "Slow"
