"""Keep a viewer's choice of theme and language in cookies."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from unihooks.console import _locale
from unihooks.console._access import Form, action
from unihooks.console._rendering import THEME_COOKIE, THEMES, path_to
from unihooks.console._viewers import Permission

_A_YEAR = 365 * 24 * 3_600


@action(Permission.READ)
async def choose(request: Request, form: Form) -> Response:
    """Remember what was chosen, and go back to the page where it was."""
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


ROUTES = [Route("/preferences", choose, methods=["POST"], name="preferences")]
