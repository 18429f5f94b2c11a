"""Hand emitted events over to planning in the same process, in memory."""

from __future__ import annotations

from collections.abc import Iterable

from unihooks._contract.planning import NewEvent

_MOST_BYTES = 8 * 1024 * 1024
# What an event takes besides its body; where another process plans, small ones would pile up.
_BYTES_AROUND_A_BODY = 1024


class RecentEvents:
    """Keep what was emitted of late, once somebody in this process plans: `is_wanted`.

    It saves reading and decoding, nothing else: the store still says which
    events are new, and what is not here is read from it.
    """

    def __init__(self) -> None:
        self._events: dict[tuple[str, str], NewEvent] = {}
        self._size = 0
        self.is_wanted = False

    def keep(self, events: Iterable[NewEvent]) -> None:
        """Take events that were inserted."""
        if not self.is_wanted:
            return
        for event in events:
            self._events[event.tenant, event.id] = event
            self._size += len(event.body) + _BYTES_AROUND_A_BODY
        if self._size > _MOST_BYTES:
            self.forget()

    def take(self, tenant: str, event_id: str) -> NewEvent | None:
        """Return the event if it is here, and keep it no longer."""
        event = self._events.pop((tenant, event_id), None)
        if event is not None:
            self._size -= len(event.body) + _BYTES_AROUND_A_BODY
        return event

    def forget(self) -> None:
        """Keep nothing of what was emitted so far."""
        self._events, self._size = {}, 0
