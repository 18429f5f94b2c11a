"""The custom headers of a webhook: checked names, secret values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from unihooks._message.header_names import is_reserved
from unihooks._message.secrets import Secret
from unihooks.exceptions import InvalidHeader

MAX_HEADERS = 20
MAX_NAME_LENGTH = 128
MAX_VALUE_LENGTH = 4096
MAX_TOTAL_LENGTH = 8192

Pairs = Mapping[str, str | Secret] | Iterable[tuple[str, str | Secret]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")

_SHOWN_OF_A_BAD_NAME = 16


class HeaderSet(Mapping[str, Secret]):
    """An immutable mapping of header names to secret values, none of which it ever shows.

    Look-ups ignore case; names keep their spelling and order. Two sets are equal if they map the same names to the same
    values, whatever the case and order of the names.

    >>> headers = HeaderSet({"Authorization": "Bearer s3cr3t"})
    >>> headers
    HeaderSet(Authorization)
    >>> headers.revealed()
    [('Authorization', 'Bearer s3cr3t')]
    >>> HeaderSet({"Host": "example.org"})
    Traceback (most recent call last):
    unihooks.exceptions.InvalidHeader: the header Host is set by unihooks or not allowed; \
use another name

    Raises:
        InvalidHeader: A name or value is malformed, reserved, repeated or too
            long, or there are too many; `name` is the name of the header.
    """

    __slots__ = ("_entries",)

    def __init__(self, headers: Pairs = ()) -> None:
        self._entries: dict[str, tuple[str, Secret]] = {}
        for name, value in pairs_of(headers):
            key = _checked_name(name)
            if key in self._entries:
                _refuse(name, "is given twice; keep one of them ('_' counts as '-')")
            self._entries[key] = str.__str__(name), _checked_value(name, value)
        _check_total(self)

    def __getitem__(self, name: object) -> Secret:
        if not isinstance(name, str):
            raise KeyError(name)
        return self._entries[_folded(name)][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"HeaderSet({', '.join(self)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeaderSet):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(frozenset(self._values().items()))

    def revealed(self) -> list[tuple[str, str]]:
        """Return names and values in plain text, for sending and nothing else."""
        return [(name, secret.reveal()) for name, secret in self._entries.values()]

    def _values(self) -> dict[str, Secret]:
        return {key: secret for key, (_, secret) in self._entries.items()}


def pairs_of(headers: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of a mapping or of a list of pairs, whatever they hold; refuse anything else."""
    try:
        return [_pair(one) for one in (headers.items() if hasattr(headers, "items") else headers)]
    except (TypeError, ValueError):
        sentence = "headers must be a mapping of names to values, or a list of (name, value) pairs"
        raise InvalidHeader(sentence, name="headers") from None


def _pair(one: object) -> tuple[Any, Any]:
    if not isinstance(one, tuple | list):  # a text of two characters would unpack too
        raise TypeError
    name, value = one
    return name, value


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidHeader("a header name must be a str", name="headers")
    if not _TOKEN.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        _refuse(_abridged(name), f"has an invalid name; use at most {MAX_NAME_LENGTH} ASCII letters, digits and '-'")
    key = _folded(name)
    if is_reserved(name):
        _refuse(name, "is set by unihooks or not allowed; use another name")
    return key


def _checked_value(name: str, value: object) -> Secret:
    if not isinstance(value, str | Secret):
        _refuse(name, "has a value that is not text; pass a str")
    secret = value if isinstance(value, Secret) else Secret(value)
    text = secret.reveal()
    if not _VALUE.fullmatch(text):
        _refuse(name, "has an invalid value; use visible ASCII characters, and spaces only between them")
    if len(text) > MAX_VALUE_LENGTH:
        _refuse(name, f"has a value that is too long; use at most {MAX_VALUE_LENGTH} characters")
    return secret


def _check_total(headers: HeaderSet) -> None:
    pairs = headers.revealed()
    if len(pairs) > MAX_HEADERS:
        raise InvalidHeader(f"there are too many headers; use at most {MAX_HEADERS}", name="headers")
    if sum(len(name) + len(value) for name, value in pairs) > MAX_TOTAL_LENGTH:
        sentence = f"the headers are too long; use at most {MAX_TOTAL_LENGTH} characters in all"
        raise InvalidHeader(sentence, name="headers")


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def _abridged(name: str) -> str:
    """Return the start of the name alone, since what was pasted as a name may be a secret."""
    start = _TOKEN.match(name)
    return f"{start[0][:_SHOWN_OF_A_BAD_NAME] if start else ''}..."


def _refuse(name: str, sentence: str) -> NoReturn:
    raise InvalidHeader(f"the header {name} {sentence}", name=name)
