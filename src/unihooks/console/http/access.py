"""Guard the function of each page: check its permission, and the token of a form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps

from starlette.requests import Request
from starlette.responses import Response

from unihooks.console.host.viewers import Permission
from unihooks.console.http import csrf
from unihooks.console.http.forms import Form, read_form
from unihooks.console.http.once import carry_out
from unihooks.console.http.rendering import refuse, settings_of, viewer_of

View = Callable[[Request], Awaitable[Response]]
Action = Callable[[Request, Form], Awaitable[Response]]


def view(permission: Permission) -> Callable[[View], View]:
    """Show a page only to viewers with the permission."""

    def guard(function: View) -> View:
        @wraps(function)
        async def guarded(request: Request) -> Response:
            if not viewer_of(request).may(permission):
                return refuse(request, 403)
            return await function(request)

        return guarded

    return guard


def action(
    permission: Permission, *, once: bool | Callable[[Form], bool] = True, again: Action | None = None
) -> Callable[[Action], View]:
    """Allow a form's action only for viewers with the permission, only from a page of this console, and once.

    Another submit of it leads where the first one led, or gets the response of `again` if that led to no page.
    For forms that change nothing, `once` is false, or a function that returns false for them.
    """

    def guard(function: Action) -> View:
        @view(permission)
        @wraps(function)
        async def guarded(request: Request) -> Response:
            form = await read_form(request)
            if not csrf.is_valid(form.get(csrf.FIELD), request, viewer_of(request), settings_of(request)):
                return _out_of_date(request)
            # If the form is refused, the page offers to send it again.
            request.state.sent = form.pairs
            if not (once(form) if callable(once) else once):
                return await function(request, form)
            repeated = partial(again, request, form) if again is not None else None
            return await carry_out(request, form.pairs, partial(function, request, form), repeated)

        return guarded

    return guard


def _out_of_date(request: Request) -> Response:
    """Refuse a form whose token is not the viewer's, as after signing in with new cookies."""
    answer = refuse(request, 403, foreign=True)
    # Only a script on one of our own pages can read this header. It puts the token into the form that is still open.
    if request.headers.get("sec-fetch-site") == "same-origin":
        answer.headers["console-token"] = csrf.token(
            request.state.csrf_cookie, viewer_of(request), settings_of(request)
        )
    return answer
