"""Sign in with a portal link, and out again."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from unihooks._base.awaitable import in_own_thread
from unihooks.console.host.settings import ConsoleSettings
from unihooks.console.host.viewers import Permission, Viewer
from unihooks.console.http import csrf, portal, portal_sessions
from unihooks.console.http.access import action
from unihooks.console.http.cookies import cookie_header
from unihooks.console.http.forms import Form, read_form
from unihooks.console.http.gate import known_viewer
from unihooks.console.http.rendering import page, path_to, refuse, settings_of, viewer_of


async def enter(request: Request) -> Response:
    """Exchange the token of a portal link for a cookie; ask first where somebody else is signed in."""
    settings, token = settings_of(request), request.query_params.get("token", "")
    named = portal.viewer_of_link(token, settings)
    if named is None:
        return refuse(request, 401, expired=True)
    current = await _current(request, settings)
    if current in (None, named) and _is_visit(request):
        return await _signed_in(request, settings, token, again=current is not None)
    return await page(
        request,
        "portal.html",
        token=token,
        link_csrf=csrf.token(request.state.csrf_cookie, named, settings),
        current=current and (current.name or current.tenant),
        named=named.name or named.tenant,
    )


async def confirm(request: Request) -> Response:
    """Sign in with a portal link after the question of `enter`."""
    settings, form = settings_of(request), await read_form(request)
    token = form.get("token")
    named = portal.viewer_of_link(token, settings)
    if named is None:
        known = await _current(request, settings)
        return refuse(request, 403, foreign=True) if known else refuse(request, 401, expired=True)
    if not csrf.from_here(request, settings) or not csrf.is_valid(form.get(csrf.FIELD), request, named, settings):
        return refuse(request, 403, foreign=True)
    # The second click of a double click comes with a link that is used, and with the cookie of the first.
    return await _signed_in(request, settings, token, again=await _current(request, settings) == named)


@action(Permission.READ, once=False)
async def sign_out(request: Request, form: Form) -> Response:  # noqa: ARG001
    """End the portal session, in the store and in this browser."""
    settings = settings_of(request)
    if request.state.portal is not None:
        store = settings.dispatcher.settings.open_store
        await in_own_thread(portal_sessions.end, store, viewer_of(request).tenant, request.state.portal)
    answer = RedirectResponse(path_to(request, "signed_out"), 303)
    answer.headers.append("set-cookie", cookie_header(request, settings, portal.COOKIE, "", seconds=0))
    return answer


async def signed_out(request: Request) -> Response:
    """Say that the session has ended."""
    return await page(request, "signed_out.html")


async def _signed_in(request: Request, settings: ConsoleSettings, token: str, *, again: bool = False) -> Response:
    """Set the cookie and keep the token out of the address bar; `again` says that its viewer is signed in already."""
    exchanged = await portal.exchange(token, settings)
    if exchanged is None and not again:
        return refuse(request, 401, expired=True)
    answer = RedirectResponse(path_to(request, "webhooks"), 303)
    if exchanged is not None:
        value, seconds = exchanged
        answer.headers.append("set-cookie", cookie_header(request, settings, portal.COOKIE, value, seconds=seconds))
    return answer


async def _current(request: Request, settings: ConsoleSettings) -> Viewer | None:
    try:
        return await known_viewer(request, settings)
    except HTTPException:
        # The host's function refuses or redirects strangers.
        return None


def _is_visit(request: Request) -> bool:
    """Return whether a person opens the page: no image, script, request or prefetch of some other page."""
    purpose, target = request.headers.get("sec-purpose"), request.headers.get("sec-fetch-dest", "document")
    return request.method == "GET" and purpose is None and target in ("document", "iframe", "frame")


ROUTES = [
    Route("/portal", enter, methods=["GET"], name="portal"),
    Route("/portal", confirm, methods=["POST"], name="enter"),
    Route("/portal/signed-out", signed_out, name="signed_out"),
    Route("/sign-out", sign_out, methods=["POST"], name="sign_out"),
]
