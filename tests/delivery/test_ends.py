"""Workers and dispatchers end in time, whatever hooks, the database or a receiver do."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest
from processes import ended, line_of
from proxy import Proxy
from waiting import wait_for

from unihooks import DeliveryState, Dispatcher, Worker
from unihooks.stores import MemoryStore, PostgresStore
from unihooks.testing import Answer

HANGS = """
import signal, threading
from attrs import evolve
from unihooks._delivery import engine
engine._HOOKS_SECONDS = 0.5
hooks = evolve(dispatcher.settings.hooks, on_delivery=lambda delivery: threading.Event().wait())
dispatcher.settings = evolve(dispatcher.settings, hooks=hooks)
"""

PATIENT = """
from attrs import evolve
dispatcher.settings = evolve(dispatcher.settings, deadline=90.0)
"""


class Held:
    """A method of a store that does its work, but holds its result back until it is released."""

    def __init__(self, verb):
        self._verb = verb
        self.answered = threading.Event()
        self.may_go = threading.Event()
        self.has_ended = False

    def __call__(self, *args, **more):
        answer = self._verb(*args, **more)
        self.answered.set()
        self.may_go.wait(30)
        self.has_ended = True
        return answer


@pytest.fixture
def held(monkeypatch):
    """Hold back the results of a method of a store."""
    made = []

    def hold(store, name):
        made.append(Held(getattr(store, name)))
        monkeypatch.setattr(store, name, made[-1])
        return made[-1]

    yield hold
    for one in made:
        one.may_go.set()


# Hooks.


@pytest.mark.parametrize(
    "script",
    [
        "Worker(dispatcher).run()",
        (
            "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
            "with dispatcher.running():\n    signal.sigwait({signal.SIGTERM})"
        ),
        "dispatcher.drain(timeout=1)",
    ],
    ids=["run", "running", "drain"],
)
def test_a_hook_that_never_returns_keeps_no_process_alive(dispatcher, processes, receiver, script):
    dispatcher.emit("chat", "x", 1)
    process = processes(f"{HANGS}\n{script}")
    receiver.wait_for(1, timeout=30)
    if "drain" not in script:
        process.send_signal(signal.SIGTERM)

    status, told = ended(process)
    assert status == 0
    assert "hooks of the host did not end in time" in told


def test_calls_that_a_slow_hook_cannot_take_are_dropped_and_counted(new_dispatcher, host, caplog):
    may_go = threading.Event()
    called = []

    def slow(delivery):
        may_go.wait(30)
        called.append(delivery.id)

    dispatcher = new_dispatcher(on_delivery=slow)
    host.webhook()
    dispatcher.emit_many([("chat", "message.received", {})] * 1_300)
    with dispatcher.running():
        wait_for(lambda: dispatcher.stats().hook_calls_dropped == 300)
        may_go.set()
        wait_for(lambda: len(called) == 1_000)
    assert len(called) == len(set(called)) == 1_000
    assert [record.message for record in caplog.records].count(
        "hooks of the host are slower than the changes that they are called for: calls are dropped and counted in "
        "stats().hook_calls_dropped; let the hooks fill a queue of your own"
    ) == 1


# The database.


@pytest.mark.parametrize("verb", ["plan", "work", "record", "heartbeat"])
async def test_the_end_waits_for_no_call_of_the_store(new_dispatcher, host, held, receiver, verb):
    dispatcher = new_dispatcher(deadline=1.0)
    host.webhook()
    dispatcher.emit("chat", "message.received", {})
    hanging = held(dispatcher.settings.store, verb)
    worker = Worker(dispatcher)
    serving = asyncio.create_task(worker.serve())
    await asyncio.to_thread(hanging.answered.wait, 30)
    worker.stop()
    # Ten times the grace of 3 s: what fails here is a hang.
    await asyncio.wait_for(serving, 30)


@pytest.mark.postgres
def test_a_worker_ends_while_its_server_hangs(processes, postgres_dsn, schema):
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    server = conninfo_to_dict(postgres_dsn)
    with (
        Dispatcher(PostgresStore(postgres_dsn, schema=schema)) as dispatcher,
        Proxy(server["host"], int(server["port"])) as proxy,
    ):
        dsn = make_conninfo(postgres_dsn, host="127.0.0.1", port=proxy.port)
        store = f"PostgresStore({dsn!r}, schema={schema!r})"
        process = processes(f"from unihooks.stores import PostgresStore\nWorker(Dispatcher({store}, deadline=1)).run()")
        wait_for(lambda: dispatcher.stats().workers)
        proxy.freeze()
        process.send_signal(signal.SIGTERM)
        status, _ = ended(process)
    assert status == 0


# Leases.


@pytest.mark.parametrize("how", ["cancel", "stop"])
@pytest.mark.parametrize("verb", ["plan", "claim"])
async def test_deliveries_leased_while_the_end_begins_are_released(new_dispatcher, host, held, verb, how):
    dispatcher = new_dispatcher()
    host.webhook()
    if verb == "claim":
        host.receiver.answer(Answer(500))
        event = dispatcher.emit("chat", "message.received", {})
        await dispatcher.adrain()
        assert dispatcher.log.deliveries(event_id=event.id).items[0].attempt_count == 1
        host.clock.advance(3_600)
    else:
        dispatcher.emit_many([("chat", "message.received", {})] * 20)
    leasing = held(dispatcher.settings.store, verb)
    worker = Worker(dispatcher)
    serving = asyncio.create_task(worker.serve())
    await asyncio.to_thread(leasing.answered.wait, 30)
    before = len(host.receiver.requests)
    if how == "cancel":
        serving.cancel()
    else:
        worker.stop()
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.1, leasing.may_go.set)
    await asyncio.wait([serving])

    assert len(host.receiver.requests) == before
    assert dispatcher.stats().in_flight == 0
    assert (await dispatcher.adrain()).delivered == (1 if verb == "claim" else 20)


async def test_deliveries_leased_after_a_cancellation_are_released(new_dispatcher, host, held):
    dispatcher = new_dispatcher()
    host.webhook()
    dispatcher.emit_many([("chat", "message.received", {})] * 20)
    leasing = held(dispatcher.settings.store, "plan")
    serving = asyncio.create_task(Worker(dispatcher).serve())
    await asyncio.to_thread(leasing.answered.wait, 30)
    serving.cancel()
    # The graceful end has begun, and waits for the plan, when the second signal comes.
    await asyncio.sleep(0.01)
    serving.cancel()
    await asyncio.wait([serving])
    leasing.may_go.set()

    # A store with a thread of its own commits the plan only now.
    await asyncio.to_thread(wait_for, lambda: dispatcher.stats().oldest_unplanned is None)
    await asyncio.to_thread(wait_for, lambda: dispatcher.stats().in_flight == 0)
    assert (await dispatcher.adrain()).delivered == 20


# Signals.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(dispatcher, processes, receiver, number):
    receiver.always(Answer(hang=True))
    dispatcher.emit("chat", "x", 1)
    process = processes(f"{PATIENT}\nWorker(dispatcher).run(); print('returned')")
    receiver.wait_for(1, timeout=30)
    process.send_signal(number)
    assert line_of(process.stderr) == "finishing 1 request, up to 92 s; again to stop at once\n"
    process.send_signal(number)
    # A graceful end would take 90 s.
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "returned\n")


@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
def test_signals_that_interrupt_no_wait_of_the_main_thread_are_heard(dispatcher, processes, receiver, fast):
    receiver.always(Answer(hang=True))
    dispatcher.emit("chat", "x", 1)
    # The signal goes to another thread, as the kernel may choose, or arrives just before the main thread waits.
    process = processes(
        PATIENT
        + ("" if fast else "sys.modules['uvloop'] = None\n")
        + """
