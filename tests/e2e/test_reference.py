"""The reference of the API, in a real browser."""

from __future__ import annotations

import pytest
from console_pages import fits


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_developer_finds_an_operation_with_its_fields_and_a_command_to_copy(site, browse, shoot, scripts):
    page = browse(java_script_enabled=scripts)
    page.goto(f"{site.url}/")
    page.get_by_role("link", name="API", exact=True).click()
    shoot(page, "api")
    page.locator("a", has_text="/webhooks/{webhook_id}").first.click()
    assert page.url.startswith(f"{site.url}/reference/webhooks#")
    card = page.locator("#addWebhook")
    assert card.get_by_text("curl -X POST").is_visible()
    assert card.get_by_text("endpoints[].url").first.is_visible()
    assert not card.get_by_text("each with a JSON pointer").is_visible()
    card.get_by_text("When it is refused").click()
    assert card.get_by_text("each with a JSON pointer").is_visible()
    shoot(page, "api-chapter")


def test_reference_fits_on_a_tablet(site, browse):
    page = browse(viewport={"width": 768, "height": 800})
    for path in ("/reference", "/reference/webhooks", "/reference/operator"):
        page.goto(f"{site.url}{path}")
        assert fits(page), path
