from __future__ import annotations

import base64
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unihooks import Page
from unihooks._management.paging import MOST_PER_PAGE, paginate
from unihooks.exceptions import InvalidArgument


def listing(rows):
    """Return the fetch function of a store that holds these numbers."""

    def fetch(window):
        rising = sorted(rows)
        if window.newer_than is not None:
            return [row for row in rising if row > int(window.newer_than)][: window.limit][::-1]
        if window.older_than is not None:
            rising = [row for row in rising if row < int(window.older_than)]
        return rising[::-1][: window.limit]

    return fetch


def page_of(rows, *, limit=3, cursor=None, numbered=True):
    return paginate(listing(rows), str, limit=limit, cursor=cursor, kind="number" if numbered else "id")


def test_an_empty_listing_is_a_page_without_cursors():
    page = page_of([])
    assert (page.items, page.next, page.previous) == ((), None, None)


def test_a_page_that_is_exactly_full_has_no_next():
    assert page_of([1, 2, 3]).next is None
    assert page_of([1, 2, 3, 4]).next is not None


@given(st.sets(st.integers(0, 10**6), max_size=40), st.integers(1, 12))
def test_pages_give_every_item_once_in_both_directions(rows, limit):
    newest_first = sorted(rows, reverse=True)
    pages = [page_of(rows, limit=limit)]
    while pages[-1].next is not None:
        pages.append(page_of(rows, limit=limit, cursor=pages[-1].next))
    assert [item for page in pages for item in page] == newest_first

    back = [pages[-1]]
    while back[0].previous is not None:
        back.insert(0, page_of(rows, limit=limit, cursor=back[0].previous))
    assert [item for page in back for item in page] == newest_first


@given(st.sets(st.integers(0, 1000), min_size=5), st.sets(st.integers(1001, 2000)))
def test_items_that_arrive_between_do_not_shift_the_next_page(rows, newer):
    first = page_of(rows)
    second = page_of(rows | newer, cursor=first.next)
    assert [*first, *second] == sorted(rows, reverse=True)[:6]


def test_a_page_whose_neighbours_were_removed_is_empty():
    first = page_of([1, 2, 3, 4])
    assert page_of([2, 3, 4], cursor=first.next).items == ()


@pytest.mark.parametrize("limit", [0, -1, MOST_PER_PAGE + 1, True, 1.0, "5", None])
def test_a_limit_is_a_whole_number_from_1_to_250(limit):
    with pytest.raises(InvalidArgument) as refused:
        page_of([1], limit=limit)
    assert refused.value.name == "limit"
    page_of([1], limit=1)
    page_of([1], limit=MOST_PER_PAGE)


def cursor_of(text):
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        5,
        b"",
        cursor_of(b"z1"),
        cursor_of(b"o"),
        cursor_of(b"o1;DROP"),
        cursor_of(b"o\xff"),
        cursor_of(b"oevt_1"),
    ],
)
def test_a_cursor_that_no_page_gave_is_refused(cursor):
    with pytest.raises(InvalidArgument) as refused:
        page_of([1], cursor=cursor)
    assert refused.value.name == "cursor"


def test_positions_that_are_ids_are_read_back():
    seen = []

    def fetch(window):
        seen.append(window)
        return ["evt_B2", "evt_A1"]

    page = paginate(fetch, str, limit=1, cursor=None)
    paginate(fetch, str, limit=1, cursor=page.next)
    assert seen[1].older_than == "evt_B2"


def test_a_page_is_a_sequence():
    page = Page([1, 2, 3], next="n")
    assert isinstance(page, Sequence)
    assert (list(page), len(page), page[0], page[1:], 2 in page) == ([1, 2, 3], 3, 1, (2, 3), True)
    assert (page.items, page.next, page.previous) == ((1, 2, 3), "n", None)
    assert not Page(())


def test_a_page_is_frozen():
    assert Page.__setattr__ is not object.__setattr__
    name = attrs.fields(Page)[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(object.__new__(Page), name, None)
