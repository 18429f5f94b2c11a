"""The health of a webhook as a viewer sees it: the list, the sentence, the chart, endpoints, live checks."""

from __future__ import annotations

import re

import pytest
from accessibility import LOOKS, check
from console_pages import ROWS, fits

from unihooks import DeliveryPolicy, Webhook


@pytest.fixture
def webhook(site) -> Webhook:
    """Return a webhook of which one endpoint took what it got and one refused it, twice each."""
    site.receiver.on("/bad").always(429)
    webhook = site.add_webhook("/good", "/bad")
    site.emit(2)
    return webhook


def open_webhook(site, page, webhook, query: str = "") -> None:
    page.goto(f"{site.url}/webhooks/{webhook.id}{query}")


def test_the_list_says_which_webhook_fails_and_narrows_to_it_without_reload(site, browse, webhook):
    site.dispatcher.webhooks.add(Webhook(name="Newer", endpoints=["https://example.com/"]), tenant="acme")
    page = browse()
    page.goto(site.url + "/")
    rows = page.locator(ROWS)
    assert [row.locator(".name").inner_text() for row in rows.all()] == ["CRM sync", "Newer"]
    assert "Failing" in rows.nth(0).inner_text()
    assert "50 %" in rows.nth(0).inner_text()
    assert "No events yet" in rows.nth(1).inner_text()
    page.locator("select[name=health]").select_option("none")
    page.wait_for_url("**health=none**")
    assert page.locator("#results .name").all_inner_texts() == ["Newer"]


def test_the_sentence_leads_to_what_failed(site, browse, webhook):
    page = browse()
    open_webhook(site, page, webhook)
    said = page.locator("#verdict").inner_text()
    assert "1 of 2 endpoints is failing." in said
    assert "2 deliveries failed or are being retried, mostly 429." in said
    page.get_by_role("link", name="See failures").click()
    page.wait_for_url("**code=429**")
    assert page.locator("tr[id^=row-]").count() == 2


def test_the_charts_times_are_the_viewers_and_a_bar_is_reached_and_told_by_keyboard(site, browse, webhook):
    page = browse(timezone_id="Asia/Riyadh")
    open_webhook(site, page, webhook)
    assert page.locator("[data-zone]").inner_text() == "Arabian Standard Time"
    bar = page.locator(".plot a[data-at]").last
    hour = page.evaluate(
        "(at) => new Date(at).toLocaleTimeString('en', {hour: '2-digit', hourCycle: 'h23'})",
        bar.get_attribute("data-at"),
    )
    assert f"{hour}:00" in bar.get_attribute("aria-label")
    page.get_by_role("link", name="30 days").focus()
    page.keyboard.press("Tab")
    assert bar.evaluate("(bar) => bar === document.activeElement")
    tip = page.locator(".tip")
    assert tip.is_visible()
    assert re.search(r"2\s+succeeded\s+2\s+failed", tip.inner_text())
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/deliveries\?from=.*to="))
    assert page.locator("tr[id^=row-]").count() == 4


def test_arrows_lead_from_bar_to_bar_and_a_pointer_shows_the_tooltip(site, browse, webhook):
    page = browse()
    open_webhook(site, page, webhook, "?period=1h")
    # Bars of other times are made up, as nothing has happened yet.
    page.evaluate(
        """() => {
            const bar = document.querySelector(".plot a[data-at]"), other = bar.cloneNode(true);
            bar.before(other); other.querySelector(".hit").setAttribute("x", "0");
            const chart = document.querySelector("[data-chart]"), fresh = chart.cloneNode(true);
            delete fresh.dataset.ready; chart.replaceWith(fresh);
            document.dispatchEvent(new Event("htmx:after:settle"));
        }"""
    )
    bars = page.locator(".plot a[data-at]")
    bars.last.focus()
    page.keyboard.press("ArrowLeft")
    assert bars.first.evaluate("(bar) => bar === document.activeElement && bar.tabIndex === 0")
    assert bars.last.get_attribute("tabindex") == "-1"
    page.keyboard.press("End")
    assert bars.last.evaluate("(bar) => bar === document.activeElement")
    page.keyboard.press("Escape")
    bars.last.hover()
    page.locator(".tip:visible").wait_for()


