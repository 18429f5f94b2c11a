"""After signing in again or after an error, viewers return to where they were, with what they typed."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from console_browser import FormReader, text_of
from starlette.routing import Mount

from unihooks.console import Limiter, Rate, Rates, create_console
from unihooks.exceptions import StoreError

TYPED = {"event": "whatsapp message.received", "payload": '\n<b>{"sender": {}}</b>\r\nä', "endpoint": ""}


def sent_again(answer) -> list[tuple[str, str]]:
    """Return the fields of the form on a page that has refused another one."""
    reader = FormReader("")
    reader.feed(re.sub(r"(?s)<header.*?</header>", "", answer.text, count=1).replace("<form", '<form id=""'))
    # Parsers drop the first line break of a text area, unlike this reader.
    return [(name, value.removeprefix("\n")) for name, value in reader.fields]


def link_to(answer, label: str) -> str | None:
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{label}', answer.text)
    return found and found[1].replace("&amp;", "&")


@pytest.mark.parametrize("root", ["", "/a b"])
async def test_page_leads_back_to_the_previous_place(browse, console, root, webhook):
    stranger = browse(None, app=Mount(root, app=console) if root else console)
    where = f"{root.replace(' ', '%20')}/webhooks/{webhook.id}/deliveries?state=failed&period=7d"
    answer = await stranger.get(where)
    assert (answer.status_code, link_to(answer, "Continue where you were")) == (401, where)
    stranger.client.headers["x-tenant"] = "acme"
    assert webhook.name in (await stranger.get(link_to(answer, "Continue where you were"))).text


@pytest.mark.parametrize("path", ["//evil.example/x", "/nothing", "//evil.example/new", "/\\evil.example"])
async def test_page_leads_to_no_other_site(browse, path):
    answer = await browse(None).client.get(f"https://console.example.com{path}")
    assert (answer.status_code, link_to(answer, "Continue where you were")) == (401, "/")


async def test_hosts_sign_in_gets_the_page_to_return_to(dispatcher, browse):
    app = create_console(dispatcher, authenticate=lambda request: None, sign_in_url="/login?next={next}&x=1")
    stranger = browse(None, app=app)
    answer = await stranger.client.get("/deliveries?state=failed&search=a%26b", follow_redirects=False)
    location = urlsplit(answer.headers["location"])
    assert (answer.status_code, location.path) == (303, "/login")
    assert parse_qs(location.query) == {"next": ["/deliveries?state=failed&search=a%26b"], "x": ["1"]}
    page = await stranger.client.post("/webhooks/x/activate", data={"once": "a"})
    assert link_to(page, "Sign in") == "/login?next=%2F&x=1"


async def test_scripts_are_not_sent_to_the_hosts_sign_in(dispatcher, browse):
    app = create_console(dispatcher, authenticate=lambda request: None, sign_in_url="/login")
    answer = await browse(None, app=app).client.get("/", headers={"hx-request": "true"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["console-answer"]) == (401, "1")


async def test_form_of_an_ended_session_is_kept_to_be_sent_again(browse, webhook, receiver):
    browser, where = browse(), f"/webhooks/{webhook.id}/test"
    fields = {**TYPED, "payload": '{"sender": {"name": "Kept <b>"}}', "csrf": await browser.token(), "once": "a"}
    tenant = browser.client.headers.pop("x-tenant")
    answer = await browser.client.post(where, data=fields, headers={"sec-fetch-site": "same-origin"})
    assert (answer.status_code, "it is still on this page" in answer.text) == (401, True)
    assert (dict(sent_again(answer)), receiver.requests) == (fields, [])
    browser.client.headers["x-tenant"] = tenant
    again = await browser.client.post(where, data=dict(sent_again(answer)), headers={"sec-fetch-site": "same-origin"})
    assert (again.status_code, len(receiver.requests)) == (200, 1)


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
async def test_page_of_another_site_cannot_place_a_form(browse, headers):
    answer = await browse(None).client.post("/new", data={"name": "placed"}, headers=headers)
    assert (answer.status_code, sent_again(answer)) == (401, [])


async def test_form_that_cannot_be_read_or_is_too_large_is_not_kept(browse):
    for body in (b"\xff=1", b"a=" + b"x" * 1_100_000):
        answer = await browse(None).client.post(
            "/new", content=body, headers={"content-type": "application/x-www-form-urlencoded"}
        )
        assert (answer.status_code, sent_again(answer)) == (401, [])


async def test_form_of_a_session_that_ended_is_refused_if_its_token_is_not_the_viewers(browse, webhook, dispatcher):
    browser = browse(None)
    answer = await browser.client.post(f"/webhooks/{webhook.id}/activate", data={"csrf": "00" * 64})
    browser.client.headers["x-tenant"] = "acme"
    again = await browser.client.post(f"/webhooks/{webhook.id}/activate", data=dict(sent_again(answer)))
    assert (again.status_code, dispatcher.webhooks.get(webhook.id, tenant="acme").active) == (403, False)


async def test_form_without_its_token_gets_a_new_one_only_if_the_browser_says_that_it_is_from_here(browser, webhook):
    await browser.token()
    where = f"/webhooks/{webhook.id}/activate"
    for origin in ({}, {"sec-fetch-site": "none"}, {"origin": "null"}, {"origin": "https://console.example.com"}):
        answer = await browser.client.post(where, data={"csrf": "00" * 64}, headers=origin)
        assert (answer.status_code, "console-token" in answer.headers) == (403, False)
    headers = {"sec-fetch-site": "same-origin"}
    answer = await browser.client.post(where, data={"csrf": "00" * 64}, headers=headers)
    given = {"csrf": answer.headers["console-token"]}
    assert (await browser.client.post(where, data=given, headers=headers)).status_code == 200


async def test_refused_form_is_kept_to_be_sent_again(dispatcher, authenticate, browse, webhook, receiver):
    tests = Limiter(Rate(1, 3_600))
    browser = browse(app=create_console(dispatcher, authenticate=authenticate, rates=Rates(tests=tests)))
    where = f"/webhooks/{webhook.id}/test"
    await browser.post(where, {**TYPED, "payload": '{"sender": {}}'})
    answer = await browser.post(where, {**TYPED, "payload": '{"sender": {}}', "once": "a"})
    assert (answer.status_code, "What you typed is still on this page" in answer.text) == (429, True)
    assert int(answer.headers["retry-after"]) > 0
    kept = dict(sent_again(answer))
    assert (kept["payload"], kept["once"], kept["csrf"] != "") == ('{"sender": {}}', "a", True)
    tests.give_back("acme", 1)
    again = await browser.client.post(where, data=kept)
    assert again.status_code == 200
    assert len(receiver.requests) == 2


async def test_failure_of_the_store_keeps_the_input(browser, webhook, dispatcher, monkeypatch):
    async def broken(*args, **rest):
        raise StoreError("the disk is full")

    monkeypatch.setattr(type(dispatcher.webhooks), "aactivate", broken)
    answer = await browser.post(f"/webhooks/{webhook.id}/activate", {**TYPED, "once": "a"})
    assert (answer.status_code, "disk" in answer.text) == (503, False)
    assert dict(sent_again(answer))["payload"] == '\n<b>{"sender": {}}</b>\nä'


async def test_a_test_is_summed_up_over_the_page_for_scripts(browser, webhook, receiver):
    receiver.answer(204, 500)
    fields = {**TYPED, "payload": '{"sender": {}}'}
    browser.client.headers["hx-request"] = "true"
    for accepted, tone in ((1, "done"), (0, "wrong")):
        answer = await browser.post(f"/webhooks/{webhook.id}/test", fields)
        told = {"text": f"{accepted} of 1 endpoint has accepted the test.", "tone": tone}
        assert json.loads(answer.headers["console-toast"]) == told
    browser.client.headers["accept-language"] = "ar"
    answer = await browser.post(f"/webhooks/{webhook.id}/test", fields)
    assert "الاختبار" in json.loads(answer.headers["console-toast"])["text"]
    del browser.client.headers["hx-request"]
    assert "console-toast" not in (await browser.post(f"/webhooks/{webhook.id}/test", fields)).headers


async def test_every_response_says_that_it_is_the_consoles(browser):
    for path in ("/", "/nothing", "/static/icon.svg", "/api/viewer"):
        assert (await browser.get(path)).headers["console-answer"] == "1"


async def test_sentences_of_scripts_are_in_the_language_of_the_page(browse):
    page = await browse(**{"accept-language": "ar"}).get("/")
    assert "لم يضِع شيء مما كتبته" in text_of(page)
    told = re.findall(r'data-word="new-(\w+)">([^<]+)<', page.text)
    assert [kind for kind, _ in told] == ["zero", "one", "two", "few", "many", "other"]
    assert len({text for _, text in told}) == 6
