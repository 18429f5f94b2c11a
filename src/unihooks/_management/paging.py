"""Pages of listings, with cursors in both directions."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from unihooks._model.checks import check_number
from unihooks.abc import Window
from unihooks.exceptions import InvalidArgument

T = TypeVar("T")

MOST_PER_PAGE = 250
_OLDER = "o"
_NEWER = "n"
_PLACES = {
    "id": re.compile(r"[0-9A-Za-z_]+"),
    "number": re.compile(r"[0-9]{1,9}"),
    "tenant": re.compile(r"[^\0]+"),
    "name": re.compile(r"[^\0]*\0[0-9A-Za-z_]+"),
    "health": re.compile(r"[0-4][0-9A-Za-z_]+"),
}


@frozen
class Page(Sequence[T], Generic[T]):
    """One page of a listing; `next` and `previous` are cursors, None at the ends."""

    items: tuple[T, ...] = field(converter=tuple)
    next: str | None = None
    previous: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]


def paginate(
    fetch: Callable[[Window], list[T]],
    position: Callable[[T], str],
    *,
    limit: int,
    cursor: str | None,
    kind: str = "id",
    rising: bool = False,
) -> Page[T]:
    """Return one page; `fetch` lists a window, `position` returns where an item stands in the listing.

    A cursor is an opaque text for a place between two items, so pages stay correct while new items arrive. `kind` says
    what positions are: an id, a number, a tenant, or a name or a health with an id. `rising` reverses the order.
    """
    limit = check_number("limit", limit, at_most=MOST_PER_PAGE)
    forwards, backwards = (_NEWER, _OLDER) if rising else (_OLDER, _NEWER)
    direction, place = _read_cursor(cursor, kind) if cursor is not None else (forwards, None)
    # One more item than the page shows tells whether another page follows.
    if direction == _NEWER:
        found = fetch(Window(limit=limit + 1, newer_than=place or "", by_name=kind == "name"))
        items = found[-limit:]
    else:
        found = fetch(Window(limit=limit + 1, older_than=place, by_name=kind == "name"))
        items = found[:limit]
    beyond = len(found) > limit
    after, before = (beyond, place is not None) if direction == forwards else (True, beyond)
    return _page(items[::-1] if rising else items, position, forwards if after else "", backwards if before else "")


def cursor_at(place: str, *, newer: bool) -> str:
    """Return the cursor that leads from an item, by its id, to those next to it."""
    return _write_cursor(_NEWER if newer else _OLDER, place)


def leads_to_newer(cursor: str) -> bool:
    """Return whether a cursor that a listing has accepted leads to newer items, or by name to those that sort first."""
    return _decoded(cursor)[:1] == _NEWER


def _page(items: list[T], position: Callable[[T], str], forwards: str, backwards: str) -> Page[T]:
    if not items:
        return Page(())
    return Page(
        items,
        next=_write_cursor(forwards, position(items[-1])) if forwards else None,
        previous=_write_cursor(backwards, position(items[0])) if backwards else None,
    )


def _write_cursor(direction: str, place: str) -> str:
    return base64.urlsafe_b64encode(f"{direction}{place}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str, kind: str) -> tuple[str, str]:
    text = _decoded(cursor)
    direction, place = text[:1], text[1:]
    if direction not in (_OLDER, _NEWER) or not _PLACES[kind].fullmatch(place):
        raise InvalidArgument("cursor must be `next` or `previous` of a page of the same listing", name="cursor")
    return direction, place


def _decoded(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (TypeError, ValueError, AttributeError, binascii.Error):
        return ""
