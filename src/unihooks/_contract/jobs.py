"""The contract of a store's jobs: work on many deliveries that workers do in slices."""

from __future__ import annotations

from abc import ABC, abstractmethod

from attrs import frozen

from unihooks._contract.filters import DeliveryFilter, Window
from unihooks._model.jobs import Job


@frozen(kw_only=True)
class Recovery:
    """The task of planning the events made in [since, until) that a webhook missed, and resending those that failed."""

    webhook_id: str
    since: int
    until: int


@frozen(kw_only=True)
class Replays:
    """The task of replaying what a filter matches: as it was sent, or with the current rendering (`today`)."""

    filters: DeliveryFilter
    today: bool = False


Task = Recovery | Replays


@frozen(kw_only=True)
class Advanced:
    """The outcome of one call of `advance_jobs`.

    `more` says that there may be unfinished jobs. If nothing could be done for now, the next call may find something
    after `wait_us`.
    """

    made: int = 0
    more: bool = False
    wait_us: int = 0


class JobQueue(ABC):
    """Jobs, which are done in slices, tenants in turn, by whichever worker comes next.

    A slice is one transaction, which includes what it makes and the job's progress: if a worker dies in it, it never
    happened, and another worker repeats it.
    """

    @abstractmethod
    def add_job(self, tenant: str, task: Task, *, at_most: int) -> Job:
        """Store a pending job, with the number of events or deliveries to look at.

        A replay covers the deliveries that exist by now. `NotFound` if there is no such webhook, `LimitReached` if
        the tenant has `at_most` unfinished jobs.
        """

    @abstractmethod
    def get_job(self, tenant: str, job_id: str) -> Job:
        """Return the job or raise `NotFound`."""

    @abstractmethod
    def list_jobs(self, tenant: str, window: Window) -> list[Job]:
        """Return jobs, newest first (by id)."""

    @abstractmethod
    def stop_job(self, tenant: str, job_id: str) -> Job:
        """Stop a job, after the slice that is under way; one that has ended stays as it is.

        What it has made stays. `NotFound` if there is none.
        """

    @abstractmethod
    def advance_jobs(self, *, most: int, rate: float | None = None, patient: bool = False) -> Advanced:
        """Do one slice of the job whose turn it is: look at up to 500 events or deliveries, make about `most`.

        What is made is what `recover` and `replay_many` make, due now. All jobs together make no more than `rate`
        deliveries per second. A `patient` caller leaves a job alone while many deliveries wait in the lanes that it
        serves, for up to ten minutes at a time. A job ends as done when nothing is left, and as failed when its webhook
        is gone or its slices fail again and again; an error of a slice is counted and raised.
        """
