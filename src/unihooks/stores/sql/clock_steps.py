"""Notice that the clock was set back, and let what was due be due all the same."""

from __future__ import annotations

import threading

from unihooks._base.times import SECOND
from unihooks.stores.sql.transaction import Database, Transaction

# What is due waits for a smaller step; clocks that are corrected gradually, or differ a little, take none.
_LEAST_STEP_US = 5 * SECOND


class ClockSteps:
    """The latest time that this process knows of, and how many steps back it has seen counted in the database.

    A process that starts after a step knows of the time before from what workers note every 30 s.
    """

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Begin anew, with another clock."""
        self._latest: int | None = None
        self._counted = 0

    def follow(self, database: Database) -> None:
        """Look at the clock; if it was set back, set back what is pending by as much."""
        now, latest = database.time.now(), self._latest
        if latest is not None and now >= latest - _LEAST_STEP_US:
            self._latest = max(now, latest)
            return
        with self._gate:
            if self._latest is None:
                [(self._counted, noted_at)] = database.read(lambda tx: tx.fetch("clock_steps"))
                self._latest = max(now, noted_at or 0)
            back = self._latest - now
            if back > _LEAST_STEP_US:
                self._counted = database.write(lambda tx: _set_back(tx, self._counted, back))
                self._latest = now


def note_clock(tx: Transaction) -> None:
    """Let processes that start later know the time."""
    tx.run("note_clock", now=tx.now)


def _set_back(tx: Transaction, counted: int, back: int) -> int:
    """Set back all that is pending, unless another process has done so; return how many steps are counted now."""
    if not tx.run("count_clock_step", counted=counted, now=tx.now):
        return int(tx.fetch("clock_steps")[0][0])
    tx.run("set_back_deliveries", now=tx.now, back=back)
    tx.run("set_back_lanes", now=tx.now, back=back)
    return counted + 1
