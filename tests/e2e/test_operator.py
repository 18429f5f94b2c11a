"""The operator's pages, in a real browser."""

from __future__ import annotations

import pytest
from console_pages import fits
from waiting import wait_for

from unihooks import Webhook


@pytest.fixture
def busy(site, webhook) -> Webhook:
    """Give a webhook with one failure among three deliveries, noted in the trends, and a job that replays it."""
    site.receiver.answer(204, 500, 204)
    for number in range(3):
        site.emit(subject=f"chat/{number}")
    store = site.dispatcher.settings.open_store

    def is_noted() -> bool:
        # The chore that workers do every half minute.
        store.expire_held(0, 1)
        return store.trends(1).hours[-1].attempts == 3

    wait_for(is_noted)
    site.dispatcher.jobs.replay(tenant="acme", state="failed")
    return webhook


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_operator_goes_from_the_overview_to_a_tenant_its_webhook_and_a_worker(site, browse, busy, shoot, scripts):
    page = browse("host", java_script_enabled=scripts)
    page.goto(f"{site.url}/operator")
    for heading in ("Queue age", "Throughput", "Failures by tenant", "Workers", "Jobs"):
        page.get_by_role("heading", name=heading).wait_for()
    assert page.locator("figure.chart rect.bad").count() == 1
    page.get_by_text("Show as a table").click()
    assert page.locator(".as-table td").nth(1).inner_text() == "3"
    shoot(page, "operator")
    page.locator("section", has=page.locator("#failures")).get_by_role("link", name="acme").click()
    page.get_by_role("heading", name="acme", level=1).wait_for()
    assert page.locator(f"#{busy.id}").get_by_text("crm.example.com").is_visible()
    assert page.get_by_role("heading", name="Changes").is_visible()
    assert page.get_by_text("Webhook created").is_visible()
    page.go_back()
    page.locator("section", has=page.locator("#workers")).get_by_role("link").click()
    page.get_by_role("heading", name="What it holds").wait_for()


def test_overview_of_the_operator_renews_itself_and_keeps_the_focus(site, browse, webhook):
    page = browse("host")
    page.goto(f"{site.url}/operator")
    link = page.locator("section", has=page.locator("#tenants")).get_by_role("link", name="acme")
    link.focus()
    site.dispatcher.webhooks.add(Webhook(name="More", endpoints=["https://x.example.com/"]), tenant="acme")
    page.locator("section", has=page.locator("#tenants")).get_by_role("cell", name="2", exact=True).wait_for()
    assert link.evaluate("one => one === document.activeElement")


def test_operators_pages_fit_on_small_screens(site, browse, busy):
    page = browse("host", viewport={"width": 320, "height": 640})
    for path in ("/operator", "/operator/tenant?name=acme"):
        page.goto(f"{site.url}{path}")
        assert fits(page), path
