from __future__ import annotations

import sys
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from math import inf
from types import SimpleNamespace

import pytest

from unihooks._base import queue_thread
from unihooks._base.per_process import inside
from unihooks._base.queue_thread import OneShot, QueueThread
from unihooks.exceptions import StoreError

OUTCOME_UNKNOWN = "a thread of the store ended.* it is not known whether this was stored"
PATIENCE = 20


@pytest.mark.parametrize("early", [True, False])
def test_a_waiter_gets_the_result_whenever_it_comes(early):
    promise = OneShot()
    keeper = threading.Thread(target=promise.set_result, args=([1, 2],))
    if early:
        keeper.start()
        keeper.join()
        assert promise.result() == [1, 2]
    else:
        threading.Timer(0, keeper.start).start()
        assert promise.result() == [1, 2]
        keeper.join()


def test_an_error_is_raised_where_it_is_waited_for():
    promise = OneShot()
    error = ZeroDivisionError("of the work")
    promise.set_exception(error)
    with pytest.raises(ZeroDivisionError) as caught:
        promise.result()
    assert caught.value is error


def test_an_error_does_not_keep_what_was_promised_alive():
    promise = OneShot()
    promise.set_exception(ZeroDivisionError())
    try:
        promise.result()
    except ZeroDivisionError as error:
        inside = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)][1:]
    assert inside == [{"ends_at": inf}]


class Numbers(QueueThread):
    """A thread that returns each call's number, or raises the given error instead."""

    is_closed = False

    def __init__(self):
        super().__init__("unihooks-numbers")
        self.may_work = threading.Event()
        self.may_work.set()

    def put(self, waiter, *, number=0):
        assert self.add(SimpleNamespace(waiter=waiter, number=number))
        return waiter

    def _work(self):
        self.may_work.wait(PATIENCE)
        while self._take(self._lines[0]):
            call = self._taken[-1]
            if isinstance(call.number, BaseException):
                raise call.number
            call.waiter.set_result(call.number)

    def _close(self):
        self.is_closed = True


class Deaf(OneShot):
    """A waiter that raises in the thread that notifies it."""

    def set_exception(self, error):
        if threading.current_thread().name == "unihooks-numbers":
            raise SystemExit
        super().set_exception(error)


@pytest.fixture(autouse=True)
def short_looks(monkeypatch):
    monkeypatch.setattr(queue_thread, "_LOOK_SECONDS", 0.05)


@pytest.fixture
def numbers():
    made = Numbers()
    yield made
    made.may_work.set()
    made.stop()


def in_a_thread(call):
    """Call in a thread; return a future of the result."""
    pool = ThreadPoolExecutor(1)
    done = pool.submit(call)
    pool.shutdown(wait=False)
    return done


def test_calls_are_made_in_order_by_a_thread_that_ends_when_asked(numbers):
    assert [numbers.put(OneShot(), number=one).result() for one in range(3)] == [0, 1, 2]
    assert numbers.put(Future(), number=3).result(PATIENCE) == 3
    numbers.stop()
    assert numbers.is_closed
    assert not numbers.add(SimpleNamespace(waiter=OneShot()))


def test_an_unused_queue_is_closed_without_a_thread(numbers):
    numbers.stop()
    assert numbers.is_closed
    assert not numbers._thread.is_alive()


def test_cancelled_calls_are_left_out(numbers):
    numbers.may_work.clear()
    first, cancelled, last = numbers.put(OneShot(), number=1), numbers.put(Future()), numbers.put(OneShot(), number=3)
    assert cancelled.cancel()
    numbers.may_work.set()
    assert (first.result(), last.result()) == (1, 3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_that_ends_the_thread_reaches_all_waiters(numbers):
    numbers.may_work.clear()
    waiting = [numbers.put(OneShot(), number=SystemExit(3)), numbers.put(OneShot()), numbers.put(Future())]
    numbers.may_work.set()
    for one in waiting:
        with pytest.raises(StoreError, match=OUTCOME_UNKNOWN) as caught:
            one.result()
        assert isinstance(caught.value.__cause__, SystemExit)


def test_nobody_waits_for_a_thread_that_is_gone_before_it_could_work(numbers, monkeypatch):
    monkeypatch.setattr(numbers._thread, "run", lambda: None)
    waiting = in_a_thread(numbers.put(OneShot()).result)
    with pytest.raises(StoreError, match=OUTCOME_UNKNOWN):
        waiting.result(PATIENCE)
    assert not numbers.add(SimpleNamespace(waiter=OneShot()))


def test_a_future_is_told_at_the_next_use_of_a_thread_that_is_gone(numbers, monkeypatch):
    monkeypatch.setattr(numbers._thread, "run", lambda: None)
    waiting = numbers.put(Future())
    numbers._thread.join()
    assert not numbers.add(SimpleNamespace(waiter=Future()))
    with pytest.raises(StoreError, match=OUTCOME_UNKNOWN):
        waiting.result(PATIENCE)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_if_a_second_exception_ends_the_thread_that_reports_the_first(numbers):
    numbers.may_work.clear()
    numbers.put(OneShot(), number=SystemExit())
    waiting = [in_a_thread(numbers.put(kind()).result) for kind in (Deaf, OneShot)]
    future = numbers.put(Future())
    numbers.may_work.set()
    for one in waiting:
        with pytest.raises(StoreError, match=OUTCOME_UNKNOWN):
            one.result(PATIENCE)
    with pytest.raises(StoreError, match=OUTCOME_UNKNOWN):
        future.result(PATIENCE)
    in_a_thread(numbers.stop).result(PATIENCE)


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), KeyboardInterrupt()], ids=repr)
def test_a_thread_that_cannot_be_started_is_an_error_and_takes_no_more(numbers, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(numbers._thread, "start", fail)
    with pytest.raises(StoreError if isinstance(error, RuntimeError) else KeyboardInterrupt):
        numbers.put(OneShot())
    assert not inside.is_busy
    assert not numbers.add(SimpleNamespace(waiter=OneShot()))
    in_a_thread(numbers.stop).result(PATIENCE)


def test_calls_of_the_thread_itself_and_late_calls_are_refused(numbers, monkeypatch):
    numbers.put(OneShot()).result()
    monkeypatch.setattr(inside, "is_busy", True)
    with pytest.raises(StoreError, match="interrupted the store's own work"):
        numbers.put(OneShot())
    monkeypatch.setattr(inside, "is_busy", False)
    monkeypatch.setattr(sys, "is_finalizing", lambda: True)
    with pytest.raises(StoreError, match="too late"):
        numbers.put(OneShot())
