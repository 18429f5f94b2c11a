"""Jobs: work on many deliveries that workers do in slices."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from attrs import frozen


class JobKind(StrEnum):
    """The kind of work that a job does."""

    RECOVER = "recover"
    REPLAY = "replay"


class JobState(StrEnum):
    """The state of a job: pending and running jobs are unfinished, all others have ended."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@frozen(kw_only=True)
class Job:
    """Work on many deliveries that workers do in slices.

    `done` of `total` events (of a recovery) or deliveries (of a replay) have been looked at, and `made` deliveries were
    sent again. `total` is counted when the job is made, up to 1,000,000, and corrected when it is done. `reason` says
    why it failed or was stopped. `webhook_id` is the webhook that it is limited to, if there is one.
    """

    id: str
    tenant: str
    kind: JobKind
    state: JobState
    done: int
    made: int
    total: int
    created_at: datetime
    ended_at: datetime | None
    reason: str | None
    webhook_id: str | None = None

    @property
    def is_unfinished(self) -> bool:
        """Whether the job has not ended yet."""
        return self.ended_at is None