def test_the_chart_is_a_table_as_well_and_all_of_it_works_without_javascript(site, browse, webhook):
    page = browse(java_script_enabled=False)
    open_webhook(site, page, webhook)
    assert page.get_by_text("times in UTC").is_visible()
    page.get_by_text("Show as a table").click()
    table = page.locator(".as-table table")
    assert table.locator("tbody tr").count() == 1
    assert "UTC" in table.inner_text()
    table.get_by_role("link", name="Deliveries").click()
    assert page.locator("tr[id^=row-]").count() == 4
    page.go_back()
    page.get_by_role("link", name="7 days").click()
    assert page.locator(".ticks > span").count() == 28
    page.get_by_role("button", name="Check connection").first.click()
    checked = page.context.wait_for_event("page") if len(page.context.pages) < 2 else page.context.pages[1]
    checked.get_by_text("Its certificate is accepted").wait_for()


def test_an_endpoint_is_checked_live_in_its_line(site, browse, webhook):
    page = browse()
    open_webhook(site, page, webhook)
    line = page.locator(".endpoint-line").first
    line.get_by_role("button", name="Check connection").click()
    line.get_by_text("Its certificate is accepted").wait_for()
    assert len(page.context.pages) == 1
    assert len(site.receiver.requests) == 4


def test_an_endpoint_is_disabled_and_mended_and_throttled_from_its_line(site, browse, webhook):
    page = browse()
    open_webhook(site, page, webhook)
    bad = page.locator(".endpoint-line").nth(1)
    bad.get_by_text("Disable…").click()
    bad.get_by_label("Reason").fill("maintenance until Monday")
    bad.get_by_role("button", name="Disable").click()
    bad.get_by_text("On hold: it was disabled").wait_for()
    assert "maintenance until Monday" in bad.inner_text()
    bad.get_by_role("button", name="Enable again").click()
    bad.get_by_text("Disable…").wait_for()
    bad.get_by_text("Throttle webhook", exact=True).click()
    bad.get_by_label("Deliveries per second").fill("soon")
    bad.get_by_role("button", name="Save").click()
    field = page.locator("input[aria-invalid]")
    field.wait_for()
    assert field.input_value() == "soon"
    field.fill("2")
    field.press("Enter")
    page.get_by_text("Throttled: at most 2 deliveries per second").first.wait_for()


def test_what_is_on_hold_says_since_when_and_is_mended_where_it_is_read(site, browse, webhook):
    bad = webhook.endpoints[1]
    site.dispatcher.webhooks.disable_endpoint(webhook.id, bad.id, tenant="acme", reason="it moves")
    (held, *_) = site.deliveries(held=True)
    page = browse()
    page.goto(f"{site.url}/deliveries/{held.id}")
    page.get_by_text("On hold: its endpoint was disabled").wait_for()
    page.get_by_role("button", name="Enable the endpoint").click()
    page.get_by_text("The endpoint is enabled again").wait_for()
    assert page.url.endswith(held.id)
    site.dispatcher.webhooks.deactivate(webhook.id, tenant="acme")
    page.reload()
    page.get_by_role("button", name="Activate the webhook").click()
    page.get_by_text("The webhook is active").wait_for()


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_pages_fit_every_width_and_direction(site, browse, webhook, language):
    page = browse()
    for path in (f"/?lang={language}", f"/webhooks/{webhook.id}?period=30d&lang={language}"):
        page.goto(f"{site.url}{path}")
        for width in (320, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert fits(page), (path, width)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("locale", ["en", "ar"])
def test_axe_finds_nothing_in_whatever_state_a_webhook_is(site, browse, webhook, look, locale):
    page = browse(locale=locale, reduced_motion="reduce", **LOOKS[look])
    open_webhook(site, page, webhook, "?period=7d")
    page.locator(".as-table > summary").click()
    page.locator(".endpoint-line").first.locator(".btn.check-live").click()
    page.locator(".checks").wait_for()
    page.locator(".plot a[data-at]").last.focus()
    check(page, "a failing endpoint")
    for menu in page.locator(".endpoint-line").first.locator(".menu > summary").all():
        menu.click()
        check(page, "an open menu")
    site.dispatcher.webhooks.update(webhook.id, tenant="acme", policy=DeliveryPolicy(rate=2))
    for endpoint in webhook.endpoints:
        site.dispatcher.webhooks.disable_endpoint(webhook.id, endpoint.id, tenant="acme", reason="it moves")
        page.set_viewport_size({"width": 320, "height": 800})
        open_webhook(site, page, webhook)
        check(page, "a disabled endpoint")
    page.goto(site.url + "/")
    check(page, "the list")
