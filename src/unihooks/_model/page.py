"""A page of a listing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from attrs import field, frozen

T = TypeVar("T")


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
