"""The store in an SQL database: every verb of the contract, each a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from math import inf
from time import monotonic
from typing import Any, TypeVar
from weakref import finalize

from attrs import evolve

from unihooks._base.queue_thread import OneShot, Promise, given_up
from unihooks._base.times import SECOND, Clock
from unihooks._contract.jobs import Advanced, Task
from unihooks._contract.leasing import ALONE, Capacity, Claimed, Lease, Planned, Recorded, Result, Share, Work
from unihooks._contract.planning import MOST_PER_EVENT, NewEvent
from unihooks._model.jobs import Job
from unihooks._model.log import Event
from unihooks._model.policy import CircuitBreaker
from unihooks._model.webhooks import Webhook
from unihooks.abc import EmitOutcome, HealthChange, StateKey, Store, Watcher
from unihooks.exceptions import StoreError
from unihooks.stores.sql import (
    claiming,
    configuration,
    console_state,
    emitting,
    health,
    jobs,
    listing,
    log,
    maintenance,
    operating,
    quotas,
    recording,
    replaying,
    statistics,
    telling,
    tenants,
)
from unihooks.stores.sql.planning import Planner
from unihooks.stores.sql.transaction import Database, Submission, Transaction, verb

_SECONDS_BETWEEN_WORK = 10.0
_LOOK_SECONDS = 2.0
# A worker that was not seen for this many heartbeats has no share of the lanes.
_BEATS_MISSED = 2.5
# The worker that is notified of new events plans them within milliseconds. If they wait longer, the others help.
_LEFT_TO_LISTENER_US = SECOND // 10
# The sync of later results covers these, too. If the server crashes before, it loses only claims of deliveries that
# were in flight or not yet recorded, and those are sent again in any case.
_UNSYNCED = ("plan", "claim")

T = TypeVar("T")
Old = TypeVar("Old", bound=Webhook | None)
New = TypeVar("New", bound=Webhook | None)


class SQLStore(Store):
    """A store over the transactions of a database; subclasses only open their kind of database."""

    def __init__(self, database: Database, planner: Planner, *, emit_deadline: float = 10.0) -> None:
        self.emit_deadline = emitting.checked_deadline(emit_deadline)
        self._use(database)
        self._planner = planner
        self._claimer = claiming.Claimer()
        self._clock_steps = maintenance.ClockSteps()
        self._totals = operating.Totals()
        self._worked_at = -inf
        self._tells = False
        self._part = 0
        finalize(self, database.close)

    def _use(self, database: Database) -> None:
        self._database = database
        self.now = database.time.now  # type: ignore[method-assign] # called several times per delivery

    def use_clock(self, clock: Clock | None) -> None:
        self._database.time.clock = clock
        self._clock_steps.forget()

    def use_operational_events(self) -> None:
        self._tells = True

    def now(self) -> int:
        return self._database.time.now()

    def migrate(self) -> list[str]:
        return self._database.migrate()

    def close(self) -> None:
        self._totals.finish(self._database)

    def clear(self) -> None:
        """Remove everything that is stored, for example between two tests; the tables stay."""
        self._database.write(maintenance.clear)
        self._planner.forget()

    # The queue.

    def submit(self, verb: Callable[..., T], *args: Any) -> Future[T] | None:
        return self._database.submit(partial(verb, *args), synced=getattr(verb, "__name__", "") not in _UNSYNCED)

    def ready(self) -> None:
        with self._database.patience.within(self.emit_deadline):
            _ = self._database.store_id

    def submit_events(self, events: Sequence[NewEvent], per_minute: int | None = None) -> Future[list[EmitOutcome]]:
        promise, now = Promise(), monotonic()
        self._database.emit(Submission(events, promise, now, now + self.emit_deadline, per_minute))
        return promise

    def insert_events(self, events: Sequence[NewEvent], per_minute: int | None = None) -> list[EmitOutcome]:
        waiter, now = OneShot(), monotonic()
        ends_at = now + self.emit_deadline
        self._database.emit(Submission(events, waiter, now, ends_at, per_minute))
        try:
            outcomes: list[EmitOutcome] = waiter.result(ends_at)
        except TimeoutError as error:
            raise given_up(self.emit_deadline, waiter) from error
        return outcomes

    def insert_together(self, events: Sequence[NewEvent], per_minute: int | None = None) -> list[Event]:
        patience = self._database.patience
        with patience.within(self.emit_deadline):
            try:
                inserted = self._database.write(partial(_insert_together, events=events, per_minute=per_minute))
            except StoreError as error:
                if patience.is_over:
                    raise given_up(self.emit_deadline) from error
                raise
        self._database.emitted()
        return inserted

    def look_seconds(self) -> tuple[float, float]:
        return self._database.look_seconds()

    def heartbeat_seconds(self) -> float:
        return self._database.heartbeat_seconds

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        watchers = self._database.watchers
        watchers.add(watcher)
        return lambda: watchers.discard(watcher)

    def watched_by(self, watchers: set[Watcher]) -> None:
        """Tell these watchers, including those that are added later."""
        self._database.watchers = watchers

    def wake(self, *, here: bool = True) -> None:
        if here:
            self._database.emitted()
        self._database.notify()

    def plan(
        self,
        lease: Lease,
        capacity: Capacity,
        limit: int,
        most_per_event: int = MOST_PER_EVENT,
        share: Share = ALONE,
    ) -> Planned:
        self._clock_steps.follow(self._database)
        return self._planner.plan(self._database, lease, capacity, limit, most_per_event, share=share)

    def claim(self, lease: Lease, capacity: Capacity, share: Share = ALONE) -> list[Claimed]:
        self._clock_steps.follow(self._database)
        return self._claimer.claim(self._database, lease, capacity, share)

    def record(self, results: Sequence[Result], breaker: CircuitBreaker | None = None) -> Recorded:
        is_remote = self._database.has_round_trips
        calls = recording.calls_if_delivered(results, self.now(), self._part) if is_remote else []
        outcomes = self._database.at_once(calls) if calls else None
        if outcomes:
            recorded = Recorded(accepted=frozenset(item.claimed.id for item in results))
            if unwell := health.noticed(calls, outcomes):
                judge = partial(recording.judge_unwell, unwell=unwell, delivered=results, tells=self._tells)
                # The results are already stored, and the next ones lead to another judgement.
                with suppress(StoreError):
                    recorded = evolve(self._database.write(judge), accepted=recorded.accepted)
        else:
            record = partial(recording.record, results=results, part=self._part, breaker=breaker, tells=self._tells)
            recorded = self._database.write(record, recording.opening(results))
        if self._tells and (recorded.told_health or recorded.disabled or telling.failed_for_good(results)):
            self._database.emitted()
        self._totals.count(results, recorded.accepted, self.now())
        return recorded

    def work(self, share: Share = ALONE, *, patient: bool = False) -> Work:
        self._clock_steps.follow(self._database)
        self._worked_at = monotonic()
        if not self._database.is_relieved:
            return self._database.ask(lambda tx: claiming.work(tx, share))
        until = self.now() - _LEFT_TO_LISTENER_US if patient else None
        work, is_vacant = self._database.ask(lambda tx: claiming.work_of_relieved(tx, share, until))
        if is_vacant:
            self._database.listen()
        return evolve(work, is_late=patient and work.new_events)

    def peek(self) -> Work | None:
        # Only `work` handles a clock that was set back.
        if monotonic() > self._worked_at + _SECONDS_BETWEEN_WORK:
            return None
        return self._database.peek(claiming.work)

    def prune(self, older_than: int, limit: int, *, exact: bool = True) -> int:
        in_days, older_than = self._database.prune_days(older_than, exact=exact)
        removed = 0
        place: maintenance.Place | None = (0, 0)
        # There may be many old events with a pending delivery: they are skipped in transactions of their own.
        while place is not None and removed < limit:
            prune = partial(maintenance.prune, older_than=older_than, limit=limit - removed, place=place)
            count, place = self._database.write(prune)
            removed += count
        return removed + in_days

    release = verb("write", claiming.release)

    def heartbeat(self, worker_id: str, *, gone: bool = False) -> Share:
        alive_us = round(self.heartbeat_seconds() * _BEATS_MISSED * SECOND)
        calls = maintenance.heartbeat(worker_id, self.now(), alive_us=alive_us, gone=gone)
        # If this one is lost, the next one says the same.
        outcomes = self._database.at_once(calls, synced=gone)
        if outcomes is None:
            outcomes = self._database.write(lambda tx: tx.pipeline(*calls), synced=gone)
        share = ALONE if gone else Share(*outcomes[-1].rows[0])
        self._part = share.rank % self._database.hour_parts
        return share if self._database.divides_lanes else ALONE

    def expire_held(self, older_than: int, limit: int) -> int:
        with self._totals.taken() as totals:
            return self._database.write(lambda tx: maintenance.expire_held(tx, older_than, limit, totals))

    forget_keys = verb("write", maintenance.forget_keys)
    fold_hours = verb("write", maintenance.fold_hours)

    # Configuration.

    def revise_webhook(
        self, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook], *, endpoints: int | None = None
    ) -> Webhook:
        def work(tx: Transaction) -> tuple[Webhook, Webhook]:
            configuration.lock_configuration(tx, [tenant])
            # The time of the change is read once nobody else can change anything: it decides which events are for the
            # webhook.
            now = tx.time()
            with self._database.time.pinned(now):
                return configuration.revise_webhook(tx, tenant, webhook_id, revise, now=now, endpoints=endpoints)

        old, new = self._change(work)
        if old.headers != new.headers or not {*old.secrets} <= {*new.secrets}:
            self._database.scrub(later=True)
        return new

    def delete_webhook(self, tenant: str, webhook_id: str, *, version: int | None = None) -> Webhook:
        old, _ = self._change(lambda tx: (configuration.delete_webhook(tx, tenant, webhook_id, version), None))
        self._database.scrub(later=True)
        return old

    def clear_health(self, endpoint_ids: Collection[str]) -> Sequence[HealthChange]:
        def work(tx: Transaction) -> Sequence[HealthChange]:
            told = configuration.clear_health(tx, endpoint_ids)
            if self._tells and told:
                # A test is no result.
                telling.tell_results(tx, (), (), (), told)
            return told

        told = self._database.write(work)
        if self._tells and told:
            self._database.emitted()
        return told

    def add_webhook(self, webhook: Webhook, *, at_most: int, endpoints: int | None = None) -> None:
        def work(tx: Transaction) -> tuple[None, Webhook]:
            configuration.add_webhook(tx, webhook, at_most=at_most, endpoints=endpoints)
            return None, webhook

        self._change(work)

    def _change(self, work: Callable[[Transaction], tuple[Old, New]]) -> tuple[Old, New]:
        """Change a webhook, and emit the operational events for that in the same transaction."""
        if not self._tells:
            return self._database.write(work)

        def telling_too(tx: Transaction) -> tuple[Old, New]:
            changed = work(tx)
            telling.tell_change(tx, *changed)
            return changed

        changed = self._database.write(telling_too)
        self._database.emitted()
        return changed

    get_webhook = verb("read", configuration.get_webhook)
    list_webhooks = verb("read", listing.list_webhooks)
    webhooks_by_health = verb("read", listing.webhooks_by_health)
    destinations = verb("read", configuration.destinations)
    renderings = verb("ask", configuration.renderings)
    config_versions = verb("ask", configuration.config_versions)
    reserve_answer = verb("write", configuration.reserve_answer)
    keep_answer = verb("write", configuration.keep_answer)
    drop_answer = verb("write", configuration.drop_answer)
    put_state = verb("write", console_state.put)
    get_state = verb("read", console_state.get)
    find_state = verb("read", console_state.find)
    list_state = verb("read", console_state.list_)

    def drop_state(self, key: StateKey) -> bool:
        return bool(self._scrubbed(lambda tx: console_state.drop(tx, key)))

    def expire_state(self, older_than: int, limit: int) -> int:
        return self._scrubbed(lambda tx: console_state.expire(tx, older_than, limit))

    def _scrubbed(self, work: Callable[[Transaction], int]) -> int:
        if count := self._database.write(work):
            self._database.scrub(later=True)
        return count

    # The log.

    def erase(self, tenant: str, **chosen: Any) -> tuple[int, str | None]:
        count, last = self._database.write(lambda tx: maintenance.erase(tx, tenant, **chosen))
        self._planner.forget()
        if last is None:
            self._database.scrub()
        return count, last

    def erase_tenant(self, tenant: str, *, after: str = "", limit: int) -> tuple[int, str | None]:
        count, last = self._database.write(lambda tx: tenants.erase_tenant(tx, tenant, after=after, limit=limit))
        self._planner.forget()
        if last is None:
            # All deliveries have to be looked at, and nobody should have to wait for that.
            unused = self._database.read(tenants.unused_renderings)
            # Those that have been used since are left alone.
            self._database.write(lambda tx: tx.run("erase_renderings", unused))
            self._database.scrub()
        return count, last

    list_events = verb("read", log.list_events)
    list_deliveries = verb("read", log.list_deliveries)
    count_deliveries = verb("read", log.count_deliveries)
    tally_deliveries = verb("read", log.tally_deliveries)
    list_attempts = verb("read", log.list_attempts)
    delivery_source = verb("read", replaying.delivery_source)
    replay = verb("write", replaying.replay)
    replay_many = verb("write", replaying.replay_many)
    cancel = verb("write", log.cancel)
    recover = verb("write", replaying.recover)

    # Jobs.

    def add_job(self, tenant: str, task: Task, *, at_most: int) -> Job:
        # Counted separately, since that may take a while and needs no lock.
        new = self._database.read(lambda tx: jobs.prepare(tx, tenant, task))
        return self._database.write(lambda tx: jobs.add(tx, tenant, new, at_most=at_most))

    def advance_jobs(self, **options: Any) -> Advanced:
        begun: list[str] = []
        try:
            # A slice that a crash of the server undoes is done again, with all that it has made.
            return self._database.write(lambda tx: jobs.advance(tx, begun.append, **options), synced=False)
        except Exception as error:
            if begun:
                failure = error
                self._database.write(lambda tx: jobs.note_failure(tx, begun[-1], failure))
            raise

    get_job = verb("read", jobs.get)
    list_jobs = verb("read", jobs.list_jobs)
    stop_job = verb("write", jobs.stop)

    # Statistics.

    def oldest_unplanned(self) -> int | None:
        # An emit checks this once its event is stored, and must not hang then.
        with self._database.patience.within(_LOOK_SECONDS):
            return self._database.ask(statistics.oldest_unplanned)

    webhook_health = verb("read", statistics.webhook_health)
    webhook_activity = verb("read", statistics.webhook_activity)
    webhook_failures = verb("read", statistics.webhook_failures)
    failing_endpoints = verb("read", statistics.failing_endpoints)
    slowest_endpoints = verb("read", statistics.slowest_endpoints)
    list_tenants = verb("read", statistics.list_tenants)
    usage = verb("read", tenants.usage)
    trends = verb("read", operating.trends)
    backlog = verb("read", operating.backlog)
    leased = verb("read", operating.leased)
    newest_jobs = verb("read", operating.newest_jobs)
    statistics = verb("read", statistics.queue)


def _insert_together(tx: Transaction, events: Sequence[NewEvent], per_minute: int | None) -> list[Event]:
    quotas.refuse_any(tx, events, per_minute)
    return emitting.insert_together(tx, events)
