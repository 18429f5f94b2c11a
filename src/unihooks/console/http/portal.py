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
from unihooks.abc import Store
from unihooks.console.host.settings import ConsoleSettings
from unihooks.console.host.viewers import Viewer
from unihooks.console.http import portal_sessions
from unihooks.console.http.cookies import cookie_of

COOKIE = "webhooks_portal"
_LINK, _SESSION = "link", "session"
_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(hours=24)


def portal_link(
    console_url: str,
    viewer: Viewer,
    *,
    secret: str,
    lifetime: timedelta = timedelta(minutes=5),
    session: timedelta = timedelta(hours=1),
    single_use: bool = True,
) -> str:
    """Return a URL that opens the console at `console_url` as this viewer.

    The link works once, within `lifetime`, and the session that it opens ends
    after `session`, or when the viewer signs out, or with `end_portal_sessions`;
    both are at most 24 hours. `secret` is the console's. Make a link for each
    visit and hand it only to the customer whose tenant it names: whoever opens
    it first is that viewer. Where somebody else is signed in already, it asks
    before it changes that. With `single_use=False` it may be opened again within
    `lifetime`, as by somebody whose mail program has opened it first.
    """
    _check(lifetime, "lifetime")
    _check(session, "session")
    seconds = int(session.total_seconds())
    # Each link works once, so two links made in the same second must differ.
    unique = secrets.token_urlsafe(12)
    more: dict[str, float | str] = {"seconds": seconds, "id": unique, "made_at": time.time(), "once": single_use}
    signed = _signed(_LINK, viewer, time.time() + lifetime.total_seconds(), secret, **more)
    return f"{console_url.rstrip('/')}/portal?token={signed}"


def only_portal_links(request: Request) -> None:
    """Recognize nobody: the `authenticate` of a host whose customers only use portal links."""


def viewer_of_link(token: str, settings: ConsoleSettings) -> Viewer | None:
    """Return the viewer whom a link's token names; None if it is forged or expired."""
    claims = _opened(_LINK, token, settings.secret)
    return None if claims is None else _viewer(claims)


async def exchange(token: str, settings: ConsoleSettings) -> tuple[str, int] | None:
    """Return the value and the lifetime in seconds of the cookie for a link's token; None if the link is invalid."""
    claims = _opened(_LINK, token, settings.secret)
    if claims is None or settings.secret is None:
        return None
    session_id = await in_own_thread(_use, claims, settings.dispatcher.settings.open_store)
    if session_id is None:
        return None
    seconds = int(claims["seconds"])
    return _signed(_SESSION, _viewer(claims), time.time() + seconds, settings.secret, id=session_id), seconds


def _use(claims: dict[str, Any], store: Store) -> str | None:
    """Open a session in the store, as processes share it; return its id, or None if the link was used or ended."""
    left = claims["expires"] - time.time()
    if claims["once"] and not portal_sessions.is_first_use(store, claims["tenant"], claims["id"], left):
        return None
    return portal_sessions.begin(store, _viewer(claims), claims["made_at"], int(claims["seconds"]))


async def viewer_of(request: Request, settings: ConsoleSettings) -> Viewer | None:
    """Return the viewer that the request's portal cookie names, if it is genuine, has not expired and was not ended.

    `request.state.portal` is then the id of the session.
    """
    claims = _opened(_SESSION, cookie_of(request, settings, COOKIE) or "", settings.secret)
    if claims is None:
        return None
    viewer, store = _viewer(claims), settings.dispatcher.settings.open_store
    if not await in_own_thread(portal_sessions.is_open, store, viewer.tenant, claims["id"]):
        return None
    request.state.portal = claims["id"]
    return viewer


def _check(value: timedelta, name: str) -> None:
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta, such as timedelta(minutes=5)")
    if not _SHORTEST <= value <= _LONGEST:
        raise ValueError(f"{name} must be at least a second and at most 24 hours")


def _signed(kind: str, viewer: Viewer, expires: float, secret: str, **more: float | str) -> str:
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


def _opened(kind: str, token: str, secret: str | None) -> dict[str, Any] | None:
    body, _, mac = token.partition(".")
    if secret is None or not token.isascii():
        return None
    if not hmac.compare_digest(mac.encode(), _encode(_mac(kind, body, secret)).encode()):
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
