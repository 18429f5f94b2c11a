"""The errors of a request, all at once, each with the JSON pointer (RFC 6901) to its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

MOST_FAULTS = 50
_MOST_SHOWN = 500
_TOKENS = re.compile(r"[^.\[\]]+")

# Names of members, and indexes of lists.
Place = tuple[str | int, ...]


@frozen
class Fault:
    """An error in a request: in its body at a `place`, or in the parameter or header `name`."""

    detail: str
    place: Place | None = None
    name: str | None = None

    @property
    def content(self) -> dict[str, str]:
        """Return the members of its entry in `errors`."""
        where = {"parameter": self.name} if self.place is None else {"pointer": pointer(self.place)}
        return {name: text[:_MOST_SHOWN] for name, text in {"detail": self.detail, **where}.items() if text is not None}

    @property
    def field(self) -> str | None:
        """Return what `field` names, as `endpoints[0].url`."""
        return self.name if self.name is not None or not self.place else written(self.place)


def pointer(place: Place) -> str:
    """Return a place as a JSON pointer.

    >>> pointer(("endpoints", 0, "a/b"))
    '/endpoints/0/a~1b'
    """
    return "".join(f"/{str(one).replace('~', '~0').replace('/', '~1')}" for one in place)


def written(place: Place) -> str:
    """Return a place as people write it.

    >>> written(("endpoints", 0, "url"))
    'endpoints[0].url'
    """
    found = ""
    for one in place:
        found += f"[{one}]" if isinstance(one, int) else f".{one}" if found else one
    return found


def place_of(name: str, body: Any) -> Place | None:
    """Return the place in a body that a dotted name means, or None if the body has no such place.

    >>> place_of("payload.a[0]", {"payload": {"a": [1]}})
    ('payload', 'a', 0)
    """
    place: list[str | int] = []
    for token in _TOKENS.findall(name):
        if isinstance(body, Mapping) and token in body:
            place.append(token)
            body = body[token]
        elif isinstance(body, list) and token.isdecimal() and int(token) < len(body):
            place.append(int(token))
            body = body[int(token)]
        else:
            break
    return tuple(place) or None


def is_clean(place: Place, faults: Iterable[Fault]) -> bool:
    """Return whether a place, its content and everything around it have no errors."""
    bad = [one.place for one in faults if one.place is not None]
    return not any(place[: len(one)] == one or one[: len(place)] == place for one in bad)
