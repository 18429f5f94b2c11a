"""Portal links: signed, short-lived, scoped to a tenant and permissions."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import timedelta

import httpx
import pytest
from console_browser import text_of
from starlette.routing import Mount

from unihooks.console import (
    Viewer,
    aend_portal_sessions,
    create_console,
    end_portal_sessions,
    only_portal_links,
    portal_link,
)
from unihooks.console.http import portal as portal_module

SECRET = "0123456789abcdef0123456789abcdef"
HOST = "https://console.example.com"


@pytest.fixture
def portal(dispatcher):
    return create_console(dispatcher, authenticate=only_portal_links, secret=SECRET)


@pytest.fixture
def at(monkeypatch):
    """Set the clock of links and sessions to some seconds from now."""
    start = time.time()
    return lambda seconds: monkeypatch.setattr(portal_module.time, "time", lambda: start + seconds)


async def test_link_opens_the_console_as_its_viewer_and_leaves_the_address_bar(portal, browse, webhook):
    browser = browse(None, app=portal)
    answer = await browser.get(portal_link(HOST, Viewer("acme", "Ada", {"read"}), secret=SECRET))
    assert answer.url == f"{HOST}/"
    assert webhook.name in answer.text
    assert (await browser.get("/new")).status_code == 403
    cookie = answer.history[0].headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "secure", "samesite=lax", "max-age=3600", "path=/"))


async def test_link_of_another_tenant_shows_nothing_of_this_one(portal, browse, webhook):
    answer = await browse(None, app=portal).get(portal_link(HOST, Viewer("other"), secret=SECRET))
    assert webhook.name not in answer.text


def link_for(name: str, tenant: str = "acme") -> str:
    return portal_link(HOST, Viewer(tenant, name), secret=SECRET)


def confirmation(answer) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(csrf|token)" value="([^"]+)"', answer.text))


async def test_link_asks_before_it_replaces_the_session_of_somebody_else(portal, browse, webhook):
    browser = browse(None, app=portal)
    await browser.get(link_for("Ada"))
    asked = await browser.get(link_for("Mallory", "other"))
    assert (asked.status_code, "set-cookie" in asked.headers) == (200, False)
    assert all(name in text_of(asked) for name in ("Ada", "Mallory", "Sign in with this link?"))
    assert "Ada" in (await browser.get("/")).text
    answer = await browser.client.post("/portal", data=confirmation(asked))
    assert answer.url == f"{HOST}/"
    assert "Mallory" in answer.text


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "http://[evil"}]
)
async def test_other_site_cannot_confirm_for_the_viewer(portal, browse, headers):
    browser = browse(None, app=portal)
    await browser.get(link_for("Ada"))
    given = confirmation(await browser.get(link_for("Mallory")))
    assert (await browser.client.post("/portal", data=given, headers=headers)).status_code == 403
    mallory = browse(None, app=portal)
    await mallory.get(link_for("Eve"))
    foreign = confirmation(await mallory.get(link_for("Mallory")))
    for data in (given | {"csrf": "00" * 64}, foreign, {"token": given["token"]}):
        assert (await browser.client.post("/portal", data=data)).status_code == 403
    assert "Ada" in (await browser.get("/")).text
    # Nothing of this has used the link.
    assert (await browser.client.post("/portal", data=given)).url == f"{HOST}/"


async def test_link_asks_if_the_host_knows_the_viewer_too(dispatcher, authenticate, browse):
    app = create_console(dispatcher, authenticate=authenticate, secret=SECRET)
    answer = await browse("acme", app=app).get(link_for("Mallory", "other"))
    assert (answer.url.path, "set-cookie" in answer.headers) == ("/portal", True)
    assert portal_module.COOKIE not in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-dest": "image", "sec-fetch-site": "cross-site"},
        {"sec-fetch-dest": "empty"},
        {"sec-purpose": "prefetch"},
    ],
)
async def test_a_request_that_is_no_visit_signs_nobody_in_and_leaves_the_link_valid(portal, browse, headers):
    browser, link = browse(None, app=portal), link_for("Ada")
    assert (await browser.get(link, headers=headers)).url.path == "/portal"
    assert (await browser.client.head(link)).url.path == "/portal"
    assert (await browser.get("/")).status_code == 401
    assert (await browser.get(link)).url == f"{HOST}/"


async def test_link_works_once(portal, browse, dispatcher):
    link, first = link_for("Ada"), browse(None, app=portal)
    assert (await first.get(link)).status_code == 200
    # As in another process: what was used is known to the store alone.
    again = create_console(dispatcher, authenticate=only_portal_links, secret=SECRET)
    late = await browse(None, app=again).get(link)
    assert (late.status_code, "has expired" in late.text) == (401, True)
    # Whoever opened it is still that viewer, as after a reload.
    assert (await first.get(link)).url == f"{HOST}/"


async def test_link_that_was_used_stays_so_whatever_else_its_tenant_does(portal, browse, dispatcher):
    link = link_for("Ada")
    await browse(None, app=portal).get(link)
    # As many requests with keys, or forms, as the store remembers of a tenant.
    dispatcher.settings.store.reserve_answer("acme", "another", b"", at_most=1)
    assert (await browse(None, app=portal).get(link)).status_code == 401


async def test_links_of_one_viewer_and_moment_work_once_each(portal, browse):
    for link in (link_for("Ada"), link_for("Ada")):
        assert (await browse(None, app=portal).get(link)).status_code == 200


async def test_link_that_many_open_at_once_lets_one_in(portal, browse):
    link = link_for("Ada")
    found = await asyncio.gather(*(browse(None, app=portal).get(link) for _ in range(8)))
    assert sorted(answer.status_code for answer in found) == [200] + [401] * 7


async def test_cookies_are_bound_to_this_host_if_the_scheme_allows(dispatcher, browse, portal):
    answer = await browse(None, app=Mount("/hooks", app=portal)).get(
        portal_link(f"{HOST}/hooks", Viewer("acme"), secret=SECRET)
    )
    cookies = [answer.history[0].headers["set-cookie"], answer.headers["set-cookie"]]
    assert [cookie.partition("=")[0] for cookie in cookies] == ["__Host-webhooks_portal", "__Host-webhooks_csrf"]
    assert all("; Path=/;" in cookie and "; Secure" in cookie for cookie in cookies)
    transport = httpx.ASGITransport(app=Mount("/hooks", app=portal))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", follow_redirects=True) as plain:
        answer = await plain.get(portal_link("/hooks", Viewer("acme"), secret=SECRET))
    cookie = answer.history[0].headers["set-cookie"]
    assert cookie.startswith("webhooks_portal=")
    assert "; Path=/hooks/;" in cookie
    assert "Secure" not in cookie


async def test_cookie_that_a_neighbouring_domain_could_plant_is_ignored(portal, browse):
    browser = browse(None, app=portal)
    await browser.get(link_for("Mallory"))
    value = browser.client.cookies[f"__Host-{portal_module.COOKIE}"]
    browser = browse(None, app=portal)
    browser.client.cookies.set(portal_module.COOKIE, value)
    assert (await browser.get("/")).status_code == 401


async def test_link_and_session_end(portal, browse, at):
    link = portal_link(
        HOST, Viewer("acme"), secret=SECRET, lifetime=timedelta(seconds=60), session=timedelta(seconds=600)
    )
    browser = browse(None, app=portal)
    at(59)
    assert (await browser.get(link)).status_code == 200
    at(61)
    late = await browse(None, app=portal).get(link)
    assert (late.status_code, "has expired" in late.text) == (401, True)
    at(650)
    assert (await browser.get("/")).status_code == 200
    at(660)
    assert (await browser.get("/")).status_code == 401


async def test_forged_links_and_cookies_open_nothing(portal, browse):
    viewer = Viewer("acme")
    good = portal_link(HOST, viewer, secret=SECRET)
    token = good.partition("token=")[2]
    body, _, mac = token.partition(".")
    forged = [portal_link(HOST, viewer, secret="x" * 32), f"{HOST}/portal?token={body}x.{mac}", f"{HOST}/portal"]
    for link in [*forged, f"{HOST}/portal?token={body}", f"{HOST}/portal?token=\u00e9.\u00e9"]:
        browser = browse(None, app=portal)
        assert (await browser.get(link)).status_code == 401
        assert (await browser.get("/")).status_code == 401
    # A link's token is no session.
    browser = browse(None, app=portal)
    browser.client.cookies.set(f"__Host-{portal_module.COOKIE}", token)
    assert (await browser.get("/")).status_code == 401


async def test_hosts_own_session_takes_precedence_over_a_portal_cookie(dispatcher, authenticate, browse):
    app = create_console(dispatcher, authenticate=authenticate, secret=SECRET)
    browser = browse("acme", app=app)
    await browser.get(portal_link(HOST, Viewer("other", "Mallory"), secret=SECRET))
    assert "Mallory" not in (await browser.get("/")).text


async def test_console_without_a_secret_takes_no_links(console, browse):
    assert (await browse(None).get(portal_link(HOST, Viewer("acme"), secret=SECRET))).status_code == 401


@pytest.mark.parametrize("name", ["lifetime", "session"])
@pytest.mark.parametrize("value", [timedelta(0), timedelta(milliseconds=500), timedelta(days=2)])
def test_links_are_short_lived(name, value):
    with pytest.raises(ValueError, match=name):
        portal_link(HOST, Viewer("acme"), secret=SECRET, **{name: value})


def test_secret_must_be_long(dispatcher):
    with pytest.raises(ValueError, match="at least 32"):
        create_console(dispatcher, authenticate=only_portal_links, secret="short")


async def test_cookie_works_in_a_frame_of_the_allowed_site(dispatcher, browse):
    app = create_console(
        dispatcher, authenticate=only_portal_links, secret=SECRET, frame_ancestors="https://app.example.com"
    )
    answer = await browse(None, app=app).get(portal_link(HOST, Viewer("acme"), secret=SECRET))
    cookie = answer.history[0].headers["set-cookie"].lower()
    assert "samesite=none" in cookie
    assert all(part in cookie for part in ("secure", "partitioned"))


# Ends before their time.


async def test_viewer_signs_out_of_this_session_in_all_processes(portal, browse, dispatcher):
    here, there = browse(None, app=portal), browse(None, app=portal)
    await here.get(link_for("Ada"))
    await there.get(link_for("Ada"))
    cookie = here.client.cookies[f"__Host-{portal_module.COOKIE}"]
    assert "Sign out" in (await here.get("/")).text
    answer = await here.post("/sign-out")
    assert (answer.status_code, "You are signed out" in answer.text) == (200, True)
    assert f"__Host-{portal_module.COOKIE}" not in here.client.cookies
    # The cookie of somebody who has kept it opens nothing, in no process.
    again = create_console(dispatcher, authenticate=only_portal_links, secret=SECRET)
    late = browse(None, app=again)
    late.client.cookies.set(f"__Host-{portal_module.COOKIE}", cookie)
    assert (await late.get("/")).status_code == 401
    assert (await there.get("/")).status_code == 200


async def test_second_click_on_sign_out_or_sign_in_leads_to_the_page_of_the_first(portal, browse):
    browser = browse(None, app=portal)
    await browser.get(link_for("Ada"))
    asked = (await browser.get(link_for("Eve", "other"))).text.partition('action="/portal"')[2]
    form = {name: re.search(f'name="{name}" value="([^"]+)"', asked)[1] for name in ("csrf", "token")}
    for _ in range(2):
        answer = await browser.client.post("/portal", data=form)
        assert (answer.status_code, answer.url, "Eve" in answer.text) == (200, f"{HOST}/", True)
    token = await browser.token()
    for _ in range(2):
        answer = await browser.client.post("/sign-out", data={"csrf": token})
        assert (answer.status_code, answer.url.path) == (200, "/portal/signed-out")


async def test_signing_out_needs_a_form_of_this_console(portal, browse):
    browser = browse(None, app=portal)
    await browser.get(link_for("Ada"))
    assert (await browser.client.post("/sign-out", data={"csrf": "00" * 64})).status_code == 403
    assert (await browser.get("/")).status_code == 200


async def test_hosts_own_viewers_are_offered_no_sign_out(browser):
    assert "Sign out" not in (await browser.get("/")).text


async def test_host_ends_the_sessions_and_links_of_one_viewer(portal, browse, dispatcher):
    ada, grace, unopened = browse(None, app=portal), browse(None, app=portal), link_for("Ada")
    reusable = portal_link(HOST, Viewer("acme", "Ada"), secret=SECRET, single_use=False)
    await ada.get(reusable)
    await grace.get(link_for("Grace"))
    assert await aend_portal_sessions(dispatcher, tenant="acme", name="Ada") == 1
    assert (await ada.get("/")).status_code == 401
    assert (await grace.get("/")).status_code == 200
    for old in (unopened, reusable):
        assert (await browse(None, app=portal).get(old)).status_code == 401
    assert (await ada.get(link_for("Ada"))).status_code == 200


async def test_host_ends_all_sessions_of_a_tenant_and_of_no_other(portal, browse, dispatcher):
    browsers = [browse(None, app=portal) for _ in range(3)]
    for browser, link in zip(browsers, [link_for("Ada"), link_for("Grace"), link_for("Eve", "other")], strict=True):
        await browser.get(link)
    assert end_portal_sessions(dispatcher, tenant="acme") == 2
    assert [(await browser.get("/")).status_code for browser in browsers] == [401, 401, 200]
    assert end_portal_sessions(dispatcher, tenant="acme") == 0


async def test_session_that_is_opened_while_sessions_are_ended_does_not_outlive_that(
    portal, browse, dispatcher, monkeypatch
):
    put = type(dispatcher.settings.store).put_state

    def late(store, key, value, **rest):
        state = put(store, key, value, **rest)
        if key.kind == "session":
            end_portal_sessions(dispatcher, tenant="acme")
        return state

    monkeypatch.setattr(type(dispatcher.settings.store), "put_state", late)
    browser = browse(None, app=portal)
    assert (await browser.get(link_for("Ada"))).status_code == 401
    assert (await browser.get("/")).status_code == 401


async def test_ends_of_very_many_viewers_end_all_links(portal, browse, dispatcher):
    link = link_for("Ada")
    for number in range(101):
        end_portal_sessions(dispatcher, tenant="acme", name=f"viewer {number}")
    assert (await browse(None, app=portal).get(link)).status_code == 401


async def test_link_that_may_be_opened_again_opens_a_session_each_time(portal, browse, dispatcher):
    link = portal_link(HOST, Viewer("acme", "Ada"), secret=SECRET, single_use=False)
    for _ in range(3):
        assert (await browse(None, app=portal).get(link)).status_code == 200
    assert end_portal_sessions(dispatcher, tenant="acme") == 3