import signal, threading
def tell():
    for _ in sys.stdin:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
threading.Thread(target=tell, daemon=True).start()
Worker(dispatcher).run(); print('returned')
"""
    )
    receiver.wait_for(1, timeout=30)
    process.stdin.write("\n")
    process.stdin.flush()
    assert line_of(process.stderr) == "finishing 1 request, up to 92 s; again to stop at once\n"
    out, _ = process.communicate("\n", timeout=30)
    assert (process.returncode, out) == (0, "returned\n")


def test_the_hosts_own_signal_handlers_come_back():
    def mine(*_):
        pass

    before = {number: signal.signal(number, mine) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        worker = Worker(Dispatcher(MemoryStore()))
        threading.Timer(0.1, worker.stop).start()
        worker.run()
        assert {number: signal.getsignal(number) for number in before} == dict.fromkeys(before, mine)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def test_arunning_works_in_the_hosts_event_loop(new_dispatcher, host, receiver):
    dispatcher = new_dispatcher()
    host.webhook()
    async with dispatcher.arunning(concurrency=10) as worker:
        assert isinstance(worker, Worker)
        await dispatcher.aemit("chat", "message.received", {})
        await asyncio.to_thread(receiver.wait_for, 1, 30)
    [delivery] = dispatcher.log.deliveries()
    assert delivery.state is DeliveryState.DELIVERED
    assert not dispatcher.stats().workers


@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
def test_an_exception_of_a_signal_handler_ends_a_drain(dispatcher, processes, receiver, fast):
    receiver.answer(Answer(hang=True))
    dispatcher.emit("chat", "x", 1)
    process = processes(
        PATIENT
        + ("" if fast else "sys.modules['uvloop'] = None\n")
        + """
