"""Who gets in, what every response carries, and which forms are refused."""

from __future__ import annotations

import threading

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount, Router

from unihooks.console import Viewer, create_console
from unihooks.console.http.gate import _path_in_console

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


async def test_stranger_gets_401_and_sees_nothing(browse, webhook):
    answer = await browse(None).get("/")
    assert answer.status_code == 401
    assert webhook.name not in answer.text


async def test_stranger_is_sent_to_the_hosts_sign_in(dispatcher, browse):
    app = create_console(dispatcher, authenticate=lambda request: None, sign_in_url="/login")
    answer = await browse(None, app=app).client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_authenticate_may_be_async(dispatcher, browse):
    async def authenticate(request):
        return Viewer("acme", "Grace")

    assert "Grace" in (await browse(app=create_console(dispatcher, authenticate=authenticate)).get("/")).text


def test_there_is_no_open_default(dispatcher):
    with pytest.raises(TypeError):
        create_console(dispatcher)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="authenticate must be a function"):
        create_console(dispatcher, authenticate=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/", "/nothing/here", "/static/console.css", "/portal?token=x", "/static/../x"])
async def test_every_response_has_the_security_headers(browser, path):
    headers = (await browser.get(path)).headers
    assert headers["content-security-policy"] == POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == ("no-cache" if path.endswith(".css") else "no-store")


async def test_response_to_a_failure_has_the_security_headers_and_no_details(browse, dispatcher):
    def authenticate(request):
        raise RuntimeError("the session table is gone")

    answer = await browse(app=create_console(dispatcher, authenticate=authenticate)).get("/")
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"] == POLICY
    assert "session table" not in answer.text


async def test_form_without_its_token_changes_nothing(browser, webhook, dispatcher):
    answer = await browser.client.post(f"/webhooks/{webhook.id}/activate", data={"csrf": "0" * 64})
    assert answer.status_code == 403
    assert not dispatcher.webhooks.get(webhook.id, tenant="acme").active


async def test_token_of_another_viewer_or_browser_is_refused(browser, browse, webhook):
    await browser.token()
    for other in (browse(), browse("other")):
        token = await other.token()
        answer = await browser.client.post(f"/webhooks/{webhook.id}/activate", data={"csrf": token})
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "", "origin": "https://evil.example"},
    ],
)
async def test_form_of_another_site_is_refused_even_with_a_token(browser, webhook, dispatcher, headers):
    answer = await browser.post(f"/webhooks/{webhook.id}/activate", headers=headers)
    assert answer.status_code == 403
    assert not dispatcher.webhooks.get(webhook.id, tenant="acme").active


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//[x]:a", "https://evil.example"])
async def test_an_old_browser_is_judged_by_its_origin_however_odd(browser, webhook, origin):
    where = f"/webhooks/{webhook.id}/activate"
    content = str(httpx.QueryParams({"csrf": await browser.token()}))
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": origin}
    browser.client.headers.pop("sec-fetch-site", None)
    assert (await browser.client.post(where, content=content, headers=headers)).status_code == 403


@pytest.mark.parametrize(
    "origin",
    [
        "https://[evil",
        "http://[::1",
        "https://",
        "://",
        "",
        "https://console.example.com/x",
        "https://console.example.com@a",
        "\x00",
    ],
)
async def test_malformed_origin_is_a_foreign_one(browser, webhook, dispatcher, origin):
    token = await browser.token()
    form = {"content-type": "application/x-www-form-urlencoded", "origin": origin}
    answer = await browser.client.post(f"/webhooks/{webhook.id}/activate", content=f"csrf={token}", headers=form)
    assert answer.status_code == 403
    assert not dispatcher.webhooks.get(webhook.id, tenant="acme").active
    answer = await browser.client.post("/api/webhooks", json={}, headers={"origin": origin})
    assert (answer.status_code, answer.json()["title"]) == (403, "Forbidden")


async def test_malformed_host_is_no_failure(browser):
    for host in ("[evil", "a b", "::"):
        for path in ("/", "/new/", "/portal?token=x", "/api/viewer"):
            assert (await browser.get(path, headers={"host": host})).status_code < 500


