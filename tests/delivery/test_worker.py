from __future__ import annotations

import asyncio
import math
import signal
import sys
import threading
from collections import Counter
from datetime import UTC, datetime

import pytest
from processes import ended
from waiting import wait_for

from unihooks import DeliveryState, Dispatcher, EventSubscription, Webhook, Worker
from unihooks.stores import SQLiteStore
from unihooks.testing import Answer

# Processes.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_finishes_requests_in_flight_releases_the_rest_and_exits_0(dispatcher, processes, receiver, number):
    receiver.answer(Answer(204, delay=0.5))
    process = processes("Worker(dispatcher, per_endpoint=1).run()")
    dispatcher.emit_many([("chat", "x", each) for each in range(10)])
    receiver.wait_for(1, timeout=30)
    process.send_signal(number)

    status, told = ended(process)
    assert status == 0
    assert told.startswith("finishing 1 request, up to 22 s; again to stop at once")
    states = Counter(delivery.state for delivery in dispatcher.log.deliveries())
    assert states[DeliveryState.DELIVERED] == len(receiver.requests) < 10
    # The rest is due at once, without waiting for a lease to end.
    assert dispatcher.drain().delivered == 10 - states[DeliveryState.DELIVERED]
    assert Counter(request.json() for request in receiver.requests) == Counter(range(10))
    assert not dispatcher.stats().workers


def test_two_worker_processes_share_one_file_and_send_everything_once(dispatcher, processes, receiver):
    for _ in range(2):
        processes("Worker(dispatcher).run()")
    for number in range(200):
        dispatcher.emit("chat", "x", number)
    receiver.wait_for(200, timeout=30)
    assert Counter(request.json() for request in receiver.requests) == Counter(range(200))


def test_an_event_wakes_the_worker_of_another_process(dispatcher, processes, receiver):
    processes("Worker(dispatcher).run()")
    for number in range(3):
        dispatcher.emit("chat", "x", number)
        receiver.wait_for(number + 1, timeout=30)


def test_a_dispatcher_made_and_used_before_a_fork_works_in_the_children(dispatcher, processes, receiver):
    process = processes("""
dispatcher.emit("chat", "x", "before")
dispatcher.drain()
children = []
for number in range(2):
    child = os.fork()
    if child == 0:
        dispatcher.emit("chat", "x", f"child {number}")
        with dispatcher.running():
            pass
        dispatcher.drain()
        dispatcher.close()
        os._exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
dispatcher.emit("chat", "x", "after")
dispatcher.drain()
""")
    assert ended(process) == (0, "")
    assert {request.json() for request in receiver.requests} == {"before", "child 0", "child 1", "after"}
    assert len({event.id for event in dispatcher.log.events()}) == 4


def test_running_belongs_to_the_process_that_entered_it(dispatcher, processes, receiver):
    process = processes("""
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside a thread
with dispatcher.running():
    dispatcher.emit("chat", "x", "parent")
    child = os.fork()
    if child == 0:
        dispatcher.emit("chat", "x", "child")
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
dispatcher.drain()
""")
    assert ended(process) == (0, "")
    assert Counter(request.json() for request in receiver.requests) == {"parent": 1, "child": 1}


# Threads and loops.


def test_running_delivers_while_the_block_runs_and_ends_in_order(host):
    host.webhook()
    host.receiver.answer(Answer(204, delay=0.2))
    with host.dispatcher.running(concurrency=4, per_endpoint=1) as worker:
        assert isinstance(worker, Worker)
        host.emit()
        host.receiver.wait_for(1)
    assert host.only().state is DeliveryState.DELIVERED
    assert not [thread for thread in threading.enumerate() if thread.name == "unihooks-worker"]


def test_running_ends_when_the_block_raises(host):
    with pytest.raises(KeyError), host.dispatcher.running():
        raise KeyError
    assert not [thread for thread in threading.enumerate() if thread.name == "unihooks-worker"]


async def test_serve_works_inside_the_hosts_loop_until_it_is_stopped(host):
    host.webhook()
    worker = Worker(host.dispatcher)
    serving = asyncio.create_task(worker.serve())
    await host.dispatcher.aemit("chat", "x", 1)
    await host.receiver.await_for(1)
    worker.stop()
    await serving
    assert host.only().state is DeliveryState.DELIVERED


async def test_serve_that_is_cancelled_ends_in_order(host):
    host.webhook()
    host.receiver.answer(Answer(204, delay=0.2))
    serving = asyncio.create_task(Worker(host.dispatcher).serve())
    await host.dispatcher.aemit("chat", "x", 1)
    await host.receiver.await_for(1)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert host.only().state is DeliveryState.DELIVERED
    assert not host.dispatcher.stats().workers


async def test_a_worker_that_was_stopped_before_it_started_does_nothing(host):
    host.webhook()
    host.emit()
    worker = Worker(host.dispatcher)
    worker.stop()
    await worker.serve()
    worker.stop()
    assert not host.received()


async def test_a_running_worker_is_not_started_twice_but_can_be_restarted(host):
    host.webhook()
    worker = Worker(host.dispatcher)
    for number in range(2):
        serving = asyncio.create_task(worker.serve())
        await host.dispatcher.aemit("chat", "x", number)
        await host.receiver.await_for(number + 1)
        with pytest.raises(RuntimeError, match="running already"):
            await worker.serve()
        worker.stop()
        await serving


