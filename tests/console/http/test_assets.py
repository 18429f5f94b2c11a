"""Style sheets and scripts are few compressed files that browsers cache for ever; pages are compressed."""

from __future__ import annotations

import re
import zlib
from importlib.resources import files
from pathlib import Path

import pytest

from unihooks.console import create_console
from unihooks.console.http.assets import SCRIPTS, STYLES

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
STATIC = Path(str(files("unihooks.console") / "static"))


async def raw(browser, path: str, **headers: str):
    """Return a response whose body is as it was sent."""
    request = browser.client.build_request("GET", path, headers={"accept-encoding": "gzip", **headers})
    answer = await browser.client.send(request, stream=True)
    return answer, b"".join([chunk async for chunk in answer.aiter_raw()])


async def assets_of(browser, path: str = "/") -> list[str]:
    page = (await browser.get(path)).text
    return re.findall(r'(?:href|src)="(/static/[^"]+)"', page)


async def test_every_asset_of_a_page_is_cached_for_ever_under_the_hash_of_its_content(browser):
    names = await assets_of(browser)
    assert len(names) <= 4
    for name in names:
        assert re.fullmatch(r"/static/[a-z]+\.[0-9a-f]{16}\.(css|js|svg)", name)
        answer = await browser.get(name)
        assert (answer.status_code, answer.headers["vary"]) == (200, "accept-encoding")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_request_for_another_version_of_an_asset_gets_todays_and_is_not_cached(browser):
    for name in ("console.css", "console.0000000000000000.css"):
        answer = await browser.get(f"/static/{name}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    for name in ("console.000.css", "README.md", "..%2f_app.py", "none.css"):
        assert (await browser.get(f"/static/{name}")).status_code == 404


async def test_assets_are_compressed_for_browsers_that_accept_it(browser):
    for name in await assets_of(browser):
        answer, body = await raw(browser, name)
        plain, whole = await raw(browser, name, **{"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        if len(whole) > 1000:
            assert answer.headers["content-encoding"] == "gzip"
            assert zlib.decompress(body, wbits=31) == whole
            assert int(answer.headers["content-length"]) == len(body)


async def test_every_file_is_in_a_bundle_and_loads_nothing_from_elsewhere():
    listed = [*STYLES, *SCRIPTS]
    there = {f"{folder}/{path.name}" for folder in ("css", "js") for path in (STATIC / folder).iterdir()}
    assert there | {"htmx.js"} == set(listed)
    assert len(listed) == len(set(listed))
    for name in listed:
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", (STATIC / name).read_text(encoding="utf-8"))


async def test_pages_are_compressed_but_not_for_another_site_that_asks_for_them(browser, webhook):
    for path in ("/", "/new", f"/webhooks/{webhook.id}", "/deliveries", "/nowhere"):
        answer, body = await raw(browser, path)
        assert "accept-encoding" in answer.headers["vary"]
        if "content-encoding" in answer.headers:
            assert b"</html>" in zlib.decompress(body, wbits=31)
            assert int(answer.headers["content-length"]) == len(body)
        foreign, whole = await raw(browser, path, **{"sec-fetch-site": "cross-site"})
        assert "content-encoding" not in foreign.headers
        assert b"</html>" in whole
    answer, _ = await raw(browser, "/")
    assert answer.headers["content-encoding"] == "gzip"
    for refused in ("identity", "gzip;q=0", "br"):
        plain, whole = await raw(browser, "/", **{"accept-encoding": refused})
        assert "content-encoding" not in plain.headers
        assert b"</html>" in whole


@pytest.mark.parametrize("accent", [None, "#0a7d5a"])
async def test_branding_is_part_of_the_style_sheet(dispatcher, authenticate, browse, accent):
    browser = browse(app=create_console(dispatcher, authenticate=authenticate, accent=accent, logo=PNG))
    names = await assets_of(browser)
    (style,) = [name for name in names if name.endswith(".css")]
    assert ("#0a7d5a" in (await browser.get(style)).text) == bool(accent)
    (logo,) = [name for name in names if "/logo." in name]
    answer = await browser.get(logo)
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert "immutable" in answer.headers["cache-control"]
