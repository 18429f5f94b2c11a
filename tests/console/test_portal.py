"""Portal links: signed, short-lived, scoped to a tenant and permissions."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from unihooks.console import Viewer, _portal, create_console, only_portal_links, portal_link

SECRET = "0123456789abcdef0123456789abcdef"
HOST = "https://console.example.com"


@pytest.fixture
def portal(dispatcher):
    return create_console(dispatcher, authenticate=only_portal_links, secret=SECRET)


@pytest.fixture
def at(monkeypatch):
    """Set the clock of links and sessions to some seconds from now."""
    start = time.time()
    return lambda seconds: monkeypatch.setattr(_portal.time, "time", lambda: start + seconds)


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
    browser.client.cookies.set(_portal.COOKIE, token)
    assert (await browser.get("/")).status_code == 401


async def test_hosts_own_session_goes_before_a_portal_cookie(dispatcher, authenticate, browse):
    app = create_console(dispatcher, authenticate=authenticate, secret=SECRET)
    browser = browse("acme", app=app)
    await browser.get(portal_link(HOST, Viewer("other", "Mallory"), secret=SECRET))
    assert "Mallory" not in (await browser.get("/")).text


async def test_console_without_a_secret_takes_no_links(console, browse):
    assert (await browse(None).get(portal_link(HOST, Viewer("acme"), secret=SECRET))).status_code == 401


@pytest.mark.parametrize("name", ["lifetime", "session"])
@pytest.mark.parametrize("value", [timedelta(0), timedelta(days=2)])
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