async def test_trusted_origin_may_post(dispatcher, authenticate, browse, webhook):
    app = create_console(dispatcher, authenticate=authenticate, trusted_origins=["https://app.example.com"])
    headers = {"origin": "https://app.example.com", "sec-fetch-site": "same-site"}
    assert (await browse(app=app).post(f"/webhooks/{webhook.id}/activate", headers=headers)).status_code == 200


async def test_viewer_without_the_permission_is_refused(browse, webhook, dispatcher):
    answer = await browse(permissions="read").post(f"/webhooks/{webhook.id}/activate")
    assert answer.status_code == 403
    assert not dispatcher.webhooks.get(webhook.id, tenant="acme").active


async def test_frames_are_allowed_by_setting_only(dispatcher, authenticate, browse):
    app = create_console(dispatcher, authenticate=authenticate, frame_ancestors=["https://app.example.com"])
    headers = (await browse(app=app).get("/")).headers
    assert headers["content-security-policy"].endswith("frame-ancestors https://app.example.com")
    assert "x-frame-options" not in headers
    with pytest.raises(ValueError, match="frame_ancestors"):
        create_console(dispatcher, authenticate=authenticate, frame_ancestors="*; script-src *")


async def test_authenticate_may_refuse_or_redirect_as_its_framework_does(dispatcher, browse):
    def authenticate(request):
        raise HTTPException(307, headers={"location": "/login"})

    app = create_console(dispatcher, authenticate=authenticate)
    for path in ("/", "/api/webhooks"):
        answer = await browse(app=app).client.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, "/login")


async def test_blocking_authenticate_does_not_block_the_event_loop(dispatcher, browse):
    def authenticate(request):
        assert threading.current_thread() is not threading.main_thread()
        return Viewer("acme")

    assert (await browse(app=create_console(dispatcher, authenticate=authenticate)).get("/")).status_code == 200


async def test_token_looks_different_on_every_page_and_stays_good(browser, webhook):
    first, second = await browser.token(), await browser.token()
    assert first != second
    for token in (first, second, first):
        answer = await browser.client.post(f"/webhooks/{webhook.id}/activate", data={"csrf": token})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "path", ["/static/x", "/a/static/x", "/astatic/x", "/a", "/a/", "/static", "/a/a/static/x", "/"]
)
@pytest.mark.parametrize("root", ["", "/a", "/a/", "/static"])
def test_path_without_a_viewer_is_one_that_the_router_serves_without_a_viewer(root, path):
    scope = {"type": "http", "method": "GET", "path": path, "root_path": root}
    match, _ = Mount("/static", Router()).matches(scope)
    assert _path_in_console(scope).startswith("/static/") is (match is Match.FULL)


@pytest.mark.parametrize(
    "path, where",
    [
        ("/new/", "/new"),
        ("/deliveries/?state=failed", "/deliveries?state=failed"),
        ("/api", "/api/"),
        ("//evil.example/", None),
        ("//evil.example/new/", None),
        ("/nothing/", None),
    ],
)
@pytest.mark.parametrize("root", ["", "/hooks"])
async def test_redirects_are_relative_whatever_host_the_request_names(console, browse, path, where, root):
    browser = browse(app=Mount(root, app=console) if root else console)
    answer = await browser.client.get(
        f"https://console.example.com{root}{path}", headers={"host": "evil.example"}, follow_redirects=False
    )
    assert answer.headers.get("location") == (where and f"{root}{where}")
    assert answer.status_code == (404 if where is None else 307)


async def test_all_redirects_of_pages_are_relative(browse, webhook, console):
    browser = browse(host="evil.example")
    for path in (f"/webhooks/{webhook.id}/activate", "/preferences"):
        token = await browser.token()
        answer = await browser.client.post(
            path, data={"csrf": token, "back": "https://evil.example/"}, follow_redirects=False
        )
        assert (answer.status_code, answer.headers["location"][0]) == (303, "/")
