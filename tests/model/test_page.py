from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from unihooks import Page


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
