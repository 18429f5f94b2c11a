"""The console inside a host: mounted at a path, branded, in its language, and never with a secret in a page."""

from __future__ import annotations

import re
from html import unescape
from importlib.resources import files
from urllib.parse import unquote_to_bytes

import pytest
from console_browser import CANARY, text_of
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from unihooks.console import Viewer, create_console, only_portal_links, portal_link
from unihooks.console.pages import page_routes
from unihooks.console.pages.settings import SECTIONS

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def branded(dispatcher, authenticate):
    def make(**settings):
        return create_console(dispatcher, authenticate=authenticate, **settings)

    return make


async def test_every_link_and_redirect_stays_inside_the_mount(console, browse, webhook):
    browser = browse(app=Starlette(routes=[Mount("/a/b", app=console)]))
    first = await browser.get("/a/b/")
    assert first.status_code == 200
    seen, waiting = {"/a/b/"}, [first]
    while waiting:
        page = waiting.pop()
        for link in re.findall(r'(?:href|action|src|hx-get|hx-post)="([^"]*)"', page.text):
            assert link.startswith(("/a/b/", "#", "?")), link
        links = {unescape(link).partition("?")[0] for link in re.findall(r'href="(/[^"]+)"', page.text)}
        for link in links - seen:
            seen.add(link)
            answer = await browser.get(link)
            assert answer.status_code == 200, link
            if answer.headers["content-type"].startswith("text/html"):
                waiting.append(answer)
    assert len(seen) > 12
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', first.text)[1]
    answer = await browser.client.post(f"/a/b/webhooks/{webhook.id}/activate", data={"csrf": token})
    assert answer.url.path == f"/a/b/webhooks/{webhook.id}"


async def test_portal_opens_the_mount_with_a_cookie_of_the_host(dispatcher, browse):
    app = create_console(dispatcher, authenticate=only_portal_links, secret="s" * 32)
    browser = browse(None, app=Starlette(routes=[Mount("/hooks", app=app)]))
    link = portal_link("https://console.example.com/hooks/", Viewer("acme"), secret="s" * 32)
    answer = await browser.get(link)
    assert answer.status_code == 200
    assert answer.url.path == "/hooks/"
    # The prefix allows no other path.
    assert "path=/;" in answer.history[0].headers["set-cookie"].lower()


async def test_title_logo_and_accent_are_the_hosts(branded, browse):
    browser = browse(app=branded(title="Acme <hooks>", logo=PNG, accent="#0a7d5a", home_url="/account"))
    page = await browser.get("/")
    assert "Acme <hooks>" in text_of(page)
    assert 'href="/account"' in page.text
    assert re.search(r'src="/static/logo\.', page.text)
    assert "--primary:#0a7d5a" in (await browser.get("/static/console.css")).text


