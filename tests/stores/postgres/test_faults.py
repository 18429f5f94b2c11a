"""Nothing is lost or recorded twice on PostgreSQL when workers, emitters, connections or the server die."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import postgres_server
import psycopg
import pytest
from postgres_scene import add_webhook, cut_all, emit, make_event, plan
from postgres_worker import delivered
from processes import line_of
from waiting import wait_for

from unihooks.abc import DeliveryFilter, EventFilter, Window
from unihooks.stores import PostgresStore

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

LEASE = 1.5
IN_FLIGHT = 10  # per worker: what it claims at a time


class Crew:
    """The workers and emitters of one store, as processes to start and to kill."""

    def __init__(self, dsn, schema, folder):
        self.store = PostgresStore(dsn, schema=schema)
        self.sent = folder / "sent"
        self.emitted = []
        self._dsn = dsn
        self._schema = schema
        self.running = []
        self._readers = {}

    def start(self, *mode):
        script = Path(__file__).parents[1] / "postgres_worker.py"
        command = [sys.executable, str(script), self._dsn, self._schema, str(self.sent), str(LEASE), *mode]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert line_of(process.stdout) == "ready\n"
        self.running.append(process)
        if mode:
            reader = threading.Thread(target=self._read, args=[process], daemon=True)
            reader.start()
            self._readers[process] = reader
        return process

    def kill(self, process):
        process.kill()
        process.wait(30)
        self.running.remove(process)
        if reader := self._readers.pop(process, None):
            reader.join()
        process.stdout.close()

    def finish(self):
        for process in list(self.running):
            self.kill(process)
        self.store.close()

    def goes_on(self, count=20):
        """Wait until more has been emitted and sent."""
        emitted, sent = len(self.emitted) + count, self._count_sent() + count
        wait_for(lambda: len(self.emitted) > emitted and self._count_sent() > sent, 60)

    def idle(self):
        # The order matters: deliveries planned in between are counted.
        if self.store.work().new_events:
            return False
        figures = self.store.statistics()
        return not figures.due and not figures.in_flight

    def judge(self, deaths):
        """Check that every emitted event is delivered and recorded once; return how many requests were repeated."""
        deliveries = self.store.list_deliveries("default", DeliveryFilter(), Window(limit=100_000))
        assert {one.state for one in deliveries} == {"delivered"}
        assert {one.attempt_count for one in deliveries} == {1}
        events = {one.id for one in self.store.list_events("default", EventFilter(), Window(limit=100_000))}
        assert set(self.emitted) <= events
        assert Counter(one.event_id for one in deliveries) == dict.fromkeys(events, 2)
        sent = Counter(line.split()[0] for line in self.sent.read_text().splitlines())
        assert set(sent) == {f"{one.event_id}:{one.endpoint_id}" for one in deliveries}
        again = sum(sent.values()) - len(sent)
        assert again <= deaths * IN_FLIGHT
        return len(deliveries), again

    def _count_sent(self):
        return len(self.sent.read_text().splitlines())

    def _read(self, process):
        # The kill may have cut the last line.
        for line in process.stdout:
            if len(line.strip()) == 30 and line.endswith("\n"):
                self.emitted.append(line.strip())


@contextmanager
def crew_on(dsn, schema, folder):
    crew = Crew(dsn, schema, folder)
    add_webhook(crew.store, endpoints=2)
    try:
        yield crew
    finally:
        crew.finish()


def test_two_processes_share_the_work_and_record_each_delivery_once(postgres_dsn, schema, tmp_path):
    with crew_on(postgres_dsn, schema, tmp_path) as crew:
        for _ in range(2):
            crew.start()
        emit(crew.store, *[make_event(crew.store) for _ in range(400)])
        wait_for(crew.idle, 60)
        assert crew.judge(0) == (800, 0)
        by_whom = Counter(line.split()[1] for line in crew.sent.read_text().splitlines())
    assert len(by_whom) == 2
    assert min(by_whom.values()) > 80


def test_cut_connections_lose_nothing(postgres_dsn, schema, tmp_path):
    with crew_on(postgres_dsn, schema, tmp_path) as crew, psycopg.connect(postgres_dsn, autocommit=True) as admin:
        for mode in ([], [], ["emit"]):
            crew.start(*mode)
        for _ in range(8):
            crew.goes_on()
            cut_all(admin)
        crew.kill(crew.running[-1])
        wait_for(crew.idle, 60)
        # Each cut may lose the confirmation of one record call of each worker.
        count, again = crew.judge(8 * 2)
    sys.stdout.write(f"8 times all connections cut: {count} deliveries, {again} sent again, 0 lost")


def test_server_that_crashes_during_load_loses_nothing(schema, tmp_path):
    with postgres_server.serving(fsync="on") as server, crew_on(server.dsn, schema, tmp_path) as crew:
        for mode in ([], [], ["emit"]):
            crew.start(*mode)
        for _ in range(2):
            crew.goes_on(60)
            server.restart()
        crew.goes_on()
        crew.kill(crew.running[-1])
        wait_for(crew.idle, 60)
        count, again = crew.judge(2 * 2)
    sys.stdout.write(f"2 restarts with -m immediate: {count} deliveries, {again} sent again, 0 lost")


@pytest.fixture
def crashing(schema):
    """Yield a server that may crash, and a store on it that has an event."""
    # Without a waiter nothing reaches the disk.
    with postgres_server.serving(fsync="on", wal_writer_delay="10s") as server:
        store = PostgresStore(server.dsn, schema=schema)
        add_webhook(store)
        emit(store)
        yield server, store
        store.close()


def listed(store):
    return store.list_deliveries("default", DeliveryFilter(), Window(limit=10))


def test_a_plan_that_a_crash_of_the_server_takes_along_is_made_again(crashing):
    server, store = crashing
    assert plan(store, capacity=1).claimed
    server.restart()
    # It may still have reached the disk with another transaction.
    plan(store, capacity=1)
    assert [one.state for one in listed(store)] == ["pending"]
    assert not plan(store).events


def test_a_crash_of_the_server_takes_nothing_that_was_recorded(crashing):
    server, store = crashing
    store.record([delivered(store, claimed) for claimed in plan(store, capacity=1).claimed])
    server.restart()
    assert not plan(store).events
    assert [(one.state, one.attempt_count) for one in listed(store)] == [("delivered", 1)]
