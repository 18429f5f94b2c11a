"""Code is shown in tabs and copied block by block, and every sentence is told in the reader's language."""

from __future__ import annotations

import pytest

from unihooks import DeliveryPolicy
from unihooks.console.views.snippets import SNIPPETS


def shown(page) -> list[str]:
    return [one.get_attribute("data-code") for one in page.locator(".snippet:visible").all()]


def test_code_is_in_tabs_and_the_language_is_remembered(site, browse, webhook, shoot):
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    assert shown(page) == ["python"]
    with page.expect_response("**/preferences"):
        page.get_by_text("Go", exact=True).click()
    assert shown(page) == ["go"]
    # By keyboard, too, as in any group of radio buttons.
    with page.expect_response("**/preferences"):
        page.keyboard.press("ArrowRight")
    assert shown(page) == ["php"]
    page.reload()
    assert shown(page) == ["php"]
    assert page.get_by_label("PHP").first.is_checked()
    shoot(page, "webhook-secret")


def test_a_revealed_secret_stays_while_the_language_changes(site, browse, webhook):
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    page.get_by_role("button", name="Reveal").click()
    secret = page.locator("[data-secret]").inner_text()
    assert secret.startswith("whsec_")
    with page.expect_response("**/preferences"):
        page.get_by_text("Node.js").click()
    assert shown(page) == ["node"]
    assert page.locator("[data-secret]").inner_text() == secret


def test_each_block_of_code_is_copied_by_its_own_button(site, browse, webhook):
    page = browse(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    first = SNIPPETS[0]
    for at, code in enumerate((first.install, first.with_library, first.without)):
        button = page.locator(".snippet:visible .block").nth(at).get_by_role("button")
        button.click()
        page.locator(".snippet:visible .block").nth(at).get_by_text("Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == code


def test_without_javascript_a_click_changes_the_language(site, browse, webhook):
    page = browse(java_script_enabled=False)
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    assert shown(page) == ["python"]
    page.get_by_text("Ruby", exact=True).click()
    assert shown(page) == ["ruby"]


def test_code_runs_from_left_to_right_in_arabic(site, browse, webhook):
    page = browse(locale="ar")
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    code = page.locator(".snippet:visible pre").nth(1)
    assert code.evaluate("element => getComputedStyle(element).direction") == "ltr"
    assert code.evaluate("element => getComputedStyle(element).textAlign") == "left"


@pytest.mark.parametrize(
    "locale, refused, reason",
    [
        ("en", "This is too long. Use at most 200 characters.", "No retry is left after"),
        ("ar", "هذا أطول مما ينبغي. لا تتجاوز 200 من المحارف.", "لم تبقَ محاولات بعد"),
    ],
)
def test_errors_and_reasons_are_told_in_the_readers_language(site, browse, locale, refused, reason):
    site.receiver.answer(500)
    webhook = site.add_webhook(policy=DeliveryPolicy(retry_delays=[]))
    site.emit()
    (delivery,) = site.deliveries()
    page = browse(locale=locale)
    page.goto(f"{site.url}/webhooks/{webhook.id}/settings/details")
    # As a program would send it: the field itself takes no more.
    page.locator("#name").evaluate("field => { field.removeAttribute('maxlength'); field.value = 'x'.repeat(201) }")
    page.locator("main form button.btn[value=save]").click()
    page.get_by_text(refused).wait_for()
    page.goto(f"{site.url}/deliveries/{delivery.id}")
    page.get_by_text(reason).first.wait_for()


def test_json_and_trees_run_from_left_to_right_in_arabic(site, browse, webhook):
    page = browse(locale="ar")
    page.goto(f"{site.url}/webhooks/{webhook.id}/settings/payload")
    for part in ("#tree", "#preview pre", "#mapping"):
        assert page.locator(part).first.evaluate("element => getComputedStyle(element).direction") == "ltr", part
    assert page.locator("html").evaluate("element => getComputedStyle(element).direction") == "rtl"


def test_the_library_is_named_in_no_page_or_cookie_of_customers(site, browse, webhook):
    page = browse()
    for path in ("/", "/new", f"/webhooks/{webhook.id}", f"/webhooks/{webhook.id}/secret", "/events", "/deliveries"):
        page.goto(site.url + path)
        assert "unihooks" not in page.locator("body").inner_text().lower(), path
    assert not [one["name"] for one in page.context.cookies() if "unihooks" in one["name"].lower()]
