"""Whatever an emit interrupts or finds dead, it works or raises at once, and never hangs."""

from __future__ import annotations

import pytest
from interruptions import run_script

pytestmark = pytest.mark.slow

KINDS = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
VERBS = {
    "emit": "emit()",
    "keyed": "emit(idempotency_key=str(len(stored)))",
    "many": 'stored.extend(one.id for one in dispatcher.emit_many([("shop", "paid", 1)] * 3))',
    "stats": "dispatcher.stats()",
    "wake": "dispatcher.wake()",
    "log": "dispatcher.log.events()",
}


@pytest.fixture(params=KINDS)
def run(request, tmp_path):
    """Run a script in a process with a dispatcher of each kind of store in turn."""
    if request.param == "postgres":
        dsn, schema = request.getfixturevalue("postgres_dsn"), request.getfixturevalue("schema")
        store = f"PostgresStore({dsn!r}, schema={schema!r}, max_connections=2)"
    else:
        store = f"SQLiteStore({str(tmp_path / 'webhooks.db')!r})"

    def run(script):
        return run_script(script, store)

    run.kind = request.param
    return run


# Interruptions.


@pytest.mark.parametrize("inner", VERBS)
@pytest.mark.parametrize("outer", ["emit", "stats"])
def test_a_call_works_wherever_another_interrupts_it(run, outer, inner):
    every = 23 if run.kind == "postgres" else 11
    # Each pair begins at another step, so that together they cover more steps than one does.
    start = 1 + 3 * [*VERBS].index(inner)
    told = run(f"""
        emit(), emit(idempotency_key="first"), dispatcher.stats(), dispatcher.wake()
        steps = interrupted(lambda: {VERBS[outer]}, lambda: {VERBS[inner]}, every={every}, start={start})
        assert steps > 300, steps
        assert not refused and len(set(stored)) == len(stored)
        print(steps)
    """)
    assert told


def test_opening_is_interrupted_by_emits_that_work_or_are_refused(run):
    every = 997 if run.kind == "postgres" else 97
    run(f"""
        def reopened():
            dispatcher.settings.store.close()
            dispatcher.stats()

        reopened()
        steps = interrupted(reopened, emit, every={every})
        assert steps > 1_000, steps
        assert refused and all("interrupted the store's own work" in str(one) for one in refused)
        emit()
        assert len(set(stored)) == len(stored) == len(dispatcher.log.events(limit=250)), len(stored)
        assert len([one for one in threading.enumerate() if one.name == "unihooks-sqlite-writer"]) <= 1
    """)


def test_finalisers_in_every_thread_emit_or_are_refused(run):
    run("""
        class Finalised:
            def __init__(self):
                self.itself = self

            def __del__(self):
                emit()

        emit()
        gc.set_threshold(3, 1, 1)
        others = [threading.Thread(target=lambda: [(Finalised(), emit()) for _ in range(150)]) for _ in range(3)]
        for one in others:
            one.start()
        for one in others:
            one.join()
        gc.disable()
        assert len(stored) >= 451 and len(set(stored)) == len(stored)
        assert sum(1 for _ in dispatcher.log.events(limit=250)) == 250
    """)


def test_a_finaliser_in_the_threads_of_the_store_is_refused_at_once(run):
    run("""
        class Finalised:
            def __del__(self):
                emit()
                emit(idempotency_key=str(len(refused)))

        from unihooks.stores.sql import emitting
        import unihooks.stores.sqlite.writer as sqlite, unihooks.stores.postgres.emitter as postgres

        def events_of(events):
            Finalised()
            return emitting.events_of(events)

        sqlite.events_of = postgres.events_of = events_of
        emit()
        assert len(refused) == 2 and len(stored) == 1, refused
    """)


def test_a_signal_handler_that_raises_leaves_the_store_as_it_should_be(run):
    run("""
        class Enough(Exception):
            pass

        def handle(*_):
            raise Enough

        def was_swallowed(error):
            # While psycopg reads this setting, it treats any exception as a wrong value.
            return "bad value for connect_timeout" in str(error)

        signal.signal(signal.SIGALRM, handle)
        emit(), dispatcher.stats()
        interruptions = 0
        for number in itertools.count():
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + number % 97 / 40_000)
                while True:
                    emit(), dispatcher.stats(), emit(idempotency_key=str(len(stored)))
            except Enough:
                interruptions += 1
            except StoreError as error:
                if not was_swallowed(error):
                    raise
                interruptions += 1
            if interruptions == 200:
                break
        emit(), dispatcher.stats()
        wrong = [error for error in refused if not was_swallowed(error)]
        assert not wrong, (len(wrong), wrong[0])
        assert len(set(stored)) == len(stored)
        dispatcher.close()
    """)


