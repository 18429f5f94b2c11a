"""Turn a portal link into a session."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from unihooks.console import _portal
from unihooks.console._cookies import cookie_header
from unihooks.console._rendering import path_to, refuse, settings_of


async def enter(request: Request) -> Response:
    """Exchange the link's token for a cookie; the token does not stay in the address bar."""
    settings = settings_of(request)
    exchanged = _portal.exchange(request.query_params.get("token", ""), settings)
    if exchanged is None:
        return refuse(request, 401, expired=True)
    answer = RedirectResponse(path_to(request, "webhooks"), 303)
    value, seconds = exchanged
    answer.headers.append("set-cookie", cookie_header(request, settings, _portal.COOKIE, value, seconds=seconds))
    return answer


ROUTES = [Route("/portal", enter, name="portal")]
