"""Store jobs, and do them in slices, tenants in turn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from attrs import asdict, field, frozen

from unihooks._base.ids import new_id
from unihooks._base.sentences import Kept, said
from unihooks._base.times import SECOND
from unihooks._contract.jobs import Advanced, Recovery, Task
from unihooks._model.checks import not_found
from unihooks._model.jobs import Job, JobKind, JobState
from unihooks._model.log import DeliveryState
from unihooks.abc import WEBHOOK_DELETED, DeliveryFilter, Window
from unihooks.exceptions import LimitReached, NotFound
from unihooks.stores.sql.configuration import read_webhook
from unihooks.stores.sql.log import count_deliveries, list_delivery_ids
from unihooks.stores.sql.replaying import Step, count_to_recover, recover_step, replay_step
from unihooks.stores.sql.rows import to_value
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Row, Transaction, page

STOPPED_BY_HAND = Kept("stopped-by-hand", "stopped by hand")
_FAILED = Kept("slices-failed", "its slices failed {times} times in a row: {kind}")
MOST_TRIES = 10
_MOST_COUNTED = 1_000_000
_JOBS_PER_CALL = 8
_PER_SLICE = 500
_PER_STEP = 100
# On SQLite, where one process writes at a time, a slice holds up emits for this long.
_SECONDS_PER_SLICE = 0.005
# With this many deliveries due in its lanes, a job waits, so that these are not delayed even more.
_CROWDED = 500
_PATIENCE_US = 600 * SECOND
_WAIT_US = SECOND // 4


def prepare(tx: Transaction, tenant: str, task: Task) -> dict[str, Any]:
    """Count what a task has to look at, and fix where it ends; return this as parameters of `add_job`."""
    if isinstance(task, Recovery):
        total = count_to_recover(tx, tenant, task.webhook_id, task.since, task.until, limit=_MOST_COUNTED)
        return _job_values(JobKind.RECOVER, task.webhook_id, asdict(task), total)
    filters = task.filters
    if filters.webhook_id is not None:
        read_webhook(tx, tenant, filters.webhook_id)
    newest = list_delivery_ids(tx, tenant, filters, Window(limit=1))
    total = count_deliveries(tx, tenant, filters, _MOST_COUNTED) if newest else 0
    given = {name: value for name, value in asdict(filters).items() if value is not None}
    parts = {"filters": given, "today": task.today, "last": newest[0] if newest else ""}
    return _job_values(JobKind.REPLAY, filters.webhook_id, parts, total)


def add(tx: Transaction, tenant: str, new: dict[str, Any], *, at_most: int) -> Job:
    """Store a pending job, unless the tenant has too many that are unfinished."""
    # With this lock, the second of two jobs added at the same time counts the first.
    tx.fetch("lock_replays", tenant=tenant)
    if tx.count("jobs", Selection(["j.tenant = :tenant", "j.ended_at IS NULL"], {"tenant": tenant})) >= at_most:
        template = "the tenant has {most} unfinished jobs, which is the limit; wait for one to end, or stop it"
        raise LimitReached(said("too-many-jobs", template, most=at_most), name="jobs_per_tenant")
    id_ = new_id("job_", tx.now)
    tx.run("add_job", id=id_, tenant=tenant, now=tx.now, **new)
    return get(tx, tenant, id_)


def get(tx: Transaction, tenant: str, job_id: str) -> Job:
    """Return the job or raise NotFound."""
    found = find_jobs(tx, Selection(["j.tenant = :tenant", "j.id = :id"], {"tenant": tenant, "id": job_id}))
    if not found:
        raise not_found("job", job_id, tenant)
    return found[0]


def find_jobs(tx: Transaction, selection: Selection) -> list[Job]:
    """Return the selected jobs."""
    return _jobs(tx.select("jobs", selection))


def list_jobs(tx: Transaction, tenant: str, window: Window) -> list[Job]:
    """Return jobs, newest first."""
    return _jobs(page(tx, "jobs", Selection(["j.tenant = :tenant"], {"tenant": tenant}), window, ["j.id"]))


def stop(tx: Transaction, tenant: str, job_id: str) -> Job:
    """End an unfinished job as stopped."""
    tx.run("stop_job", tenant=tenant, id=job_id, reason=STOPPED_BY_HAND, now=tx.now)
    return get(tx, tenant, job_id)


def advance(
    tx: Transaction, note: Callable[[str], None], *, most: int, rate: float | None = None, patient: bool = False
) -> Advanced:
    """Do one slice of the job whose turn it is, and first call `note` with its id; see `abc.Store.advance_jobs`."""
    if not all(is_free for (is_free,) in tx.fetch("lock_jobs")):
        # Another worker is doing a slice: only one at a time keeps to the rate and to the turns.
        return Advanced(more=True, wait_us=_WAIT_US)
    if rate is not None:
        paced = tx.fetch_one("jobs_paced_until", now=tx.now)
        if paced is not None:
            return Advanced(more=True, wait_us=paced[0] - tx.now)
        most = min(most, int(rate))
    jobs = [_Unfinished(*row) for row in tx.fetch("jobs_in_turn", limit=_JOBS_PER_CALL)]
    for job in jobs:
        if patient and job.is_crowded(tx):
            tx.run("pass_job", id=job.id)
            continue
        note(job.id)
        return Advanced(made=_advance(tx, job, max(1, most), rate), more=True)
    return Advanced(more=bool(jobs), wait_us=_WAIT_US if jobs else 0)


def note_failure(tx: Transaction, job_id: str, error: Exception) -> None:
    """Count a failed slice, and end the job as failed after `MOST_TRIES` in a row."""
    reason = _FAILED(times=MOST_TRIES, kind=type(error).__name__)
    tx.run("note_job_failure", id=job_id, reason=reason, most=MOST_TRIES, now=tx.now)


@frozen
class _Unfinished:
    """An unfinished job, with its progress."""

    id: str
    tenant: str
    kind: str
    task: dict[str, Any] = field(converter=json.loads)
    reached: str
    worked_at: int

    def step(self, tx: Transaction, after: str, *, limit: int, most: int) -> Step:
        """Look at the next events or deliveries; raise NotFound if the webhook is gone."""
        bounds: dict[str, Any] = {"after": after, "limit": limit, "most": most}
        if self.kind == JobKind.RECOVER:
            return recover_step(tx, self.tenant, **self.task, **bounds)
        filters = self._filters()
        if filters.webhook_id is not None:
            read_webhook(tx, self.tenant, filters.webhook_id)
        return replay_step(tx, self.tenant, filters, **bounds, last=self.task["last"], today=self.task["today"])

    def is_crowded(self, tx: Transaction) -> bool:
        """Return whether many deliveries wait in the lanes that the job serves, and it has not waited for long.

        A failing lane holds up only a job for its own webhook.
        """
        if not 0 <= tx.now - self.worked_at < _PATIENCE_US:
            return False
        waiting, filters = Selection(values={"tenant": self.tenant, "now": tx.now}, limit=_CROWDED), self._filters()
        waiting.where("l.webhook_id = :webhook_id", webhook_id=filters.webhook_id)
        waiting.where("l.endpoint_id = :endpoint_id", endpoint_id=filters.endpoint_id)
        if filters.webhook_id is None and filters.endpoint_id is None:
            waiting.conditions.append("l.failing_since IS NULL")
        return tx.count("due_in_lanes", waiting) >= _CROWDED

    def _filters(self) -> DeliveryFilter:
        if self.kind == JobKind.RECOVER:
            return DeliveryFilter(webhook_id=self.task["webhook_id"])
        given = self.task["filters"]
        state = given.get("state")
        return DeliveryFilter(**given | {"state": None if state is None else DeliveryState(state)})


def _job_values(kind: JobKind, webhook_id: str | None, task: dict[str, Any], total: int) -> dict[str, Any]:
    return {"kind": kind.value, "webhook_id": webhook_id, "task": json.dumps(task), "total": total}


def _jobs(rows: Iterable[Row]) -> list[Job]:
    return [to_value(Job, row, kind=JobKind, state=JobState) for row in rows]


def _advance(tx: Transaction, job: _Unfinished, most: int, rate: float | None) -> int:
    """Do a slice of a job and store its progress; return how many deliveries it has made."""
    until, made, done = monotonic() + _SECONDS_PER_SLICE, 0, 0
    after: str | None = job.reached
    gone = False
    # Usually each one looked at leads to a delivery; if none does, larger steps are faster.
    limit = most
    try:
        while after is not None and made < most and done < _PER_SLICE:
            step = job.step(tx, after, limit=min(limit, _PER_STEP, _PER_SLICE - done), most=most - made)
            made, done, after, limit = made + step.made, done + step.done, step.after, _PER_STEP
            if monotonic() > until:
                break
    except NotFound:
        gone = True
    state = JobState.FAILED if gone else JobState.DONE if after is None else JobState.RUNNING
    tx.run(
        "advance_job",
        id=job.id,
        state=state.value,
        reached=after or "",
        done=done,
        made=made,
        now=tx.now,
        next_at=None if rate is None else tx.now + round(made * SECOND / rate),
        ended_at=None if state is JobState.RUNNING else tx.now,
        reason=WEBHOOK_DELETED if gone else None,
    )
    return made
