"""Remember in a browser which theme and languages its viewer has chosen."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action
from unihooks.console.http.forms import Form
from unihooks.console.http.rendering import THEME_COOKIE, THEMES, path_to, redirect
from unihooks.console.views import snippets
from unihooks.console.words import locale

_A_YEAR = 365 * 24 * 3_600


@action(Permission.READ, once=False)
async def choose(request: Request, form: Form) -> Response:
    """Remember a theme, a language or the language of code, and return to the page where it was chosen."""
    root = path_to(request, "webhooks")
    back = form.get("back")
    answer = redirect(request, _without_language(back) if _is_inside(back, root) else root)
    for cookie, value, known in (
        (THEME_COOKIE, form.get("theme"), THEMES),
        (locale.COOKIE, form.get("language"), locale.LANGUAGES),
        (snippets.COOKIE, form.get("code"), snippets.NAMES),
    ):
        if value in known:
            answer.set_cookie(cookie, value, max_age=_A_YEAR, path=root, httponly=True, samesite="lax")
    return answer


def _without_language(back: str) -> str:
    """Return the page without the language in its URL, which would override the chosen one."""
    path, _, query = back.partition("?")
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "lang"]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _is_inside(path: str, root: str) -> bool:
    return path.startswith(root) and not path.startswith("//") and path.isprintable() and "\\" not in path


ROUTES = [Route("/preferences", choose, methods=["POST"], name="preferences")]
