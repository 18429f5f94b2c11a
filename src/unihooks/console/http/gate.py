"""Let in the viewers that the host knows, and refuse unsafe requests from pages of other sites."""

from __future__ import annotations

import inspect
from contextlib import suppress
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unihooks.console.host.settings import ConsoleSettings
from unihooks.console.host.viewers import Viewer
from unihooks.console.http import csrf, portal
from unihooks.console.http.cookies import cookie_header
from unihooks.console.http.forms import read_form
from unihooks.console.http.rendering import is_visit, path_to, refuse, settings_of, sign_in_url
from unihooks.console.words import locale

_OPEN = ("/static/", "/portal", "/receive/")


class Gate:
    """The middleware that asks the host for the viewer of each request and checks unsafe requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A mounted application shares the host's state, which must stay as it is.
        scope["state"] = dict(scope.get("state", {}))
        request = Request(scope, receive)
        request.state.viewer = request.state.portal = None
        cookie = csrf.random_value(request, settings_of(request))
        request.state.csrf_cookie = cookie or csrf.new_cookie()
        locale.use(
            locale.language_of(request, settings_of(request)),
            settings_of(request).texts,
            settings_of(request).translate,
        )
        request.state.sent = ()
        answer = None if _path_in_console(scope).startswith(_OPEN) else await _stopped(request)
        await (answer or self._app)(scope, receive, send if cookie else _with_cookie(request, send))


async def _stopped(request: Request) -> Response | None:
    settings = settings_of(request)
    try:
        viewer = await known_viewer(request, settings)
    except HTTPException as error:
        # The host's function may refuse or redirect with Starlette's own exception.
        return _refused(request, error)
    if viewer is None:
        return await _unknown(request, settings)
    request.state.viewer = viewer
    if csrf.is_safe(request) or csrf.from_here(request, settings, strict=is_api(request)):
        return None
    return _foreign(request)


async def known_viewer(request: Request, settings: ConsoleSettings) -> Viewer | None:
    """Return the viewer whom the host knows, or else the one of the portal session."""
    if inspect.iscoroutinefunction(settings.authenticate):
        found: Any = settings.authenticate(request)
    else:
        # A plain function may block, as on a database.
        found = await run_in_threadpool(settings.authenticate, request)
    viewer = await found if inspect.isawaitable(found) else found
    if viewer is not None and not isinstance(viewer, Viewer):
        raise TypeError("authenticate must return a Viewer or None")
    return viewer or await portal.viewer_of(request, settings)


def _with_cookie(request: Request, send: Send) -> Send:
    """Set the random cookie of a browser that has none, with pages only."""

    async def sending(message: Message) -> None:
        headers = MutableHeaders(scope=message) if message["type"] == "http.response.start" else None
        if headers is not None and headers.get("content-type", "").startswith("text/html"):
            headers.append(
                "set-cookie", cookie_header(request, settings_of(request), csrf.COOKIE, request.state.csrf_cookie)
            )
        await send(message)

    return sending


def is_api(request: Request) -> bool:
    """Return whether a request is for the JSON API, which reports errors as problem+json."""
    return _path_in_console(request.scope).startswith("/api/")


def _path_in_console(scope: Scope) -> str:
    """Return the path below wherever the console is mounted."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _refused(request: Request, error: HTTPException) -> Response:
    if is_api(request):
        answer: Response = _problem(error.status_code, error.detail, error.detail)
    else:
        answer = refuse(request, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def _unknown(request: Request, settings: ConsoleSettings) -> Response:
    if is_api(request):
        return _problem(401, "Unauthorized", "sign in, or send the credentials that your account gives you for the API")
    if request.method == "POST" and request.scope["path"] == path_to(request, "sign_out"):
        # The viewer is signed out already, as by the first click of a double click.
        return RedirectResponse(path_to(request, "signed_out"), 303)
    if settings.sign_in_url is not None and csrf.is_safe(request) and is_visit(request):
        return RedirectResponse(sign_in_url(request), 303)
    if request.method == "POST" and is_visit(request) and csrf.from_here(request, settings):
        # The response keeps what was typed, to be sent after signing in; its token is checked then.
        with suppress(HTTPException):
            request.state.sent = (await read_form(request)).pairs
    return refuse(request, 401)


def _foreign(request: Request) -> Response:
    if is_api(request):
        return _problem(403, "Forbidden", "the request comes from a page of another site")
    return refuse(request, 403, foreign=True)


def _problem(status: int, title: str, detail: str) -> Response:
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(content, status, media_type="application/problem+json")
