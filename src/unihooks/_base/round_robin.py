"""Let owners take turns, so that none waits behind another's backlog."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import zip_longest
from typing import TypeVar

T = TypeVar("T")

_NOTHING = object()


def round_robin(items: Iterable[T], whose: Callable[[T], Hashable]) -> Iterator[T]:
    """Yield the first item of each owner, then the second of each, and so on; all keep their order.

    >>> "".join(round_robin("aaabbc", str))
    'abcaba'
    """
    owned: dict[Hashable, list[T]] = {}
    for item in items:
        owned.setdefault(whose(item), []).append(item)
    if len(owned) == 1:
        yield from next(iter(owned.values()))
        return
    for one_each in zip_longest(*owned.values(), fillvalue=_NOTHING):
        yield from (item for item in one_each if item is not _NOTHING)  # type: ignore[misc]
