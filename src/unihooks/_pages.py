"""Turn newest-first listings into pages with cursors in both directions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TypeVar

from unihooks._models import Page
from unihooks.abc import Window
from unihooks.exceptions import InvalidWebhook

T = TypeVar("T")

MOST_PER_PAGE = 250
_OLDER = "o"
_NEWER = "n"


def paginate(
    fetch: Callable[[Window], list[T]],
    position: Callable[[T], str],
    *,
    limit: int,
    cursor: str | None,
    numbered: bool = False,
) -> Page[T]:
    """Return one page; `fetch` lists a window, `position` is where an item stands in it.

    A cursor is an opaque text that stands for a place between two items, so
    pages stay right while new items arrive. `numbered` says that positions are numbers.
    """
    limit = _check_limit(limit)
    direction, place = _read_cursor(cursor, numbered=numbered)
    # One more than asked for says whether there is anything beyond the page.
    if direction == _NEWER:
        found = fetch(Window(limit=limit + 1, newer_than=place))
        items, beyond = found[-limit:], len(found) > limit
        return _page(items, position, newer=beyond, older=True)
    found = fetch(Window(limit=limit + 1, older_than=place))
    items, beyond = found[:limit], len(found) > limit
    return _page(items, position, newer=place is not None, older=beyond)


def _page(items: list[T], position: Callable[[T], str], *, newer: bool, older: bool) -> Page[T]:
    if not items:
        return Page(())
    return Page(
        items,
        next=_write_cursor(_OLDER, position(items[-1])) if older else None,
        previous=_write_cursor(_NEWER, position(items[0])) if newer else None,
    )


def _check_limit(limit: object) -> int:
    if isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= MOST_PER_PAGE:
        return limit
    raise InvalidWebhook(f"limit must be a whole number from 1 to {MOST_PER_PAGE}", name="limit")


def _write_cursor(direction: str, place: str) -> str:
    return base64.urlsafe_b64encode(f"{direction}{place}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None, *, numbered: bool) -> tuple[str, str | None]:
    if cursor is None:
        return _OLDER, None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (TypeError, ValueError, AttributeError, binascii.Error):
        text = ""
    direction, place = text[:1], text[1:]
    if direction not in (_OLDER, _NEWER) or not (place.isdigit() if numbered else place.replace("_", "").isalnum()):
        raise InvalidWebhook("cursor is not one that a page of this listing gave", name="cursor")
    return direction, place
