"""Jobs in databases: slices that fail, workers that die, two at the same time."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from waiting import wait_for

from unihooks import EventSubscription, JobState, Limits, Webhook
from unihooks.exceptions import LimitReached
from unihooks.stores.sql import jobs

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def missed(dispatcher, url, count, tenant="default"):
    webhook = Webhook(name="CRM", subscriptions=[EventSubscription("shop", "*")], endpoints=[url])
    added = dispatcher.webhooks.add(webhook, tenant=tenant)
    dispatcher.emit_many([("shop", "order.paid", {"n": n}) for n in range(count)], tenant=tenant)
    dispatcher.drain()
    return dispatcher.webhooks.activate(added.id, tenant=tenant)


@pytest.mark.slow
def test_a_job_continues_after_workers_were_killed_and_makes_nothing_twice(open_dispatcher, start_worker, receiver):
    dispatcher = open_dispatcher()
    webhook = missed(dispatcher, receiver.url_for("/in"), 900)
    job = dispatcher.jobs.recover(webhook.id, since=LONG_AGO)
    for part in (50, 150, 300):
        # Deliveries of a killed worker continue when their leases have ended.
        worker = start_worker(deadline=1.0, lease=6.0)
        wait_for(lambda part=part: dispatcher.jobs.get(job.id).done >= part, seconds=60)
        worker.kill()
    assert dispatcher.jobs.get(job.id).state is JobState.RUNNING
    start_worker(deadline=1.0, lease=6.0)
    wait_for(lambda: dispatcher.jobs.get(job.id).state is JobState.DONE, seconds=60)
    ended = dispatcher.jobs.get(job.id)
    assert (ended.done, ended.made, ended.total) == (900, 900, 900)
    wait_for(lambda: not dispatcher.log.count(state="pending"), seconds=60)
    made = Counter(one.event_id for one in every(dispatcher))
    assert (len(made), set(made.values())) == (900, {1})


def every(dispatcher):
    cursor = None
    while True:
        page = dispatcher.log.deliveries(limit=250, cursor=cursor)
        yield from page
        cursor = page.next
        if cursor is None:
            return


def test_workers_that_advance_at_once_make_nothing_twice(open_dispatcher, receiver):
    dispatchers = [open_dispatcher() for _ in range(4)]
    webhooks = {tenant: missed(dispatchers[0], receiver.url_for("/in"), 400, tenant) for tenant in ("a", "b")}
    for tenant, webhook in webhooks.items():
        dispatchers[0].jobs.recover(webhook.id, tenant=tenant, since=LONG_AGO)

    def advance(dispatcher):
        made, store = 0, dispatcher.settings.store
        while (advanced := store.advance_jobs(most=20)).more:
            made += advanced.made
        return made

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(advance, dispatchers)) == 800
    for tenant in ("a", "b"):
        [job] = dispatchers[0].jobs.list(tenant=tenant)
        assert (job.state, job.made, dispatchers[0].log.count(tenant=tenant)) == (JobState.DONE, 400, 400)


def test_jobs_that_are_added_at_once_keep_to_the_limit(open_dispatcher):
    dispatchers = [open_dispatcher() for _ in range(4)]
    dispatchers[0].migrate()
    together = threading.Barrier(4)

    def add(dispatcher):
        together.wait(10)
        try:
            return dispatcher.jobs.replay()
        except LimitReached:
            return None

    with ThreadPoolExecutor(4) as pool:
        assert sum(one is not None for one in pool.map(add, dispatchers)) == 2


def test_a_job_whose_slices_keep_failing_ends_as_failed_and_delays_no_other(open_dispatcher, receiver, monkeypatch):
    dispatcher = open_dispatcher()
    webhooks = {tenant: missed(dispatcher, receiver.url_for("/in"), 3, tenant) for tenant in ("a", "b")}
    for tenant, webhook in webhooks.items():
        dispatcher.jobs.recover(webhook.id, tenant=tenant, since=LONG_AGO)
    step = jobs.recover_step

    def broken(tx, tenant, **rest):
        made = step(tx, tenant, **rest)
        if tenant == "a":
            raise ZeroDivisionError(tenant)
        return made

    monkeypatch.setattr(jobs, "recover_step", broken)
    failures = 0
    while True:
        try:
            if not dispatcher.settings.store.advance_jobs(most=500).more:
                break
        except ZeroDivisionError:
            failures += 1
    bad, good = (dispatcher.jobs.list(tenant=tenant)[0] for tenant in ("a", "b"))
    assert (bad.state, bad.made, failures) == (JobState.FAILED, 0, 10)
    assert "ZeroDivisionError" in bad.reason
    assert (good.state, good.made) == (JobState.DONE, 3)
    assert dispatcher.log.count(tenant="a") == 0


def test_a_slice_that_works_forgets_the_failures_before(open_dispatcher, receiver, monkeypatch):
    dispatcher = open_dispatcher()
    job = dispatcher.jobs.recover(missed(dispatcher, receiver.url_for("/in"), 40).id, since=LONG_AGO)
    step, calls = jobs.recover_step, iter([*[False] * 9, True, *[False] * 8, *[True] * 100])

    def mostly_broken(*args, **rest):
        if next(calls):
            return step(*args, **rest)
        raise ZeroDivisionError

    monkeypatch.setattr(jobs, "recover_step", mostly_broken)
    for _ in range(18):
        try:
            dispatcher.settings.store.advance_jobs(most=10)
        except ZeroDivisionError:
            assert dispatcher.jobs.get(job.id).ended_at is None
    while dispatcher.settings.store.advance_jobs(most=10).more:
        pass
    assert dispatcher.jobs.get(job.id).made == 40


def test_a_slice_is_bounded_in_time(open_dispatcher, receiver, monkeypatch):
    dispatcher = open_dispatcher(limits=Limits(deliveries_per_event=1))
    job = dispatcher.jobs.recover(missed(dispatcher, receiver.url_for("/in"), 300).id, since=LONG_AGO)
    monkeypatch.setattr(jobs, "_SECONDS_PER_SLICE", 0.0)
    dispatcher.settings.store.advance_jobs(most=500)
    assert dispatcher.jobs.get(job.id).done == 100


def test_a_slice_reads_a_limited_number_of_unwanted_events(open_dispatcher, receiver, monkeypatch):
    dispatcher = open_dispatcher()
    monkeypatch.setattr("unihooks.stores.sql.replaying._EVENTS_PER_STEP", 10)
    webhook = missed(dispatcher, receiver.url_for("/in"), 1)
    dispatcher.webhooks.update(webhook.id, subscriptions=[EventSubscription("shop", "rare")])
    dispatcher.emit_many([("shop", "order.paid", {"n": n}) for n in range(95)] + [("shop", "rare", {})])
    job = dispatcher.jobs.recover(webhook.id, since=LONG_AGO)
    assert job.total == 1
    monkeypatch.setattr(jobs, "_SECONDS_PER_SLICE", 0.0)
    slices = 0
    while dispatcher.settings.store.advance_jobs(most=500).more:
        slices += 1
    assert slices >= 9
    assert dispatcher.jobs.get(job.id).made == 1


def stored_tasks(place):
    kind, options = place
    if kind.__name__ == "SQLiteStore":
        with closing(sqlite3.connect(options["path"])) as connection:
            return [task for (task,) in connection.execute("SELECT task FROM unihooks_jobs ORDER BY id")]
    import psycopg

    with psycopg.connect(options["dsn"]) as connection:
        found = connection.execute(f'SELECT task FROM "{options["schema"]}".jobs ORDER BY id')
        return [task for (task,) in found]


def test_a_subject_is_gone_from_jobs_that_have_ended(open_dispatcher, place, receiver, monkeypatch):
    dispatcher = open_dispatcher(limits=Limits(jobs_per_tenant=5))
    missed(dispatcher, receiver.url_for("/in"), 1)
    dispatcher.emit("shop", "order.paid", {}, subject="order/7")
    dispatcher.drain()
    dispatcher.jobs.replay(subject="order/7")
    dispatcher.drain()
    dispatcher.jobs.stop(dispatcher.jobs.replay(search="order/7").id)
    failing, store = dispatcher.jobs.replay(subject="order/7"), dispatcher.settings.store
    assert ["order/7" in task for task in stored_tasks(place)] == [False, False, True]
    with monkeypatch.context() as broken:
        broken.setattr(jobs, "replay_step", lambda *_, **__: 1 // 0)
        for _ in range(jobs.MOST_TRIES):
            with pytest.raises(ZeroDivisionError):
                store.advance_jobs(most=10)
    assert dispatcher.jobs.get(failing.id).state is JobState.FAILED
    assert dispatcher.erase(subject="order/7") == 1
    assert ["order/7" in task for task in stored_tasks(place)] == [False] * 3
    if "path" in place[1]:
        files = [path for path in Path(place[1]["path"]).parent.iterdir() if path.is_file()]
        assert not any(b"order/7" in path.read_bytes() for path in files)
