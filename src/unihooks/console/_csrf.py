"""Refuse unsafe requests that did not start on a page of this console.

Two checks, each of which suffices in a current browser:

1. Where the request says it comes from: `Sec-Fetch-Site`, else `Origin`. A
   page under `Referrer-Policy: no-referrer` sends `Origin: null`, which says
   nothing; without either header the token alone decides.
2. A token in the form. It is an HMAC over the viewer, keyed with a random
   cookie of this browser (and the host's secret, if there is one): so it is of
   no use to another viewer or browser, and several processes need share
   nothing. What a neighbouring domain could do, plant a cookie, fails check 1.

The JSON API takes no forms and so has no token: there, `Origin: null` is refused too.
"""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request

from unihooks.console._settings import ConsoleSettings
from unihooks.console._viewers import Viewer

COOKIE = "unihooks_csrf"
FIELD = "csrf"
_SAFE = {"GET", "HEAD", "OPTIONS"}
_COOKIE_LENGTH = 43
_MAC_LENGTH = 32


def is_safe(request: Request) -> bool:
    """Say whether the method changes nothing."""
    return request.method in _SAFE


def from_here(request: Request, settings: ConsoleSettings, *, strict: bool = False) -> bool:
    """Say whether the request may have started on a page of this console, by what the browser says.

    `strict` refuses an origin that the browser hides.
    """
    origin = request.headers.get("origin")
    if origin in settings.trusted_origins:
        return True
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    if origin is None or origin == "null":
        return origin is None or not strict
    return urlsplit(origin).netloc == request.headers.get("host")


def cookie_of(request: Request) -> str | None:
    """Return the browser's random value, if it has one of the right form."""
    value = request.cookies.get(COOKIE, "")
    return value if len(value) == _COOKIE_LENGTH and value.isascii() else None


def new_cookie() -> str:
    """Return a random value for a browser."""
    return secrets.token_urlsafe(32)


def token(cookie: str, viewer: Viewer, settings: ConsoleSettings) -> str:
    """Return a token that forms of this viewer carry.

    It looks different on every page, so that compressed pages tell nothing about it.
    """
    mask = secrets.token_bytes(_MAC_LENGTH)
    return (mask + _xor(mask, _mac(cookie, viewer, settings))).hex()


def fits(given: object, request: Request, viewer: Viewer, settings: ConsoleSettings) -> bool:
    """Say whether a token that came with a form is the viewer's."""
    cookie = cookie_of(request)
    if cookie is None or not isinstance(given, str):
        return False
    try:
        data = bytes.fromhex(given)
    except ValueError:
        return False
    mac = _xor(data[:_MAC_LENGTH], data[_MAC_LENGTH:])
    return hmac.compare_digest(mac, _mac(cookie, viewer, settings))


def _mac(cookie: str, viewer: Viewer, settings: ConsoleSettings) -> bytes:
    key = f"{cookie}\0{settings.secret or ''}".encode()
    return hmac.digest(key, f"{viewer.tenant}\0{viewer.name}".encode(), "sha256")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))
