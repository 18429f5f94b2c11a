"""The headers of a request or response as they were sent: in order, with look-up by name."""

from __future__ import annotations

from typing import SupportsIndex, TypeVar, overload

T = TypeVar("T")


class HeaderPairs(tuple[tuple[str, str], ...]):
    """Pairs of name and value that can also be looked up by name, whatever its case.

    The values of a name that occurs several times are joined by commas.

    >>> headers = HeaderPairs([("Retry-After", "120"), ("Via", "a"), ("Via", "b")])
    >>> headers["retry-after"], headers["via"], headers.get("x-seen"), "VIA" in headers
    ('120', 'a, b', None, True)
    >>> [value for name, value in headers]
    ['120', 'a', 'b']
    >>> dict(headers)
    {'Retry-After': '120', 'Via': 'a, b'}
    """

    __slots__ = ()

    @overload
    def __getitem__(self, key: SupportsIndex) -> tuple[str, str]: ...

    @overload
    def __getitem__(self, key: slice) -> tuple[tuple[str, str], ...]: ...

    @overload
    def __getitem__(self, key: str) -> str: ...

    def __getitem__(self, key: SupportsIndex | slice | str) -> object:
        """Return the value of a name (KeyError if there is none), or the pair at an index."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: object) -> bool:
        """Return whether a name or a pair is among the headers."""
        return bool(self._values(key)) if isinstance(key, str) else super().__contains__(key)

    def get(self, name: str, default: T | None = None) -> str | T | None:
        """Return the value of a name, or the default."""
        values = self._values(name)
        return ", ".join(values) if values else default

    def keys(self) -> list[str]:
        """Return each name once."""
        return list({name.lower(): name for name, _ in reversed(self)}.values())[::-1]

    def items(self) -> list[tuple[str, str]]:
        """Return the pairs."""
        return list(self)

    def _values(self, name: str) -> list[str]:
        wanted = name.lower()
        return [value for name, value in self if name.lower() == wanted]
