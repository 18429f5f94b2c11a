"""An immutable mapping of texts, and how a refused value is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen


@frozen(eq=False)
class Texts(Mapping[str, str]):
    """Texts by name: an immutable, hashable mapping.

    >>> Texts((("content.text", "body"),)) == {"content.text": "body"}
    True
    """

    pairs: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, name: str) -> str:
        return dict(self.pairs)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return repr(dict(self.pairs))

    def __hash__(self) -> int:
        return hash(frozenset(self.pairs))


def brief(value: object) -> str:
    """Return a refused value as the error message shows it."""
    try:
        return repr(value)[:40]
    except ValueError:  # It is, or contains, a number of more digits than Python converts to text.
        return "a number of thousands of digits"