def test_requests_that_outlast_the_grace_are_cancelled_and_released(new_dispatcher, host):
    dispatcher = new_dispatcher(deadline=60)
    host.webhook()
    host.receiver.answer(Answer(hang=True))
    worker = Worker(dispatcher)
    # Shorter than allowed, to be quick.
    object.__setattr__(worker._limits, "grace", 1.5)
    thread = threading.Thread(target=worker.run)
    thread.start()
    host.emit()
    host.receiver.wait_for(1, timeout=30)
    worker.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert host.only().attempt_count == 0
    assert dispatcher.drain().delivered == 1


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_everything_works_with_and_without_uvloop(new_dispatcher, host, monkeypatch, kind):
    if kind == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    loops = []

    async def note(_delivery):
        loops.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

    dispatcher = new_dispatcher(on_delivery=note)
    webhook = host.webhook()
    host.emit()
    assert dispatcher.drain().delivered == 1
    with dispatcher.running():
        host.emit()
        dispatcher.wake()
        host.receiver.wait_for(2)
    assert dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)[0].succeeded
    assert loops == [kind, kind]


# Limits.


def test_lease_and_grace_follow_a_shorter_deadline(new_dispatcher):
    limits = Worker(new_dispatcher(deadline=2))._limits
    assert (limits.lease, limits.grace) == (12, 4)
    assert (Worker(new_dispatcher())._limits.lease, Worker(new_dispatcher())._limits.grace) == (30, 22)


def test_one_endpoint_cannot_have_more_than_all(new_dispatcher):
    assert Worker(new_dispatcher(), concurrency=4)._limits.per_endpoint == 4


@pytest.mark.parametrize(
    "bad", [{"lease": 24.9}, {"grace": 21.9}, {"concurrency": 0}, {"per_endpoint": 0}], ids=lambda bad: next(iter(bad))
)
def test_limits_that_make_no_sense_are_refused(new_dispatcher, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Worker(new_dispatcher(), **bad)
    Worker(new_dispatcher(), lease=25, grace=22, concurrency=1, per_endpoint=1)


def test_worker_that_may_take_for_ever_to_end_ends(new_dispatcher):
    with new_dispatcher().running(lease=math.inf, grace=math.inf) as worker:
        assert worker.grace < threading.TIMEOUT_MAX


def test_no_more_than_concurrency_are_in_flight(new_dispatcher):
    import httpx

    running, most, three = [0], [0], asyncio.Event()

    async def answer(_request):
        running[0] += 1
        most[0] = max(most[0], running[0])
        if running[0] == 3:
            three.set()
        await three.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        running[0] -= 1
        return httpx.Response(204)

    dispatcher = new_dispatcher(transport=httpx.MockTransport(answer), targets=None)
    urls = [f"https://{number}.test/" for number in range(10)]
    webhook = Webhook(name="n", endpoints=urls, subscriptions=[EventSubscription("chat", "*")], status="active")
    dispatcher.webhooks.add(webhook)
    with dispatcher.running(concurrency=3):
        events = dispatcher.emit_many([("chat", "x", number) for number in range(10)])
        wait_for(lambda: len(dispatcher.log.deliveries(state="delivered", limit=250)) == 10 * len(events))
    assert most[0] == 3


def test_more_endpoints_that_hang_than_there_are_places_do_not_hold_up_a_healthy_one(new_dispatcher):
    import httpx

    hanging, released = [], []

    async def answer(request):
        if request.url.host != "ok.test" and not released:
            hanging.append(asyncio.get_running_loop().create_future())
            await hanging[-1]
        return httpx.Response(204)

    dispatcher = new_dispatcher(transport=httpx.MockTransport(answer), targets=None)

    def add(event_type, *urls):
        subscriptions = [EventSubscription("chat", event_type)]
        dispatcher.webhooks.add(Webhook(name="n", endpoints=urls, subscriptions=subscriptions, status="active"))

    def await_delivered(count):
        wait_for(lambda: len(dispatcher.log.deliveries(state="delivered")) == count)

    add("ok", "https://ok.test/")
    add("hang", *[f"https://{number}.test/" for number in range(20)])
    with dispatcher.running(concurrency=8, per_endpoint=8):
        dispatcher.emit("chat", "ok", 0)
        await_delivered(1)
        dispatcher.emit_many([("chat", "hang", number) for number in range(3)])
        wait_for(lambda: len(hanging) == 7)
        dispatcher.emit_many([("chat", "ok", number) for number in range(9)])
        await_delivered(10)
        assert len(hanging) < 8
        released.append(True)
        for one in hanging:
            one.get_loop().call_soon_threadsafe(one.set_result, None)


def test_a_clock_that_fails_for_a_while_does_not_end_the_worker(receiver, tmp_path):
    broken, asked = threading.Event(), []

    def clock():
        if broken.is_set():
            asked.append(threading.current_thread())
            raise RuntimeError("no time")
        return datetime.now(UTC)

    store = SQLiteStore(tmp_path / "clock.db")
    options = {"targets": receiver.targets, "ssl_context": receiver.ssl_context, "clock": clock}
    with Dispatcher(store, **options) as dispatcher, dispatcher.running():
        subscriptions = [EventSubscription("chat", "*")]
        dispatcher.webhooks.add(
            Webhook(name="n", endpoints=[receiver.url_for("/in")], subscriptions=subscriptions, status="active")
        )
        broken.set()
        wait_for(lambda: len(asked) > 1)
        broken.clear()
        dispatcher.emit("chat", "x", {})
        receiver.wait_for(1)


def test_a_worker_thread_that_ends_says_so(dispatcher, caplog, monkeypatch):
    def run(worker):
        raise SystemExit

    monkeypatch.setattr(Worker, "run", run)
    with dispatcher.running():
        pass
    assert "the worker of this process has ended" in caplog.text
