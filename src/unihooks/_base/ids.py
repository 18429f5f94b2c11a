"""Time-ordered identifiers: a prefix, then 26 characters of Crockford's base 32."""

from __future__ import annotations

import os
import threading
from hashlib import sha256

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
# The character that each byte of a hash becomes.
_LETTERS = bytes(ord(_ALPHABET[byte & 31]) for byte in range(256))
_HASHED = 13
_TOP_OF_DERIVED = 1 << 14


class _Sequence:
    """The source of identifiers: milliseconds, then random bits that are counted up within one millisecond."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._lock = threading.RLock()
        self._is_counting = False
        self._millisecond = -1
        self._stem = ""
        self._tail = 0

    def next(self, prefix: str, millisecond: int) -> str:
        with self._lock:
            if self._is_counting:
                # A finaliser or a signal handler has interrupted this, and what is half counted would be used twice.
                return _Sequence().next(prefix, millisecond)
            self._is_counting = True
            try:
                number = self._step(millisecond)
                return prefix + self._stem + _PAIRS[number]
            except BaseException:
                self._millisecond = -1
                raise
            finally:
                self._is_counting = False

    def several(self, prefix: str, millisecond: int, count: int) -> list[str]:
        made: list[str] = []
        with self._lock:
            if self._is_counting:
                # A finaliser or a signal handler has interrupted this, and what is half counted would be used twice.
                return _Sequence().several(prefix, millisecond, count)
            self._is_counting = True
            try:
                while len(made) < count:
                    first = self._step(millisecond)
                    last = min(first + count - len(made), len(_PAIRS))
                    stem = prefix + self._stem
                    made += [stem + pair for pair in _PAIRS[first:last]]
                    self._tail += last - first - 1
            except BaseException:
                self._millisecond = -1
                raise
            finally:
                self._is_counting = False
        return made

    def _step(self, millisecond: int) -> int:
        """Advance by one; return the number that the last two characters stand for."""
        if millisecond == self._millisecond:
            self._tail += 1
        else:
            # These bits stay clear: the first, so that counting up cannot overflow, and the top one of the three
            # characters that `derived_id` takes over, so that thousands of derived identifiers keep the order, too.
            self._tail = int.from_bytes(os.urandom(10), "big") >> 1 & ~_TOP_OF_DERIVED
        # Up to 1,024 identifiers share all but their last two characters, so the rest is encoded once.
        if millisecond != self._millisecond or self._tail & 1023 == 0:
            self._millisecond = millisecond
            self._stem = _encode(millisecond, _HEAD_SHIFTS) + _encode(self._tail, _STEM_SHIFTS)
        return self._tail & 1023


def _encode(number: int, shifts: tuple[int, ...]) -> str:
    pairs = _PAIRS
    return "".join([pairs[(number >> shift) & 1023] for shift in shifts])


_HEAD_SHIFTS = tuple(range(40, -1, -10))
_STEM_SHIFTS = tuple(range(70, 0, -10))
_sequence = _Sequence()


def _own_sequence() -> _Sequence:
    # A forked child would repeat its parent's identifiers, and could wait forever for a lock held during the fork.
    global _sequence  # noqa: PLW0603
    if _sequence.process != os.getpid():
        _sequence = _Sequence()
    return _sequence


def new_id(prefix: str, at: int) -> str:
    """Return an identifier that sorts by `at` (microseconds since 1970).

    Those that one process makes for the same millisecond sort in the order in which they were made.
    """
    return _own_sequence().next(prefix, max(at, 0) // 1000)


def new_ids(prefix: str, at: int, count: int) -> list[str]:
    """Return the identifiers that `count` calls of `new_id` would make."""
    return _own_sequence().several(prefix, max(at, 0) // 1000, count)


def first_id(prefix: str, at: int) -> str:
    """Return a text that sorts before every identifier made for `at` (microseconds since 1970) or later."""
    return prefix + _encode(max(at, 0) // 1000, _HEAD_SHIFTS)


def made_at(id_: str) -> int:
    """Return the time that an identifier, or one derived from it, begins with, in microseconds since 1970."""
    millisecond = 0
    for letter in id_.partition("_")[2][: 2 * len(_HEAD_SHIFTS)]:
        millisecond = millisecond << 5 | _ALPHABET.index(letter)
    return millisecond * 1000


def derived_id(prefix: str, parent: str, key: str) -> str:
    """Return the identifier that stands for `key` under `parent`, always the same one; it sorts as the parent does.

    All identifiers of one parent begin alike, and hardly any of another parent do: see `derived_span`.
    """
    hashed = sha256(f"{parent} {key}".encode()).digest()[:_HASHED]
    return f"{prefix}{parent[-26:-16]}{parent[-3:]}{hashed.translate(_LETTERS).decode()}"


def derived_span(prefix: str, parent: str) -> tuple[str, str]:
    """Return two texts between which all identifiers derived from `parent` sort, and few others."""
    # Ids that one process makes in one millisecond are counted up, so only their last characters differ.
    stem = f"{prefix}{parent[-26:-16]}{parent[-3:]}"
    return stem, f"{stem}~"
