"""List pages of items that may be large: a page ends at 1 MB, and is read in slices to save memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, define

from unihooks._management.paging import Page, leads_to_newer
from unihooks.console.api import shapes
from unihooks.console.http.rendering import off_the_loop

Listing = Callable[..., Page[Any]]
Shape = Callable[[Any], dict[str, Any]]
_MOST_BYTES = 1_000_000
_SLICE = 8


async def sized_page(
    listing: Listing,
    shape: Shape = shapes.shown,
    *,
    limit: int = 50,
    cursor: str | None = None,
    rising: bool = False,
) -> dict[str, Any]:
    """Return a page as the API shows it, of at least one item and at most `limit`."""
    backwards = cursor is not None and leads_to_newer(cursor) is not rising
    return await off_the_loop(_read, listing, shape, limit, cursor, _Slices(backwards))


def paging(query: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a query into its filters and the arguments that choose a page."""
    where = {name: query[name] for name in ("limit", "cursor") if name in query}
    return {name: value for name, value in query.items() if name not in where}, where


@define
class _Slices:
    """The part of a page that has been read, in the direction of its cursor."""

    backwards: bool
    room: int = Factory(lambda: _MOST_BYTES)
    items: list[dict[str, Any]] = Factory(list)
    pages: list[Page[Any]] = Factory(list)

    def fitting(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return as many of the next items as fit; the first item of a page always does."""
        fitting: list[dict[str, Any]] = []
        for item in found:
            self.room -= len(json.dumps(item, separators=(",", ":")))
            if self.room < 0 and (self.items or fitting):
                break
            fitting.append(item)
        return fitting

    def whole(self) -> dict[str, Any]:
        """Return the page."""
        ends = self.pages[::-1] if self.backwards else self.pages
        items = self.items[::-1] if self.backwards else self.items
        return {"items": items, "next": ends[-1].next, "previous": ends[0].previous}


def _read(listing: Listing, shape: Shape, limit: int, cursor: str | None, slices: _Slices) -> dict[str, Any]:
    while True:
        found = listing(limit=min(_SLICE, limit - len(slices.items)), cursor=cursor)
        shaped = [shape(item) for item in (found[::-1] if slices.backwards else found)]
        fitting = slices.fitting(shaped)
        if fitting and len(fitting) < len(shaped):
            # Read fewer items again, so that the cursors are those of the smaller page.
            found = listing(limit=len(fitting), cursor=cursor)
        if fitting or not slices.pages:
            slices.items += fitting
            slices.pages.append(found)
        cursor = found.previous if slices.backwards else found.next
        if len(fitting) < len(shaped) or cursor is None or len(slices.items) >= limit:
            return slices.whole()
