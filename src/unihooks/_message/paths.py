"""The paths by which a customer names places of a payload."""

from __future__ import annotations

import re
from enum import Enum

from unihooks._base.sentences import said
from unihooks._message.payload import is_utf8
from unihooks.exceptions import InvalidMapping

MAX_STEPS = 32
MAX_TEXT = 2048


class Wildcard(Enum):
    """The step `[*]`: every element of an array, every value of an object."""

    ANY = "[*]"

    def __repr__(self) -> str:
        return self.value


ANY = Wildcard.ANY

Step = str | int | Wildcard
Path = tuple[Step, ...]


def parse_path(text: object) -> Path:
    r"""Parse a path into steps: a text is a key, a number an index, `ANY` is `[*]`.

    >>> parse_path(r"$.a\.b[0]['c.d'][*].7")
    ('a.b', 0, 'c.d', [*], '7')
    """
    if not isinstance(text, str):
        raise InvalidMapping(f"a path must be text, not {type(text).__name__}; write it like a.b[0]", name=str(text))
    if text == "$":
        raise _bad_path("path-whole", text, "means the whole payload; write a key of that name as ['$']")
    if not is_storable(text):
        raise _bad_path("path-too-long", text, "has a lone surrogate or more than {most} characters", most=MAX_TEXT)
    rest, steps = _LEAD.sub("", text), []
    position = 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None:
            raise _bad_path("path-unreadable", text, "cannot be parsed from {rest!r} on", rest=rest[position:][:_SHOWN])
        steps.append(_step(match))
        position = match.end()
    if not 0 < len(steps) <= MAX_STEPS:
        raise _bad_path("path-steps", text, "must have 1 to {most} steps", most=MAX_STEPS)
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    kind = match.lastgroup
    found = match[kind or 0]
    if kind == "index":
        return int(found)
    return ANY if kind == "any" else _ESCAPED.sub(r"\1", found)


def _bad_path(code: str, text: str, reason: str, **figures: str | int) -> InvalidMapping:
    template = f"the path {{path!r}} {reason}; write it like a.b, a[0], a[*] or a['k.dot']"
    return InvalidMapping(said(code, template, path=text[:_SHOWN], **figures), name=text or "path")


def is_storable(text: str) -> bool:
    """Return whether a text of a rule can be stored and sent."""
    return len(text) <= MAX_TEXT and is_utf8(text)


_SHOWN = 160
_LEAD = re.compile(r"\A\$(\.|(?=\[))")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_STEP = re.compile(
    r"""
    (?: ^ | (?<=.)\. ) (?! \*(?:[.\[]|\Z) ) (?P<bare> (?: [^.\[\]\\] | \\. )+ )
    | \[ (?P<index> 0 | [1-9][0-9]{0,8} ) \]
    | \[ (?P<any> \* ) \]
    | \[ ' (?P<single> (?: [^'\\] | \\. )* ) ' \]
    | \[ " (?P<double> (?: [^"\\] | \\. )* ) " \]
    """,
    re.VERBOSE | re.DOTALL,
)
