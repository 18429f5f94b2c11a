"""Workers of other processes hear of work at once on PostgreSQL, and poll where they cannot hear."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psycopg
import pytest
from postgres_scene import cut_all, emit, make_event
from waiting import wait_for

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(new_store):
    return new_store()


class Watching:
    """A watcher that notes what it is told."""

    def __init__(self, store):
        self.told = []
        store.watch(self)
        # Whoever asks how long it may wait wants to hear of work.
        assert store.look_seconds() in {(0.01, 0.25), (0.01, 1.0)}
        wait_for(lambda: store._postgres._unchecked().signals._listening)
        assert store.look_seconds() == (0.01, 1.0)

    def emitted(self):
        self.told.append("emitted")

    def changed(self):
        self.told.append("changed")

    def expected(self):
        self.told.append("expected")


class TestSignals:
    def test_emit_elsewhere_is_heard_at_once(self, new_store):
        one, two = new_store(), new_store()
        watching = Watching(one)
        emit(two)
        wait_for(lambda: "changed" in watching.told)

    @pytest.mark.skipif(sys.platform != "linux", reason="only there the kernel counts a thread's switches")
    def test_a_listener_that_hears_nothing_does_not_wake(self, store):
        Watching(store)
        status = Path(f"/proc/self/task/{store._postgres._unchecked().signals._threads['listener'].native_id}/status")

        def waited():
            return next(
                int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("voluntary")
            )

        time.sleep(0.1)
        before = waited()
        time.sleep(0.5)
        assert waited() - before < 3

    def test_wake_elsewhere_is_heard_as_well(self, new_store):
        one, two = new_store(), new_store()
        watching = Watching(one)
        two.wake()
        wait_for(lambda: "changed" in watching.told)

    def test_what_this_process_emits_is_for_its_own_worker_alone(self, new_store):
        one, two = new_store(), new_store()
        watching, other = Watching(one), Watching(two)
        emit(one)
        wait_for(lambda: watching.told == ["emitted"])
        # Its worker says so when it cannot take it all.
        one.wake(here=False)
        wait_for(lambda: other.told)
        assert (watching.told, other.told) == (["emitted"], ["changed"])

    def test_who_wakes_tells_the_workers_of_this_process_and_others(self, new_store):
        one, two = new_store(), new_store()
        watching, other = Watching(one), Watching(two)
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
        signals = store._postgres._unchecked().signals
        wait_for(lambda: signals._listening)
        cut_all(admin)
        wait_for(lambda: not signals._listening)
        wait_for(lambda: signals._listening)
