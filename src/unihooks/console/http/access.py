"""Guard the function of each page: check the permission that it needs, and the token of a form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from urllib.parse import parse_qsl

from attrs import field, frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from unihooks.console.host.viewers import Permission
from unihooks.console.http import csrf
from unihooks.console.http.once import carry_out
from unihooks.console.http.rendering import off_the_loop, refuse, settings_of, viewer_of

View = Callable[[Request], Awaitable[Response]]
# A payload of 256 KiB may take four times as much in a form.
_MOST_BYTES = 1024 * 1024
_MOST_FIELDS = 20_000


@frozen
class Form:
    """The pairs that a form has sent, in the order of its fields."""

    pairs: tuple[tuple[str, str], ...]
    _values: dict[str, list[str]] = field(init=False, eq=False, repr=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        for name, value in self.pairs:
            self._values.setdefault(name, []).append(value)

    def get(self, name: str, default: str = "") -> str:
        """Return the last value of a field."""
        return self._values.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        """Return all values of a field."""
        return self._values.get(name, [])


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
    """Let a form do something only for viewers with the permission, only from a page of this console, and once.

    Another submit of it leads where the first one led, or is answered by `again` if that led to no page.
    `once` is false, or a function that tells so of a form, for what changes nothing.
    """

    def guard(function: Action) -> View:
        @wraps(function)
        async def guarded(request: Request) -> Response:
            if not viewer_of(request).may(permission):
                return refuse(request, 403)
            form = await read_form(request)
            if not csrf.is_valid(form.get(csrf.FIELD), request, viewer_of(request), settings_of(request)):
                return _out_of_date(request)
            # A page that refuses it offers to send it again.
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
    # Only a script of a page from here can read it, and put it where what was typed still is.
    if request.headers.get("sec-fetch-site") == "same-origin":
        answer.headers["console-token"] = csrf.token(
            request.state.csrf_cookie, viewer_of(request), settings_of(request)
        )
    return answer


def is_save(form: Form) -> bool:
    """Tell whether the button that was pressed saves, among others of its form that change nothing."""
    return form.get("go") == "save"


async def read_form(request: Request) -> Form:
    """Return the form in the body of a request."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413)
    try:
        return await off_the_loop(_parsed, bytes(body))
    except ValueError:
        raise HTTPException(400) from None


def _parsed(body: bytes) -> Form:
    pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    return Form(tuple((name, value.replace("\r\n", "\n")) for name, value in pairs))
