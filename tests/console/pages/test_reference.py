"""The rendered reference of the API."""

from __future__ import annotations

import re

import pytest
from console_browser import text_of

from unihooks.console.api import ALL


async def test_reference_lists_every_operation_and_leads_to_it(browse):
    operator = browse(permissions="read,write,send,secrets,operate")
    page = await operator.get("/reference")
    links = set(re.findall(r'href="(/reference/[a-z]+)#(\w+)"', page.text))
    assert {name for _, name in links} == {one.id for one in ALL}
    for path in {path for path, _ in links}:
        chapter = await operator.get(path)
        assert {name for place, name in links if place == path} <= set(re.findall(r'id="(\w+)"', chapter.text))


async def test_reference_works_without_scripts_and_shows_requests_responses_fields_and_refusals(browser):
    page = await browser.get("/reference/webhooks")
    text = text_of(page)
    assert "curl -X POST https://console.example.com/api/webhooks" in text
    assert all(
        words in text for words in ("endpoints[].url", "If-Match", "Idempotency-Key", "Location", "412", "whsec_")
    )
    assert "<script>" not in page.text
    assert "hx-" not in page.text.partition("<main")[2]


async def test_reference_says_how_errors_look_and_how_to_sign_in(browser):
    text = text_of(await browser.get("/reference"))
    assert all(words in text for words in ("/endpoints/0", "RFC 9457", "ETag", "session", "application/json"))


async def test_operators_chapter_is_for_operators(browser, browse):
    assert "/reference/operator" not in (await browser.get("/reference")).text
    assert (await browser.get("/reference/operator")).status_code == 404
    assert (await browse(permissions="read,operate").get("/reference/operator")).status_code == 200
    assert (await browser.get("/reference/nothing")).status_code == 404


async def test_reference_says_what_the_viewer_may_not_do(browse):
    assert "You do not have it." in text_of(await browse(permissions="read").get("/reference/webhooks"))


async def test_wrong_method_on_a_page_names_the_right_one(browser):
    answer = await browser.get("/preferences")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "This address cannot be opened directly" in answer.text


@pytest.mark.parametrize("path", ["/reference", "/reference/webhooks", "/reference/log"])
async def test_reference_is_shown_below_any_mount(console, browse, path):
    from starlette.routing import Mount

    page = await browse(app=Mount("/hooks", app=console)).get(f"/hooks{path}")
    assert page.status_code == 200
    assert 'href="/reference' not in page.text
