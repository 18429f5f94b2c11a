"""The contract of a console's short-lived state: drafts, test receivers with their requests, portal sessions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Any

from attrs import field, frozen

MOST_STATE_BYTES = 512 * 1024


class StateKind(StrEnum):
    """The kind of a piece of state."""

    DRAFT = "draft"
    """What somebody has entered for a new webhook so far."""
    FINISHED = "finished"
    """The webhook that a draft has become."""
    RECEIVER = "receiver"
    """A URL that shows what is sent to it."""
    RECEIVED = "received"
    """A request that came to such a URL; it may show an event."""
    SESSION = "session"
    """A session that a portal link has opened."""
    ENDED = "ended"
    """Portal links that were ended before their time."""
    USED = "used"
    """A portal link that has been opened."""


@frozen
class StateKey:
    """The key of a piece of state."""

    tenant: str
    owner: str
    kind: StateKind
    id: str


@frozen(kw_only=True)
class State:
    """A JSON object that is kept for an owner until it expires; each change raises its version."""

    key: StateKey
    version: int
    value: dict[str, Any] = field(repr=False)
    created_at: int
    updated_at: int
    expires_at: int


class ConsoleState(ABC):
    """The state that a console keeps for its viewers. Expired state counts as gone.

    Values may hold credentials, and are as safe as a webhook's headers.
    """

    @abstractmethod
    def put_state(
        self,
        key: StateKey,
        value: dict[str, Any],
        *,
        version: int = 0,
        keep_us: int,
        at_most: int,
        oldest_goes: bool = False,
    ) -> State:
        """Store a value for `keep_us` from now: a new one without a version, otherwise in place of that version.

        `Conflict` (name "version") if there is another version, or already one; `NotFound` if the one to be replaced is
        gone; `InvalidArgument` if it is more than 512 KiB of JSON. If the owner already has `at_most` of the kind, a
        new one is `LimitReached` (name: the kind), or takes the place of the oldest.
        """

    @abstractmethod
    def get_state(self, key: StateKey) -> State:
        """Return the state with this key, or raise `NotFound`."""

    @abstractmethod
    def find_state(self, kind: StateKind, id: str) -> State | None:
        """Return the state with an id that nobody can guess, whoever owns it; None if there is none."""

    @abstractmethod
    def list_state(self, tenant: str, owner: str, kind: StateKind, *, limit: int = 100) -> list[State]:
        """Return an owner's states of a kind, the last changed first."""

    @abstractmethod
    def drop_state(self, key: StateKey) -> bool:
        """Delete the state with this key; return whether there was one."""

    @abstractmethod
    def expire_state(self, older_than: int, limit: int) -> int:
        """Delete up to `limit` states that expired before `older_than`; return how many."""
