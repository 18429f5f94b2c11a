"""What a button does is done once and said once: double clicks, reloads, slow networks, and lost answers."""

from __future__ import annotations

import pytest
from console_pages import held_back, lose_answers
from console_wizard import open_wizard

SCRIPTS = pytest.mark.parametrize("javascript", [True, False])
DONE_BEFORE = "This form was already sent"


def rotate_button(site, page, webhook):
    """Open the menu of the page of the secret, and return the button that makes a new one."""
    page.goto(f"{site.url}/webhooks/{webhook.id}/secret")
    page.get_by_text("Rotate", exact=False).locator("visible=true").first.click()
    return page.get_by_role("button", name="Make a new secret")


@SCRIPTS
def test_double_click_does_it_once(site, rough, webhook, javascript):
    page = rough(java_script_enabled=javascript)
    rotate_button(site, page, webhook).dblclick()
    page.locator("code[data-secret]").or_(page.get_by_text(DONE_BEFORE)).first.wait_for()
    assert len(site.reread(webhook).secrets) == 2


def test_reload_after_a_post_without_javascript_does_nothing_again(site, rough, webhook):
    page = rough(java_script_enabled=False)
    rotate_button(site, page, webhook).click()
    page.locator("code[data-secret]").first.wait_for()
    page.reload()
    page.get_by_text(f"{DONE_BEFORE}, so nothing was done again.").wait_for()
    assert page.locator("code[data-secret]").count() == 0
    assert len(site.reread(webhook).secrets) == 2


def test_lost_answer_of_what_was_done_does_not_do_it_again(site, rough, webhook):
    page = rough()
    rotate = rotate_button(site, page, webhook)
    lose_answers(page, "**/rotate")
    rotate.click()
    page.get_by_role("alert").wait_for()
    page.unroute("**/rotate")
    rotate.click()
    page.get_by_text(DONE_BEFORE).wait_for()
    assert len(site.reread(webhook).secrets) == 2


def test_create_whose_answer_was_lost_leads_to_the_webhook_that_was_made(site, rough):
    page = rough()
    wizard = open_wizard(page, site)
    wizard.enter_details()
    wizard.jump("Review")
    create = page.get_by_role("button", name="Create webhook")
    lose_answers(page, "**/review")
    create.click()
    page.get_by_role("alert").get_by_text("is not responding at the moment (502)").wait_for()
    page.unroute("**/review")
    create.click()
    page.wait_for_url("**/webhooks/wh_**")
    (added,) = site.webhooks()
    assert added.id in page.url


def test_slow_network_shows_that_it_waits_and_sends_once(site, browse, webhook):
    page = browse()
    page.goto(f"{site.url}/webhooks/{webhook.id}/test")
    send, held = page.get_by_role("button", name="Send test event"), held_back(page, "**/test")
    send.click()
    page.locator("#progress").wait_for()
    assert send.get_attribute("aria-busy") == "true"
    for _ in range(2):
        send.dispatch_event("click")
    assert len(held) == 1
    held[0].continue_()
    page.locator(".timeline").get_by_text("204").wait_for()
    page.locator("#progress").wait_for(state="hidden")
    assert page.locator("[aria-busy=true]").count() == 0
    assert len(site.receiver.requests) == 1


@SCRIPTS
def test_what_was_done_is_said_once(site, browse, javascript):
    webhook = site.add_webhook(status="inactive")
    page = browse(java_script_enabled=javascript)
    page.goto(f"{site.url}/webhooks/{webhook.id}")
    page.get_by_role("button", name="Activate").first.click()
    page.get_by_text("The webhook is active").wait_for()
    assert "done" not in page.url
    page.reload()
    page.get_by_role("button", name="Deactivate").wait_for()
    assert page.get_by_text("The webhook is active").count() == 0