@pytest.mark.parametrize(
    "settings",
    [
        {"accent": "red}body{display:none"},
        {"accent": "#fff"},
        {"logo": b"MZ\x90"},
        {"logo": "javascript:alert(1)"},
        {"language": "tlh"},
    ],
)
def test_settings_that_cannot_be_used_are_refused(branded, settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        branded(**settings)


async def test_logo_of_another_host_is_the_only_one_allowed(branded, browse):
    browser = browse(app=branded(logo="https://cdn.example.com/logo.png"))
    policy = (await browser.get("/")).headers["content-security-policy"]
    assert "img-src 'self' data: https://cdn.example.com;" in policy


async def saved_draft(browser) -> str:
    """Return the id of a draft that has a header with a secret value."""
    path = await browser.draft()
    header = {"header_name": "X-Key", "header_value": CANARY, "header_choice": "new", "go": "next"}
    answer = await browser.post(path.replace("details", "headers"), header)
    assert answer.url.path.endswith("/review")
    return path.split("/")[2]


async def test_no_page_holds_a_secret(browser, webhook, dispatcher, receiver, emit):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    receiver.always(500)
    emit()
    (delivery,) = dispatcher.log.deliveries(tenant="acme")
    parts = {
        "webhook_id": webhook.id,
        "endpoint_id": webhook.endpoints[0].id,
        "delivery_id": delivery.id,
        "file": "console.css",
        "section": "details",
        "chapter": "webhooks",
        "worker_id": "wrk_1",
        "receiver_id": "rcv_1",
        "job_id": "job_1",
        "draft_id": await saved_draft(browser),
    }
    paths = [
        route.path.format(**parts, step=step)
        for route in page_routes()
        if isinstance(route, Route) and "GET" in route.methods
        for step in (("headers", "review") if "{step}" in route.path else ("",))
    ]
    sections = [f"/webhooks/{webhook.id}/settings/{name}" for name in SECTIONS]
    for path in [*paths, *sections]:
        page = (await browser.get(path)).text
        assert CANARY not in page, path
        assert webhook.secrets[0].reveal() not in page, path
    sent = await browser.press(await browser.get(f"/webhooks/{webhook.id}/test"), "", form_id="send")
    assert CANARY not in sent.text
    for path in sections:
        assert CANARY not in (await browser.press(await browser.get(path), "stay")).text


async def test_theme_and_language_are_kept_in_cookies(browser):
    answer = await browser.post("/preferences", {"theme": "dark", "back": "/events"})
    assert answer.url.path == "/events"
    assert '<html lang="en" dir="ltr" class="dark"' in answer.text
    for back, where in (("/deliveries?state=failed&lang=en", b"/deliveries?state=failed"), ("/?lang=en", b"/")):
        assert (await browser.post("/preferences", {"theme": "dark", "back": back})).url.raw_path == where
    answer = await browser.post("/preferences", {"language": "ar"})
    assert '<html lang="ar" dir="rtl"' in answer.text
    for back in ("https://evil.example/", "//evil.example/", "/\\evil.example/"):
        assert (await browser.post("/preferences", {"back": back})).url.host == "console.example.com"


async def test_language_follows_setting_query_cookie_and_browser(branded, browse):
    header = {"accept-language": "fr, ar-SA;q=0.9, en;q=0.8"}
    assert 'lang="ar" dir="rtl"' in (await browse(**header).get("/")).text
    assert 'lang="en"' in (await browse(**header).get("/?lang=en")).text
    assert 'lang="en"' in (await browse(app=branded(language="en"), **header).get("/?lang=ar")).text
    assert 'lang="en"' in (await browse(**{"accept-language": "x;q=y,,;q="}).get("/?lang=tlh")).text


async def test_pages_have_no_inline_script_style_or_handler(browser, webhook):
    paths = [
        "/",
        "/new",
        "/deliveries",
        "/events",
        *(f"/webhooks/{webhook.id}{p}" for p in ("", "/test", "/secret", "/settings")),
        *(f"/webhooks/{webhook.id}/settings/{name}" for name in SECTIONS),
    ]
    for path in paths:
        page = (await browser.get(path)).text
        assert not re.search(r"<script(?![^>]*\ssrc=)", page)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on|js:", page)


def test_assets_come_with_their_licences():
    folder = files("unihooks.console") / "static"
    assert "BSD" in (folder / "htmx.LICENSE.txt").read_text()


async def test_operator_sees_all_tenants_and_others_do_not(browse, webhook, dispatcher):
    answer = await browse(permissions="read,operate").get("/operator")
    assert "acme" in text_of(answer)
    assert "No worker has been seen" in text_of(answer)
    dispatcher.settings.store.heartbeat("wrk_1")
    text = text_of(await browse(permissions="read,operate").get("/operator"))
    assert "wrk_1" in text
    assert "No worker has been seen" not in text
    assert "Stored" not in text
    chosen = text_of(await browse(permissions="read,operate").get("/operator?tenant=acme"))
    assert all(words in chosen for words in ("Operator / acme", "Usage", "Stored, estimated", webhook.name))
    assert "Operator" not in text_of(await browse().get("/"))
    assert (await browse().get("/operator")).status_code == 403


ODD = [
    "%00",
    "%ED%A0%80",
    "%E2%80%AE",
    "'\"<>",
    "x" * 5_000,
    "-1",
    "0001-01-01T00:00",
    "9999-12-31T23:59",
    "%",
    "\u0661",
]


@pytest.mark.parametrize("odd", ODD)
async def test_odd_input_in_a_link_is_never_a_failure(browser, webhook, odd):
    names = ["search", "status", "health", "sort", "cursor", "lang", "done"]
    log = ["state", "event", "endpoint", "period", "from", "to", "webhook", "cursor"]
    links = [f"/?{name}={odd}" for name in names]
    links += [f"/webhooks/{webhook.id}{part}={odd}" for part in ("/edit?step", "/test?event", "?period")]
    links += [f"{path}?{name}={odd}" for path in ("/deliveries", "/deliveries/replay") for name in log]
    links += [
        f"/new/{odd}",
        f"/new/{odd}/details",
        f"/new/drf_1/{odd}",
        f"/webhooks/{odd}",
        f"/deliveries/{odd}",
        f"/operator?cursor={odd}",
        f"/portal?token={odd}",
        f"/{odd}",
    ]
    for link in links:
        assert (await browser.get(link)).status_code < 500, link


@pytest.mark.parametrize("odd", ODD)
async def test_odd_input_in_a_form_is_never_a_failure(browser, webhook, odd):
    fields = ["go", "step", "version", "name", "description", "endpoint_url", "endpoint_id", "event", "mapping"]
    fields += ["header_name", "header_value", "header_choice", "sample", "to:sender", "events_text", "status"]
    fields += [f"condition_{name}" for name in ("at", "event", "group", "path", "op", "value", "saved")]
    fields += ["conditions", "find", "example", "policy_rate"]
    base = {"name": "x", "endpoint_url": "https://example.com/", "endpoint_id": "", "go": "save"}
    odd = unquote_to_bytes(odd).decode(errors="replace")
    token = await browser.token()
    for field in fields:
        assert (await browser.post(await browser.draft(), {**base, field: odd}, token=token)).status_code < 500, field
    for path in (f"/webhooks/{webhook.id}/settings/{name}" for name in SECTIONS):
        shown = set(re.findall(r'name="([^"]+)"', (await browser.get(path)).text))
        for changed in (fields, *([field] for field in fields if field in shown)):
            sent = {**base, **dict.fromkeys(changed, odd)}
            assert (await browser.post(path, sent, token=token)).status_code < 500, (path, changed)
    for field in ("event", "endpoint", "payload"):
        sent = {"event": "whatsapp message.received", "payload": '{"sender": {}}', field: odd}
        assert (await browser.post(f"/webhooks/{webhook.id}/test", sent, token=token)).status_code < 500, field
    for path, field in (("secret/rotate", "overlap"), ("recover", "period")):
        assert (await browser.post(f"/webhooks/{webhook.id}/{path}", {field: odd}, token=token)).status_code < 500


async def test_a_browser_that_leaves_while_it_sends_a_form_is_no_error(console, caplog):
    async def receive():
        return {"type": "http.disconnect"}

    told = []

    async def send(message):
        told.append(message)

    headers = [(b"host", b"host.example"), (b"x-tenant", b"acme"), (b"sec-fetch-site", b"same-origin")]
    scope = {"type": "http", "method": "POST", "path": "/preferences", "query_string": b"", "headers": headers}
    await console({**scope, "scheme": "http", "server": ("host.example", 80), "root_path": ""}, receive, send)
    assert told[0]["status"] == 400
    assert not caplog.records
