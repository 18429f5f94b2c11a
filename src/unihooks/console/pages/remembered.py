"""Set what a browser remembers: the session that a portal link opens, and the viewer's theme and language."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from unihooks.console import _locale, _portal
from unihooks.console._access import Form, action
from unihooks.console._cookies import cookie_header
from unihooks.console._rendering import THEME_COOKIE, THEMES, path_to, refuse, settings_of
from unihooks.console._viewers import Permission

_A_YEAR = 365 * 24 * 3_600


async def enter(request: Request) -> Response:
    """Exchange the token of a portal link for a cookie, and keep it out of the address bar."""
    settings = settings_of(request)
    exchanged = _portal.exchange(request.query_params.get("token", ""), settings)
    if exchanged is None:
        return refuse(request, 401, expired=True)
    answer = RedirectResponse(path_to(request, "webhooks"), 303)
    value, seconds = exchanged
    answer.headers.append("set-cookie", cookie_header(request, settings, _portal.COOKIE, value, seconds=seconds))
    return answer


@action(Permission.READ)
async def choose(request: Request, form: Form) -> Response:
    """Remember a theme or language, and return to the page where it was chosen."""
    root = path_to(request, "webhooks")
    back = form.get("back")
    answer = RedirectResponse(back if _is_inside(back, root) else root, 303)
    for cookie, value, known in (
        (THEME_COOKIE, form.get("theme"), THEMES),
        (_locale.COOKIE, form.get("language"), _locale.LANGUAGES),
    ):
        if value in known:
            answer.set_cookie(cookie, value, max_age=_A_YEAR, path=root, httponly=True, samesite="lax")
    return answer


def _is_inside(path: str, root: str) -> bool:
    return path.startswith(root) and not path.startswith("//") and path.isprintable() and "\\" not in path


ROUTES = [
    Route("/portal", enter, name="portal"),
    Route("/preferences", choose, methods=["POST"], name="preferences"),
]
