"""Time-ordered identifiers: a prefix, then 26 characters of Crockford's base 32."""

from __future__ import annotations

import os
import threading

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class _Sequence:
    """The source of identifiers: milliseconds, then random bits that are counted up within one millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._millisecond = -1
        self._stem = ""
        self._tail = 0

    def next(self, prefix: str, millisecond: int) -> str:
        with self._lock:
            number = self._step(millisecond)
            return prefix + self._stem + _PAIRS[number]

    def several(self, prefix: str, millisecond: int, count: int) -> list[str]:
        made: list[str] = []
        with self._lock:
            while len(made) < count:
                first = self._step(millisecond)
                last = min(first + count - len(made), len(_PAIRS))
                stem = prefix + self._stem
                made += [stem + pair for pair in _PAIRS[first:last]]
                self._tail += last - first - 1
        return made

    def _step(self, millisecond: int) -> int:
        """Advance by one; return the number that the last two characters stand for."""
        if millisecond == self._millisecond:
            self._tail += 1
        else:
            # The top bit stays clear, so that counting up cannot overflow.
            self._tail = int.from_bytes(os.urandom(10), "big") >> 1
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


def _restart_sequence() -> None:
    # A forked child would repeat its parent's identifiers, and could wait forever for a lock held during the fork.
    global _sequence  # noqa: PLW0603
    _sequence = _Sequence()


os.register_at_fork(after_in_child=_restart_sequence)


def new_id(prefix: str, at: int) -> str:
    """Return an identifier that sorts by `at` (microseconds since 1970).

    Those that one process makes for the same millisecond sort in the order in which they were made.
    """
    return _sequence.next(prefix, max(at, 0) // 1000)


def new_ids(prefix: str, at: int, count: int) -> list[str]:
    """Return the identifiers that `count` calls of `new_id` would make."""
    return _sequence.several(prefix, max(at, 0) // 1000, count)


def first_id(prefix: str, at: int) -> str:
    """Return a text that sorts before every identifier made for `at` (microseconds since 1970) or later."""
    return prefix + _encode(max(at, 0) // 1000, _HEAD_SHIFTS)
