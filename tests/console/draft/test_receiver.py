"""The test receiver of the console: it shows what arrives, only to its viewer, for a day."""

from __future__ import annotations

import re

import httpx
import pytest
from console_browser import CANARY, HOST, text_of

from unihooks.abc import StateKind
from unihooks.console import Limiter, Rate, Rates, create_console


async def receiver_of(browser) -> tuple[str, str]:
    """Open the wizard and its receiver; return the paths of the page and of the receiver's URL."""
    draft = str((await browser.get("/new")).url).removeprefix(HOST).rpartition("/")[0]
    page = await browser.get(f"{draft}/receiver")
    assert page.status_code == 200
    [url] = set(re.findall(rf'data-copy="({HOST}/receive/[\w-]+)"', page.text))
    return f"{draft}/receiver", url.removeprefix(HOST)


async def send(app, path: str, content: bytes = b'{"hello": "world"}', method: str = "POST", **headers: str):
    """Send a request as a stranger without a session."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
        return await client.request(method, path, content=content, headers=headers)


async def test_requests_of_a_stranger_are_shown_to_the_viewer(console, browser):
    page, url = await receiver_of(browser)
    assert len(url.rpartition("/")[2]) >= 32
    answer = await send(console, f"{url}?from=test", **{"webhook-id": "evt_1", "content-type": "application/json"})
    assert (answer.status_code, answer.content, "set-cookie" in answer.headers) == (204, b"", False)
    text = text_of(await browser.get(page))
    assert all(words in text for words in ("POST", "webhook-id", "evt_1", "?from=test", "18 B"))
    assert '"hello"' in text.replace("&#34;", '"')


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "X-Api-Key", "x-auth-token", "X-Secret", "My-Password"])
async def test_values_of_headers_that_look_like_secrets_are_neither_shown_nor_kept(console, browser, dispatcher, name):
    page, url = await receiver_of(browser)
    await send(console, url, **{name: CANARY, "x-plain": "shown"})
    shown = await browser.get(page)
    assert CANARY not in shown.text
    assert all(words in shown.text for words in (name.lower(), "••••••", "shown"))
    receiver = dispatcher.settings.open_store.find_state(StateKind.RECEIVER, url.rpartition("/")[2])
    [kept] = dispatcher.settings.open_store.list_state("acme", receiver.key.id, StateKind.RECEIVED)
    assert CANARY not in str(kept.value)


async def test_newest_twenty_requests_are_kept_and_of_each_the_beginning(console, browser):
    page, url = await receiver_of(browser)
    for number in range(22):
        await send(console, url, b"number %d." % number)
    text = text_of(await browser.get(page))
    assert "number 21." in text
    assert "number 2." in text
    assert "number 1." not in text
    await send(console, url, b"x" * 70_000)
    shown = await browser.get(page)
    assert "Only the beginning is kept" in text_of(shown)
    assert shown.text.count("x" * 1_000) <= 65_536 // 1_000
    assert (await send(console, url, b"x" * 1_100_000)).status_code == 413


@pytest.mark.parametrize("body", [b"\xff\x00\x01", b"", b"<script>alert(1)</script>", "ü".encode() * 40_000])
async def test_whatever_arrives_is_shown_as_text(console, browser, body):
    page, url = await receiver_of(browser)
    assert (await send(console, url, body)).status_code == 204
    shown = await browser.get(page)
    assert shown.status_code == 200
    assert "<script>alert" not in shown.text


async def test_receiver_is_shown_only_to_its_viewer_and_found_only_by_its_url(console, browser, browse):
    page, url = await receiver_of(browser)
    await send(console, url, b"for Ada")
    other = await browse("other").get(page)
    assert "for Ada" not in other.text
    assert url not in other.text
    assert (await send(console, "/receive/guessed")).status_code == 404
    assert (await send(console, f"{url}x")).status_code == 404
    reading = await send(console, url, method="GET")
    assert (reading.status_code, "POST" in reading.headers["allow"]) == (405, True)


async def test_receiver_takes_no_more_than_its_rate(dispatcher, authenticate, browse):
    app = create_console(dispatcher, authenticate=authenticate, rates=Rates(received=Limiter(Rate(2, 60))))
    _, url = await receiver_of(browse(app=app))
    statuses = [(await send(app, url)).status_code for _ in range(3)]
    assert statuses == [204, 204, 429]


async def test_url_is_put_into_the_draft_and_stays_one_receiver(browser):
    page, url = await receiver_of(browser)
    used = await browser.post(page)
    assert str(used.url).endswith("/details")
    assert f"{HOST}{url}" in used.text
    again = await browser.get(page)
    assert "This URL is one of its endpoints" in text_of(again)
    await browser.post(page)
    assert (await browser.get(page.replace("/receiver", "/details"))).text.count(f'value="{HOST}{url}"') == 1


async def test_wizard_leads_there_and_keeps_the_input(browser):
    details = await browser.get("/new")
    assert "No endpoint yet?" in details.text
    page = await browser.press(details, "receiver", {"name": "CRM sync"})
    assert str(page.url).endswith("/receiver")
    assert 'value="CRM sync"' in (await browser.get(str(page.url).replace("/receiver", "/details"))).text


async def test_receiver_is_gone_after_a_day(console, browser, dispatcher, monkeypatch):
    page, url = await receiver_of(browser)
    await send(console, url, b"early")
    time = dispatcher.settings.open_store._database.time
    later = dispatcher.settings.open_store.now() + 86_401_000_000
    monkeypatch.setattr(time, "own_time", lambda: later)
    assert (await send(console, url)).status_code == 404
    assert (await browser.get(page)).status_code == 404


async def test_viewer_who_may_not_write_has_no_receiver(browse):
    assert (await browse(permissions="read").get("/new/drf_x/receiver")).status_code == 403
    assert (await browse().get("/new/drf_x/receiver")).status_code == 404


async def test_received_requests_are_erased_with_their_tenant(console, browser, dispatcher):
    page, url = await receiver_of(browser)
    await send(console, url, b"soon gone")
    dispatcher.erase_tenant("acme")
    assert (await send(console, url)).status_code == 404
    assert "soon gone" not in (await browser.get(page)).text
