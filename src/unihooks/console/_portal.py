"""Let in the customers of hosts without sessions: a short-lived signed link is exchanged for a short-lived cookie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from datetime import timedelta
from typing import Any

from starlette.requests import Request

from unihooks._base.awaitable import in_own_thread
from unihooks.console._cookies import cookie_of
from unihooks.console._settings import ConsoleSettings
from unihooks.console._viewers import Viewer

COOKIE = "webhooks_portal"
_LINK, _SESSION = "link", "session"
_LONGEST_LINK = timedelta(hours=24)
_LONGEST_SESSION = timedelta(hours=24)


def portal_link(
    console_url: str,
    viewer: Viewer,
    *,
    secret: str,
    lifetime: timedelta = timedelta(minutes=5),
    session: timedelta = timedelta(hours=1),
) -> str:
    """Return a URL that opens the console at `console_url` as this viewer.

    The link works once, within `lifetime`, and the session that it opens ends
    after `session`; both are at most 24 hours. `secret` is the console's. Make
    a link for each visit and hand it only to the customer whose tenant it names:
    whoever opens it first is that viewer. Where somebody else is signed in
    already, it asks before it changes that.
    """
    _check(lifetime, _LONGEST_LINK, "lifetime")
    _check(session, _LONGEST_SESSION, "session")
    seconds = int(session.total_seconds())
    # Two links of one second must differ, since each works once.
    unique = secrets.token_urlsafe(12)
    signed = _signed(_LINK, viewer, time.time() + lifetime.total_seconds(), secret, seconds=seconds, id=unique)
    return f"{console_url.rstrip('/')}/portal?token={signed}"


def only_portal_links(request: Request) -> None:
    """Recognize nobody: the `authenticate` of a host whose customers come by portal links alone."""


def viewer_of_link(token: str, settings: ConsoleSettings) -> Viewer | None:
    """Return the viewer whom a link's token names; None if it is forged or expired."""
    claims = _opened(_LINK, token, settings.secret) if settings.secret is not None else None
    return None if claims is None else _viewer(claims)


async def exchange(token: str, settings: ConsoleSettings) -> tuple[str, int] | None:
    """Return the value and the lifetime in seconds of the cookie for a link's token, once; None if it is of no use."""
    claims = _opened(_LINK, token, settings.secret) if settings.secret is not None else None
    if claims is None or settings.secret is None or not await in_own_thread(_use, token, claims, settings):
        return None
    seconds = int(claims["seconds"])
    return _signed(_SESSION, _viewer(claims), time.time() + seconds, settings.secret), seconds


def _use(token: str, claims: dict[str, Any], settings: ConsoleSettings) -> bool:
    """Tell whether the link was not used before, and note that it is now: in the store, as processes share it."""
    store = settings.dispatcher.settings.open_store
    # No key of the API has such a character.
    tenant, key = claims["tenant"], f"\x1fportal link {claims['id']}"
    if store.reserve_answer(tenant, key, hashlib.sha256(token.encode()).digest()) is not None:
        return False
    store.keep_answer(tenant, key, 303, b"{}")
    return True


def viewer_of(request: Request, settings: ConsoleSettings) -> Viewer | None:
    """Return the viewer that the request's portal cookie names, if it is genuine and has not expired."""
    cookie = cookie_of(request, settings, COOKIE)
    if cookie is None or settings.secret is None:
        return None
    claims = _opened(_SESSION, cookie, settings.secret)
    return None if claims is None else _viewer(claims)


def _check(value: timedelta, most: timedelta, name: str) -> None:
    if not timedelta(0) < value <= most:
        raise ValueError(f"{name} must be more than zero and at most 24 hours")


def _signed(kind: str, viewer: Viewer, expires: float, secret: str, **more: int | str) -> str:
    claims = {
        "tenant": viewer.tenant,
        "name": viewer.name,
        "viewer": viewer.id,
        "permissions": sorted(viewer.permissions),
        "expires": int(expires),
        **more,
    }
    body = _encode(json.dumps(claims, separators=(",", ":")).encode())
    return f"{body}.{_encode(_mac(kind, body, secret))}"


def _opened(kind: str, token: str, secret: str) -> dict[str, Any] | None:
    body, _, mac = token.partition(".")
    if not token.isascii() or not hmac.compare_digest(mac.encode(), _encode(_mac(kind, body, secret)).encode()):
        return None
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims if claims["expires"] > time.time() else None


def _viewer(claims: dict[str, Any]) -> Viewer:
    return Viewer(claims["tenant"], claims["name"], frozenset(claims["permissions"]), claims.get("viewer", ""))


def _mac(kind: str, body: str, secret: str) -> bytes:
    # The kind is signed too, so that a link cannot serve as a cookie, nor a cookie as a link.
    return hmac.digest(secret.encode(), f"unihooks-console-{kind}\0{body}".encode(), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
