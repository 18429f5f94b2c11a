"""Read the forms that pages send."""

from __future__ import annotations

from urllib.parse import parse_qsl

from attrs import field, frozen
from starlette.exceptions import HTTPException
from starlette.requests import Request

from unihooks.console.http.rendering import off_the_loop

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


def to_number(text: str, *, digits: int = 17) -> int | None:
    """Return the whole number that a browser has sent, or None if it is none or has more digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def is_save(form: Form) -> bool:
    """Return whether the pressed button saves; the other buttons of its form change nothing."""
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
