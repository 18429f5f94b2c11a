"""Refuse unsafe requests that did not start on a page of this console.

Two checks, each of which suffices in a current browser:

1. The origin of the request: `Sec-Fetch-Site`, or else `Origin`. A page with
   `Referrer-Policy: no-referrer` sends `Origin: null`, which says nothing.
   Without either header the token alone decides.
2. A token in the form: an HMAC over the viewer, keyed with a random cookie of
   this browser (and the host's secret, if there is one). So it is of no use to
   another viewer or browser, and processes need not share anything. Over plain
   HTTP a neighbouring domain could plant a cookie, but its requests fail check 1.

The JSON API takes no forms and so has no token: it refuses `Origin: null` too.
"""

from __future__ import annotations

import hmac
import secrets

from starlette.requests import Request

from unihooks.console.host.settings import ConsoleSettings
from unihooks.console.host.viewers import Viewer
from unihooks.console.http.cookies import cookie_of

COOKIE = "webhooks_csrf"
FIELD = "csrf"
_SAFE = {"GET", "HEAD", "OPTIONS"}
_COOKIE_LENGTH = 43
_MAC_LENGTH = 32


def is_safe(request: Request) -> bool:
    """Return whether the method changes nothing."""
    return request.method in _SAFE


def from_here(request: Request, settings: ConsoleSettings, *, strict: bool = False) -> bool:
    """Return whether the request may have started on a page of this console, judging by the browser's headers.

    `strict` refuses `Origin: null`.
    """
    origin = request.headers.get("origin")
    if origin in settings.trusted_origins:
        return True
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    if origin is None or origin == "null":
        return origin is None or not strict
    # An origin is a scheme and a host, and nothing else.
    return origin.partition("://")[2] == request.headers.get("host")


def random_value(request: Request, settings: ConsoleSettings) -> str | None:
    """Return the browser's random value, if it has a well-formed one."""
    value = cookie_of(request, settings, COOKIE) or ""
    return value if len(value) == _COOKIE_LENGTH and value.isascii() else None


def new_cookie() -> str:
    """Return a random value for a browser."""
    return secrets.token_urlsafe(32)


def token(cookie: str, viewer: Viewer, settings: ConsoleSettings) -> str:
    """Return the token for the forms of this viewer.

    It is masked differently on every page, so that the length of compressed pages reveals nothing about it.
    """
    mask = secrets.token_bytes(_MAC_LENGTH)
    return (mask + _xor(mask, _mac(cookie, viewer, settings))).hex()


def is_valid(given: object, request: Request, viewer: Viewer, settings: ConsoleSettings) -> bool:
    """Return whether the token of a form is this viewer's."""
    cookie = random_value(request, settings)
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
