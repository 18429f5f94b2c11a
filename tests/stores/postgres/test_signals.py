"""One worker process is notified at once on PostgreSQL; the others poll, and one takes over when it is gone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from postgres_scene import add_webhook, cut_all, emit, make_event, plan
from processes import line_of
from waiting import wait_for

from unihooks.stores.postgres.signals import _LOOKS_SHARED, Hearing
from unihooks.testing import FakeClock

pytestmark = pytest.mark.postgres

LISTENING = """
import sys, time
from unihooks.stores import PostgresStore
from unihooks.stores.postgres.signals import Hearing

store = PostgresStore(sys.argv[1], schema=sys.argv[2])
store.look_seconds()
while store._postgres._unchecked().signals._hearing is not Hearing.ALL:
    time.sleep(0.01)
print("listening", flush=True)
time.sleep(600)
"""
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"


@pytest.fixture
def store(new_store):
    return new_store()


def signals_of(store):
    return store._postgres._unchecked().signals


class Watching:
    """A watcher that records its notifications, in a process that listens or is relieved of listening."""

    def __init__(self, store, hearing=Hearing.ALL):
        self.told = []
        store.watch(self)
        # A caller that asks how long it may wait wants to be notified of work.
        assert store.look_seconds() in {(0.01, 0.25), _LOOKS_SHARED}
        wait_for(lambda: signals_of(store)._hearing is hearing)
        assert store.look_seconds() == _LOOKS_SHARED

    def emitted(self):
        self.told.append("emitted")

    def changed(self):
        self.told.append("changed")

    def expected(self):
        self.told.append("expected")


def takes_over(store):
    """Look, as its worker does, and return whether the store listens now."""
    store.work(patient=True)
    return signals_of(store)._hearing is Hearing.ALL


class TestSignals:
    def test_emit_elsewhere_is_notified_at_once(self, new_store):
        one, two = new_store(), new_store()
        watching = Watching(one)
        emit(two)
        wait_for(lambda: "changed" in watching.told)

    def test_a_notify_wakes_exactly_one_of_several_workers(self, new_store):
        one, two, three, emitter = (new_store() for _ in range(4))
        listener = Watching(one)
        others = [Watching(two, Hearing.RELIEVED), Watching(three, Hearing.RELIEVED)]
        for count in range(1, 4):
            emit(emitter)
            wait_for(lambda: len(listener.told) == count)  # noqa: B023 - it is over before the next one
        assert [one.told for one in others] == [[], []]

    def test_a_cut_connection_lets_another_listen(self, new_store, admin):
        one, two, emitter = new_store(), new_store(), new_store()
        Watching(one)
        watching = Watching(two, Hearing.RELIEVED)
        assert not takes_over(two)
        [(pid,)] = admin.execute(LISTENERS)
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])
        # The first one connects again only after two seconds, and is relieved then.
        wait_for(lambda: takes_over(two))
        emit(emitter)
        wait_for(lambda: "changed" in watching.told)
        wait_for(lambda: signals_of(one)._hearing is Hearing.RELIEVED)

    def test_a_killed_process_lets_another_listen(self, new_store, postgres_dsn, schema):
        store = new_store()
        store.ready()
        command = [sys.executable, "-c", LISTENING, postgres_dsn, schema]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert line_of(process.stdout) == "listening\n"
                Watching(store, Hearing.RELIEVED)
                assert not takes_over(store)
            finally:
                process.kill()
        wait_for(lambda: takes_over(store))

    def test_a_relieved_worker_leaves_new_events_to_the_listener_for_a_moment(self, new_store):
        one, two = new_store(), new_store()
        clock = FakeClock()
        two.use_clock(clock)
        Watching(one)
        Watching(two, Hearing.RELIEVED)
        add_webhook(two)
        emit(two)
        assert not two.work(patient=True).new_events
        # A drain works alone, and plans all new events.
        assert two.work().new_events
        clock.advance(0.2)
        assert two.work(patient=True).new_events
        assert plan(two).events == 1

    def test_a_relieved_worker_looks_for_commits_of_its_own_host(self, new_store, postgres_dsn):
        one, two = new_store(), new_store()
        Watching(one)
        Watching(two, Hearing.RELIEVED)
        with psycopg.connect(postgres_dsn) as connection:
            two.emit_on(connection, make_event(two))
        assert two.work(patient=True).new_events

    @pytest.mark.skipif(sys.platform != "linux", reason="only there the kernel counts a thread's switches")
    def test_a_listener_that_hears_nothing_does_not_wake(self, store):
        Watching(store)
        status = Path(f"/proc/self/task/{store._postgres._unchecked().signals._threads['listener'].native_id}/status")

        def waited():
            return next(
                int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("voluntary")
            )

        # The number of wake-ups in a period matters, so the ones at the start are let pass first.
        time.sleep(0.1)
        before = waited()
        time.sleep(0.5)
        assert waited() - before < 3

    def test_wake_elsewhere_is_notified_too(self, new_store):
        one, two = new_store(), new_store()
        watching = Watching(one)
        two.wake()
        wait_for(lambda: "changed" in watching.told)

    def test_events_of_this_process_notify_only_its_own_worker(self, new_store):
        one, two = new_store(), new_store()
        other, watching = Watching(two), Watching(one, Hearing.RELIEVED)
        emit(one)
        wait_for(lambda: watching.told == ["emitted"])
        # Its worker announces events when it cannot take all of them.
        one.wake(here=False)
        wait_for(lambda: other.told)
        assert (watching.told, other.told) == (["emitted"], ["changed"])

    def test_wake_notifies_the_workers_of_this_process_and_of_others(self, new_store):
        one, two = new_store(), new_store()
        other, watching = Watching(two), Watching(one, Hearing.RELIEVED)
        one.wake()
        wait_for(lambda: other.told)
        assert (watching.told, other.told) == (["emitted"], ["changed"])

    def test_an_emit_in_a_transaction_of_the_host_is_expected(self, store, postgres_dsn):
        store.ready()
        watching = Watching(store)
        with psycopg.connect(postgres_dsn) as connection:
            store.emit_on(connection, make_event(store))
        assert watching.told == ["expected"]

    def test_listener_that_was_cut_listens_again(self, store, admin):
        emit(store)
        assert store.look_seconds()
        signals = signals_of(store)
        wait_for(lambda: signals._hearing is Hearing.ALL)
        cut_all(admin)
        wait_for(lambda: signals._hearing is Hearing.NOTHING)
        wait_for(lambda: signals._hearing is Hearing.ALL)

    def test_a_closed_store_lets_another_listen_at_once(self, new_store):
        one, two = new_store(), new_store()
        Watching(one)
        Watching(two, Hearing.RELIEVED)
        one.close()
        assert wait_for(lambda: takes_over(two))