@pytest.mark.postgres
def test_a_finaliser_that_needs_the_connection_it_interrupts_is_refused(postgres_dsn, schema):
    store = f"PostgresStore({postgres_dsn!r}, schema={schema!r})"
    run_script(
        f"""
        import psycopg
        dispatcher.migrate()
        with psycopg.connect({postgres_dsn!r}) as connection:
            on = lambda: emit(connection=connection)
            on(), connection.commit()
            interrupted(on, on, every=23)
            interrupted(lambda: connection.execute("SELECT 1"), on, every=23)
            assert refused and all("in use by this very thread" in str(one) for one in refused), refused[:1]
            connection.commit()
            on()
        assert len(dispatcher.log.events(limit=250)) == min(len(stored), 250)
        """,
        store,
    )


# Forks without Python's fork hooks.

FORK = """
child = fork_untold()
def finish():
    if child == 0:
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0, status
"""


def test_a_fork_without_pythons_knowledge_is_noticed(run):
    told = run(f"""
        import traceback
        emit(), dispatcher.stats()
        {FORK.strip().replace(chr(10), chr(10) + " " * 8)}
        try:
            emit(), emit()
            if child == 0 and isinstance(dispatcher.settings.store, SQLiteStore):
                assert [str(one) for one in refused if "uWSGI" in str(one)] and not stored[1:], refused
                for verb in (dispatcher.stats, dispatcher.migrate):
                    try:
                        verb()
                    except StoreError:
                        continue
                    raise AssertionError(verb)
            else:
                assert len(stored) == 3 and not refused and dispatcher.stats(), refused
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        sys.stdout.write(" ".join(stored[1:]) + " ")
        sys.stdout.flush()
        finish()
        emit()
        assert not refused
    """)
    assert len(set(told)) == len(told) >= 2


def test_a_store_that_is_first_used_after_such_a_fork_works_on_both_sides(run):
    told = run(f"""
        import traceback
        {FORK.strip().replace(chr(10), chr(10) + " " * 8)}
        try:
            emit(), emit(idempotency_key="k"), dispatcher.stats()
            assert not refused, refused
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        sys.stdout.write(stored[0] + " ")
        sys.stdout.flush()
        finish()
        emit()
        assert len(dispatcher.log.events()) == 4, dispatcher.log.events()
    """)
    assert len(set(told)) == 2


def test_ids_differ_after_a_fork_without_pythons_knowledge():
    told = run_script(
        f"""
        from unihooks._base.ids import new_id, new_ids
        new_id("x_", 5)
        {FORK.strip().replace(chr(10), chr(10) + " " * 8)}
        sys.stdout.write(" ".join([new_id("x_", 5), *new_ids("x_", 5, 3)]) + " ")
        sys.stdout.flush()
        finish()
        """,
        "MemoryStore()",
    )
    assert len(set(told)) == len(told) == 8


# Threads that die.


def test_a_dead_thread_of_the_store_is_replaced(run):
    run("""
        emit(), emit(idempotency_key="k")
        threads = store_threads()
        for one in threads:
            raised_in(one, SystemExit)
        for number in range(20):
            emit(), emit(idempotency_key=str(number))
        for one in threads:
            one.join()
        assert len(stored) + len(refused) == 42 and len(refused) <= len(threads), refused
        assert all("ended with SystemExit" in str(one) for one in refused), refused
        assert set(stored) <= {one.id for one in dispatcher.log.events(limit=100)}
        dispatcher.close()
    """)


def test_an_exception_in_a_thread_of_the_store_at_any_moment_leaves_no_caller_waiting(run):
    run("""
        emit(), emit(idempotency_key="k")
        done = threading.Event()

        # Python itself waits forever for a thread that dies before it has reported its start.
        begun, start = [], threading.Thread.start
        threading.Thread.start = lambda one: (start(one), begun.append(one))

        def disturb():
            for _ in range(300):
                for one in begun[-2:]:
                    if one.name in ("unihooks-sqlite-writer", "unihooks-postgres-emitter"):
                        raised_in(one, SystemExit)
                done.wait(0.001)

        disturbing = threading.Thread(target=disturb)
        disturbing.start()
        emitting = [threading.Thread(target=lambda: [emit() for _ in range(200)]) for _ in range(4)]
        for one in emitting:
            one.start()
        for one in (*emitting, disturbing):
            one.join()
        emit(), dispatcher.stats()
        assert len(stored) + len(refused) == 803
        assert len(set(stored)) == len(stored)
    """)
