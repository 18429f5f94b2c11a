"""The rules that SQLite adds to the contract: files, processes, locks, durability."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import pytest
from attrs import evolve
from interruptions import interrupted
from sqlite_scene import add_webhook, emit, make_event, make_webhook

from unihooks._base.queue_thread import OneShot
from unihooks.abc import Capacity, DeliveryFilter, EventFilter, Lease, Window
from unihooks.exceptions import StoreError
from unihooks.stores import SQLiteStore
from unihooks.stores.sql import caches, configuration, matching
from unihooks.stores.sql import schema as _schema
from unihooks.stores.sql.schema import Migrations
from unihooks.stores.sqlite import database as _database
from unihooks.stores.sqlite import errors, writer
from unihooks.stores.sqlite.transaction import SQLiteTransaction

# What SQLite calls its levels of `synchronous`.
NORMAL, FULL = 1, 2
NO_ROOM = {"total": 0, "per_endpoint": 0}


def tables(path):
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    connection.close()
    return rows


def run_python(code, *args):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


EMIT_FOREVER = """
    import sys
    from unihooks._base.ids import new_id
    from unihooks._contract.planning import NewEvent
    from unihooks.stores import SQLiteStore

    store = SQLiteStore(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        event = NewEvent(new_id("evt_", store.now()), "default", "shop", "paid", b"{}", store.now())
        print(store.submit_events([event]).result()[0].id, flush=True)
"""

WORK_UNTIL_DONE = """
    import sys
    from unihooks.abc import Lease, Capacity
    from unihooks.stores import SQLiteStore

    store = SQLiteStore(sys.argv[1])
    more, token = True, int(sys.argv[2]) * 1_000_000
    while more:
        token += 1
        planned = store.plan(Lease(token=token, seconds=60), Capacity(total=7, per_endpoint=3), 20)
        claimed = store.claim(Lease(token=token + 500_000, seconds=60), Capacity(total=9, per_endpoint=5))
        print(*[item.id for item in (*planned.claimed, *claimed)], flush=True)
        more = planned.more or claimed
"""


def note(noted, one):
    noted.append(one)
    return one


class TestFile:
    def test_memory_is_refused_and_the_memory_store_named(self):
        with pytest.raises(StoreError, match="MemoryStore"):
            SQLiteStore(":memory:")

    def test_file_that_is_no_database_is_an_error_that_names_it(self, path):
        path.write_bytes(b"this is a text and not a database at all" * 100)
        with pytest.raises(StoreError, match=r"webhooks\.db is not an SQLite database"):
            SQLiteStore(path).work()

    def test_file_that_is_no_database_is_not_kept_open(self, path, monkeypatch):
        opened, connect = [], sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: note(opened, connect(*args, **options)))
        path.write_bytes(b"this is a text and not a database at all" * 100)
        with pytest.raises(StoreError):
            SQLiteStore(path).work()
        for connection in opened:
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                connection.execute("SELECT 1")

    def test_missing_directory_is_an_error_that_says_so(self, tmp_path):
        with pytest.raises(StoreError, match="directory must exist"):
            SQLiteStore(tmp_path / "none" / "webhooks.db").work()

    def test_tables_live_beside_those_of_the_host(self, path):
        host = sqlite3.connect(path)
        host.execute("CREATE TABLE orders (id)")
        host.execute("INSERT INTO orders VALUES (1)")
        host.commit()
        store = SQLiteStore(path)
        emit(store, make_event(store))
        store.close()
        assert host.execute("SELECT * FROM orders").fetchall() == [(1,)]
        host.close()
        names = {name for _, name, _ in tables(path) if not name.startswith("sqlite_")}
        assert all(name.startswith("unihooks_") for name in names - {"orders"})

    @pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
    def test_bytes_come_back_whatever_encoding_the_host_has_chosen_for_texts(self, path, encoding):
        host = sqlite3.connect(path)
        host.execute(f"PRAGMA encoding = '{encoding}'")
        host.execute("CREATE TABLE orders (id)")
        host.close()
        store = SQLiteStore(path)
        webhook = add_webhook(store)
        bodies = [b'{"a":123}', b"{}", '"é"'.encode(), b"\xff\x00\xd8"]
        emit(store, *[make_event(store, body=body) for body in bodies])
        store.plan(Lease(token=1, seconds=30), Capacity(**NO_ROOM), 10)
        claimed = store.claim(Lease(token=2, seconds=30), Capacity(10, 10))
        assert sorted(item.body for item in claimed) == sorted(bodies)
        assert store.get_webhook("default", webhook.id) == webhook
        store.close()

    @pytest.mark.parametrize("page_size", [512, 4_096, 65_536])
    def test_pages_move_to_the_file_after_a_number_of_bytes_whatever_their_size(self, path, page_size):
        host = sqlite3.connect(path)
        host.execute(f"PRAGMA page_size = {page_size}")
        host.execute("CREATE TABLE orders (id)")
        host.close()
        store = SQLiteStore(path)
        emit(store, make_event(store))
        connection = store._sqlite._open().writer._connection
        assert connection.execute("PRAGMA page_size").fetchone()[0] == page_size
        assert connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0] * page_size == 16 * 1024 * 1024
        store.close()

    def test_store_works_again_after_close(self, store):
        emit(store, make_event(store))
        store.close()
        store.close()
        emit(store, make_event(store))
        assert len(store.list_events("default", EventFilter(), Window(limit=10))) == 2

    def test_path_stays_the_same_when_the_process_changes_directory(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        store = SQLiteStore("here.db")
        monkeypatch.chdir("/")
        emit(store, make_event(store))
        store.close()
        assert (tmp_path / "here.db").exists()

    def test_full_disk_fails_the_emit_and_not_the_store(self, store):
        emit(store, make_event(store))
        connection = store._sqlite._open().writer._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="cannot grow"):
            emit(store, make_event(store, body=b'"' + b"x" * 200_000 + b'"'))
        connection.execute("PRAGMA max_page_count = 1000000")
        emit(store, make_event(store))
        assert len(store.list_events("default", EventFilter(), Window(limit=10))) == 2


class TestSchema:
    def test_newest_migration_is_the_schema_version(self):
        [*_, newest] = _database.MIGRATIONS.between(0, 9_999)
        assert int(newest[:4]) == _schema.SCHEMA_VERSION

    def test_migrate_names_its_steps_once(self, store):
        assert store.migrate() == ["0001_initial"]
        assert store.migrate() == []

    def test_missing_file_without_migration_names_the_command_and_makes_no_file(self, path):
        with pytest.raises(StoreError, match="unihooks migrate"):
            SQLiteStore(path, migrate=False).work()
        assert not path.exists()

    def test_missing_tables_without_migration_name_the_command(self, path):
        sqlite3.connect(path).close()
        store = SQLiteStore(path, migrate=False)
        with pytest.raises(StoreError, match="unihooks migrate"):
            store.work()
        store.migrate()
        assert not store.work().new_events
        store.close()

    def test_newer_schema_is_refused(self, store, path):
        store.migrate()
        connection = sqlite3.connect(path)
        connection.execute("UPDATE unihooks_store SET schema_version = 99")
        connection.commit()
        connection.close()
        with pytest.raises(StoreError, match="install a newer unihooks"):
            store.work()

    def test_old_schema_takes_the_missing_steps_only(self, store, monkeypatch, tmp_path):
        store.migrate()
        folder = tmp_path / "migrations"
        folder.mkdir()
        (folder / "0001_initial.sql").write_text("nonsense")
        (folder / "0002_more.sql").write_text("CREATE TABLE main.unihooks_more (id);\n")
        monkeypatch.setattr(_database, "MIGRATIONS", Migrations(folder))
        monkeypatch.setattr(_schema, "SCHEMA_VERSION", 2)
        with pytest.raises(StoreError, match="has schema 1, this version needs 2; run `unihooks migrate`"):
            SQLiteStore(store._sqlite.path, migrate=False).work()
        assert store.migrate() == ["0002_more"]
        assert store.migrate() == []

    def test_failing_migration_changes_nothing(self, store, path, monkeypatch):
        monkeypatch.setattr(Migrations, "script", lambda *_: "CREATE TABLE main.a (id);\nnonsense;\n")
        with pytest.raises(StoreError, match="refused a statement"):
            store.migrate()
        assert tables(path) == []


class TestWriting:
    def test_event_that_cannot_be_stored_fails_alone(self, store):
        good, bad, twice = make_event(store), make_event(store, body=None), make_event(store)
        odd = make_event(store, tenant="\ud800")
        keyed = make_event(store, body=None, idempotency_key="k", digest=b"d")
        outcomes = emit(store, good, bad, twice, twice, odd, keyed)
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [False, True, False, True, True, True]
        assert {good.id, twice.id} == {
            item.id for item in store.list_events("default", EventFilter(), Window(limit=10))
        }

    @pytest.mark.parametrize("size", [10, 20_000], ids=["small", "large"])
    def test_event_that_cannot_be_stored_fails_alone_among_more_than_a_statement_takes(self, store, size):
        [stored] = emit(store, make_event(store))
        many = [make_event(store, body=b"x" * size) for _ in range(300)]
        many[290] = evolve(many[290], id=stored.id)
        outcomes = emit(store, *many)
        assert [number for number, one in enumerate(outcomes) if isinstance(one, StoreError)] == [290]

    def test_failing_change_does_not_affect_others_of_its_group(self, store):
        webhook = add_webhook(store)
        with ThreadPoolExecutor(4) as pool:
            broken = pool.submit(store.revise_webhook, "default", webhook.id, lambda _: 1 / 0)
            emits = [pool.submit(emit, store, make_event(store)) for _ in range(20)]
            with pytest.raises(ZeroDivisionError):
                broken.result()
            assert all(emitted.result() for emitted in emits)
        assert store.get_webhook("default", webhook.id) == webhook

    def test_unexpected_error_reaches_waiting_callers_and_the_next_emit_works(self, store, monkeypatch):
        store.migrate()
        with monkeypatch.context() as broken:
            broken.setattr(writer, "_outcomes", lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                emit(store, make_event(store))
        assert emit(store, make_event(store))

    def test_file_that_cannot_be_written_is_an_error_that_says_so(self, store):
        store.migrate()
        store.work()
        connection = store._sqlite._open().writer._connection
        connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="make the file and its directory writable"):
            emit(store, make_event(store))

    def test_many_threads_emit_at_once(self, store):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: emit(store, make_event(store)), range(200)))
        assert len(store.list_events("default", EventFilter(), Window(limit=250))) == 200

    def test_foreign_lock_is_an_error_that_says_what_to_do(self, path):
        store = SQLiteStore(path, busy_timeout=0.05)
        store.migrate()
        host = sqlite3.connect(path, isolation_level=None)
        host.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"only emit\(connection=\.\.\.\) works"):
            emit(store, make_event(store))
        assert not store.work().new_events
        host.execute("ROLLBACK")
        host.close()
        emit(store, make_event(store))
        store.close()

    def test_a_lock_that_others_hold_is_tried_again_in_short_and_equal_steps(self, store, path, monkeypatch):
        store.migrate()
        host = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        host.execute("BEGIN IMMEDIATE")
        naps = []

        def nap(seconds):
            naps.append(seconds)
            if len(naps) == 20:
                host.execute("ROLLBACK")

        monkeypatch.setattr(errors, "time", SimpleNamespace(monotonic=time.monotonic, sleep=nap))
        emit(store, make_event(store))
        assert naps == [0.0005] * 20
        host.close()

    def test_only_plans_and_claims_do_not_wait_for_the_disk(self, store, monkeypatch):
        levels, whole = [], writer.Writer._begin

        def begin(self, **options):
            whole(self, **options)
            levels.append(self._connection.execute("PRAGMA main.synchronous").fetchone()[0])

        monkeypatch.setattr(writer.Writer, "_begin", begin)
        add_webhook(store)
        lease, capacity = Lease(token=1, seconds=30), Capacity(10, 10)
        for _ in range(2):
            emit(store, make_event(store))
            planned = store.submit(store.plan, lease, capacity, 10).result()
            store.submit(store.claim, lease, capacity).result()
            store.submit(store.release, planned.claimed).result()
        assert levels == [FULL, *[FULL, NORMAL, NORMAL, FULL] * 2]

    def test_a_durable_call_waits_for_the_disk_beside_others_that_need_not(self, store):
        store.ready()
        began, may_end = threading.Event(), threading.Event()
        # While this one runs, the others are queued.
        held = store._sqlite.submit(lambda: (began.set(), may_end.wait(10)), synced=False)
        assert began.wait(10)

        def level():
            return store._sqlite.write(lambda tx: tx._connection.execute("PRAGMA main.synchronous").fetchone()[0])

        levels = [store._sqlite.submit(level, synced=synced) for synced in (False, True, False, True)]
        may_end.set()
        assert held.result(10)
        assert [one.result(10) for one in levels][1::2] == [FULL, FULL]
        assert store._sqlite.submit(level, synced=False).result(10) == NORMAL

    def test_a_peek_shows_what_another_process_has_committed(self, store, path):
        assert store.peek() is None  # the clock is to be looked at first
        assert not store.work().new_events
        assert not store.peek().new_events
        other = SQLiteStore(path)
        emit(other, make_event(other))
        other.close()
        assert store.peek().new_events

    def test_a_peek_asks_anew_only_after_another_connection_has_committed(self, store, path):
        store.now()
        asked = []

        def look(_tx):
            asked.append(len(asked))
            return len(asked)

        assert [store._database.peek(look) for _ in range(3)] == [1, 1, 1]
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("CREATE TABLE theirs (a)")
        assert [store._database.peek(look) for _ in range(2)] == [2, 2]

    def test_a_peek_does_not_wait_for_a_lock(self, store, path):
        store.work()
        one, two = (sqlite3.connect(path, isolation_level=None, timeout=0) for _ in range(2))
        one.execute("BEGIN IMMEDIATE")
        assert store._database.peek(lambda _tx: two.execute("BEGIN IMMEDIATE")) is None
        one.close()
        two.close()

    def test_rolled_back_configuration_is_never_planned_with(self, store):
        # A plan that shares a transaction with a change must not remember the change if the commit fails.
        lost = make_webhook(store)
        emit(store, make_event(store))

        def change_and_plan(connection):
            tx = SQLiteTransaction(connection, store.now)
            configuration.add_webhook(tx, lost, at_most=10)
            planned = store._planner.plan(Within(tx), Lease(token=1, seconds=30), Capacity(1, 1), 10)
            assert [one.webhook_id for one in planned.claimed] == [lost.id]
            return 1 / 0

        waiter = OneShot()
        store._sqlite._open().writer.call(change_and_plan, waiter, is_synced=True)
        with pytest.raises(ZeroDivisionError):
            waiter.result()
        # It has the lost version.
        add_webhook(store, product="other")
        planned = store.plan(Lease(token=1, seconds=30), Capacity(1, 1), 10)
        assert (planned.events, planned.deliveries) == (1, 0)


class Within:
    """The part of a database that a planner needs, inside an open transaction."""

    has_round_trips = False

    def __init__(self, tx):
        self.tx = tx

    def write(self, work, opening, *, synced):
        self.tx.opening = self.tx.pipeline(*opening)
        return work(self.tx)


class TestPlanning:
    def test_large_fan_out_takes_several_calls_and_misses_no_endpoint(self, store, monkeypatch):
        monkeypatch.setattr(matching, "_SECONDS_OF_MATCHING", 60)
        webhooks = [add_webhook(store, endpoints=4) for _ in range(600)]
        event = make_event(store)
        emit(store, event)
        made, calls = 0, 0
        while True:
            planned = store.plan(Lease(token=1, seconds=30), Capacity(**NO_ROOM), 10)
            made, calls = made + planned.deliveries, calls + 1
            assert planned.deliveries <= 250
            if not planned.more:
                break
        assert (made, calls, planned.events) == (2_400, 10, 1)
        found = store.list_deliveries("default", DeliveryFilter(event_id=event.id), Window(limit=5_000))
        assert {item.endpoint_id for item in found} == {item.id for one in webhooks for item in one.endpoints}

    def test_an_unreadable_row_of_a_webhook_affects_only_its_own_events(self, store, path):
        broken, sound = add_webhook(store, event_type="refunded"), add_webhook(store, event_type="order.paid")
        host = sqlite3.connect(path)
        host.execute("UPDATE unihooks_webhooks SET activated_at = 'never' WHERE id = ?", (broken.id,))
        host.commit()
        emit(store, evolve(make_event(store), event_type="refunded"), make_event(store))
        for calls in range(5):
            planned = store.plan(Lease(token=1, seconds=30), Capacity(1, 1), 10)
            assert [one.webhook_id for one in planned.claimed] == ([] if calls else [sound.id])
        assert not planned.more
        [(error,)] = host.execute("SELECT plan_error FROM unihooks_events WHERE plan_error IS NOT NULL").fetchall()
        assert error.startswith("TypeError: ")
        host.close()

    def test_events_of_every_tenant_are_planned_beside_a_burst(self, store):
        emit(store, *[make_event(store, tenant="a") for _ in range(2_000)])
        for tenant in ("0", "b"):
            add_webhook(store, tenant=tenant)
            emit(store, make_event(store, tenant=tenant))
        planned = store.plan(Lease(token=1, seconds=30), Capacity(total=10, per_endpoint=5), 100)
        assert planned.more
        assert {item.tenant for item in planned.claimed} == {"0", "b"}

    def test_more_tenants_than_fit_one_call_take_turns(self, store):
        for number in range(250):
            emit(store, make_event(store, tenant=f"t{number:03}"))
        counts = [store.plan(Lease(token=1, seconds=30), Capacity(**NO_ROOM), 100).events for _ in range(3)]
        assert counts == [100, 100, 50]

    def test_due_lane_of_another_tenant_is_claimed_beside_many(self, store):
        add_webhook(store, tenant="busy", endpoints=50)
        add_webhook(store, tenant="calm")
        emit(store, make_event(store, tenant="busy"))
        store.plan(Lease(token=1, seconds=30), Capacity(**NO_ROOM), 10)
        emit(store, make_event(store, tenant="calm"))
        store.plan(Lease(token=1, seconds=30), Capacity(**NO_ROOM), 10)
        claimed = store.claim(Lease(token=2, seconds=30), Capacity(total=4, per_endpoint=2))
        assert len(claimed) == 4
        assert {item.tenant for item in claimed} == {"busy", "calm"}

    def test_one_call_holds_no_more_than_a_few_large_payloads(self, store):
        emit(store, *[make_event(store, body=b" " * 250_000) for _ in range(50)])
        planned = store.plan(Lease(token=1, seconds=30), Capacity(**NO_ROOM), 100)
        assert (planned.events, planned.more) == (33, True)

    def test_forgotten_subscribers_are_found_again(self, store, monkeypatch):
        monkeypatch.setattr(caches, "_MOST_KEPT", 4)
        for tenant in ("a", "b"):
            add_webhook(store, tenant=tenant)
        for tenant in ("a", "b", "a", "b"):
            emit(store, make_event(store, tenant=tenant))
            assert store.plan(Lease(token=1, seconds=30), Capacity(**NO_ROOM), 10).deliveries == 1

    def test_bytes_of_any_kind_come_back_from_a_claim(self, store):
        add_webhook(store)
        bodies = [b"\x00", b"", b'"\xc3\xa9"', bytes(range(256)), b"{}"]
        emit(store, *[make_event(store, body=body) for body in bodies])
        store.plan(Lease(token=1, seconds=30), Capacity(**NO_ROOM), 10)
        claimed = store.claim(Lease(token=2, seconds=30), Capacity(total=10, per_endpoint=10))
        assert sorted(item.body for item in claimed) == sorted(bodies)


class TestProcesses:
    def test_processes_that_start_at_once_share_a_new_file(self, path):
        processes = [run_python(EMIT_FOREVER, path, 20) for _ in range(4)]
        ids = {line for process in processes for line in process.communicate(timeout=60)[0].split()}
        assert [process.returncode for process in processes] == [0] * 4
        store = SQLiteStore(path)
        assert {item.id for item in store.list_events("default", EventFilter(), Window(limit=250))} == ids
        store.close()

    def test_event_survives_a_kill_once_emit_has_returned(self, path):
        process = run_python(EMIT_FOREVER, path, 1_000_000)
        emitted = [process.stdout.readline().strip() for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        emitted += process.communicate(timeout=30)[0].split()
        store = SQLiteStore(path)
        found = {item.id for item in store.list_events("default", EventFilter(), Window(limit=100_000))}
        assert {id_ for id_ in emitted if len(id_) == 30} <= found
        store.close()

    def test_workers_in_several_processes_share_the_work_and_lease_nothing_twice(self, store, path):
        add_webhook(store, endpoints=4)
        emit(store, *[make_event(store) for _ in range(200)])
        processes = [run_python(WORK_UNTIL_DONE, path, number) for number in (1, 2, 3)]
        ids = [id_ for process in processes for id_ in process.communicate(timeout=60)[0].split()]
        assert [process.returncode for process in processes] == [0] * 3
        assert len(ids) == len(set(ids)) == 800

    def test_process_that_never_closes_ends_by_itself(self, path):
        process = run_python(EMIT_FOREVER, path, 1)
        assert process.communicate(timeout=20)[0].startswith("evt_")
        assert process.returncode == 0

    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_store_used_before_a_fork_works_on_both_sides(self, store):
        emit(store, make_event(store))
        child = os.fork()
        if child == 0:
            failed = 1
            try:
                emit(store, make_event(store))
                store.close()
                failed = 0
            finally:
                os._exit(failed)
        emit(store, make_event(store))
        assert os.waitpid(child, 0)[1] == 0
        emit(store, make_event(store))
        assert len(store.list_events("default", EventFilter(), Window(limit=10))) == 4


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_deleted_or_replaced_takes_no_more_events(store, path, replaced):
    emit(store, make_event(store))
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()
    if replaced:
        path.write_bytes(b"")
    with pytest.raises(StoreError, match="deleted, emptied or replaced"):
        emit(store, make_event(store))
    with pytest.raises(StoreError, match="deleted, emptied or replaced"):
        add_webhook(store)
    store.close()
    emit(store, make_event(store))
    assert len(store.list_events("default", EventFilter(), Window(limit=9))) == 1


def test_marking_a_large_event_as_planned_does_not_write_its_body_again(store, path):
    add_webhook(store)
    emit(store, make_event(store, body=b'"' + b"x" * 200_000 + b'"'))
    log = path.with_name(path.name + "-wal")
    before = log.stat().st_size
    assert store.plan(Lease(token=1, seconds=30), Capacity(1, 1), 10).events == 1
    assert log.stat().st_size - before < 100_000


def test_a_handler_that_raises_while_a_connection_is_lent_leaves_none_lent(store):
    class Enough(Exception):
        pass

    readers = store._database._open().readers
    is_lending = False

    def lend():
        nonlocal is_lending
        with contextlib.suppress(Enough):
            is_lending = True
            with readers.lent():
                is_lending = False
        is_lending = False

    def enough():
        if is_lending:
            raise Enough

    assert interrupted(lend, enough) > 50
    assert not readers._lent