import signal, time
class SoftLimit(Exception): pass
def limit(_, frame):
    # An exception in a callback of asyncio is reported there, and is not passed on.
    if sys.modules.get("uvloop") or frame.f_code.co_name == "select":
        raise SoftLimit
    signal.setitimer(signal.ITIMER_REAL, 0.02)
signal.signal(signal.SIGUSR1, limit)
signal.signal(signal.SIGALRM, limit)
print("ready", flush=True)
try:
    dispatcher.drain(timeout=90)
except SoftLimit:
    print("raised")
"""
    )
    receiver.wait_for(1, timeout=30)
    process.send_signal(signal.SIGUSR1)
    # A graceful end would take 90 s.
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "ready\nraised\n"), errors
    assert dispatcher.stats().in_flight == 0
    assert dispatcher.drain().delivered == 1


# Threads.


def test_all_works_in_a_thread_that_outlives_the_main_thread(dispatcher, processes, receiver):
    process = processes(
        """
import asyncio, threading

def go_on():
    threading.main_thread().join()
    dispatcher.emit("chat", "x", 1)
    print(dispatcher.drain().delivered)
    asyncio.run(dispatcher.aemit("chat", "x", 2))
    print(asyncio.run(dispatcher.astats()).in_flight)
    worker = Worker(dispatcher)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    while not dispatcher.log.deliveries(state="delivered", limit=2).items[1:]:
        pass
    worker.stop()
    thread.join()
    print("ended")

threading.Thread(target=go_on).start()
"""
    )
    receiver.wait_for(2, timeout=30)
    out, errors = process.communicate(timeout=30)
    assert (out, errors, process.returncode) == ("1\n0\nended\n", "", 0)


@pytest.mark.parametrize(
    "emit", ['dispatcher.emit("chat", "x", 1)', 'asyncio.run(dispatcher.aemit("chat", "x", 1))'], ids=["emit", "aemit"]
)
def test_the_first_emit_may_come_as_the_process_ends(dispatcher, processes, emit):
    process = processes(
        f"""
import asyncio, atexit
from unihooks.exceptions import StoreError

def last():
    try:
        print("stored", {emit}.id)
    except StoreError as error:
        print("refused", error)

atexit.register(last)
"""
    )
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    told, _, text = out.strip().partition(" ")
    assert [event.id for event in dispatcher.log.events()] == ([text] if told == "stored" else [])


@pytest.mark.parametrize(
    "script",
    [
        "dispatcher.drain()",
        "with dispatcher.running():\n    while not delivered(): gevent.sleep(0.01)",
        "with dispatcher.running():\n    while not delivered(): dispatcher.drain(); show()",
        "calls = [gevent.spawn(dispatcher.drain) for _ in range(3)]\ngevent.joinall(calls, raise_error=True)",
    ],
    ids=["drain", "running", "drain and console beside it", "drains at once"],
)
def test_green_threads_go_on_beside_a_worker(dispatcher, processes, receiver, script):
    pytest.importorskip("gevent")
    dispatcher.emit("chat", "x", 1)
    process = processes(
        f"""
import gevent
ticks = []
def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.01)
gevent.spawn(tick)
def delivered():
    return dispatcher.log.deliveries(state="delivered")
def show():
    from unihooks.console import Viewer, create_console, wsgi
    environ = {{"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.input": None}}
    console = wsgi(create_console(dispatcher, authenticate=lambda request: Viewer("default")))
    list(console(environ, lambda status, headers: status == "200 OK" or print(status)))
{script}
print("ended", len(ticks) > 1)
""",
        before="from gevent import monkey; monkey.patch_all()",
    )
    out, errors = process.communicate(timeout=30)
    assert (out, process.returncode) == ("ended True\n", 0), errors
    assert len(receiver.requests) == 1


def test_a_look_at_the_store_that_has_begun_ends_before_the_worker(held, monkeypatch):
    # It would reopen the store after the host has closed it.
    store = MemoryStore()
    monkeypatch.setattr(store, "peek", lambda: None)
    with Dispatcher(store) as dispatcher:
        looking = held(store, "work")
        with dispatcher.running():
            assert looking.answered.wait(10)
            threading.Timer(0.1, looking.may_go.set).start()
        assert looking.has_ended
