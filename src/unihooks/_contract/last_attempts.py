"""The outcomes of an endpoint's last 20 attempts, in one number.

Each is a bit, 1 for a success, the newest one last; a leading 1 says how many there are. So stores can note many
successes by a shift.
"""

from __future__ import annotations

from unihooks._model.health import Counts

MOST = 20
NONE_YET = 1
ALL_SUCCEEDED = 2 ** (MOST + 1) - 1
_LEADING = 1 << MOST


def noted(outcomes: int, *, succeeded: bool, count: int = 1) -> int:
    """Return the number after more attempts, all with the same outcome.

    >>> bin(noted(noted(NONE_YET, succeeded=True, count=2), succeeded=False))
    '0b1110'
    """
    count = min(count, MOST)
    longer = outcomes << count | ((1 << count) - 1 if succeeded else 0)
    return longer if longer <= ALL_SUCCEEDED else longer & (_LEADING - 1) | _LEADING


def counts(outcomes: int) -> Counts:
    """Return how many attempts there are in the number, and how many of them succeeded.

    >>> counts(0b1110)
    Counts(attempts=3, succeeded=2)
    """
    return Counts(outcomes.bit_length() - 1, outcomes.bit_count() - 1)
