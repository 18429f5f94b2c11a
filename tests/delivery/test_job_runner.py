from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from attrs import evolve
from waiting import wait_for

from unihooks import JobState, Limits
from unihooks._delivery import job_runner
from unihooks.abc import ALONE, Advanced

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def recovery(host):
    """Give a job that recovers 40 events."""
    webhook = host.webhook(active=False)
    host.dispatcher.emit_many([("chat", "message.received", {"n": n}) for n in range(40)])
    host.dispatcher.drain()
    host.dispatcher.webhooks.activate(webhook.id)
    return host.dispatcher.jobs.recover(webhook.id, since=LONG_AGO)


def test_a_slice_that_fails_is_tried_again(host, recovery, failing, monkeypatch, caplog):
    monkeypatch.setattr(job_runner, "_LONGEST_BREAK", 0.01)
    failing(host.dispatcher.settings.store, "advance_jobs", times=3)
    with host.dispatcher.running():
        wait_for(lambda: host.dispatcher.jobs.get(recovery.id).state is JobState.DONE)
        host.receiver.wait_for(40, timeout=30)
    told = [one.message for one in caplog.records if "a slice of a job failed" in one.message]
    assert len(told) == 3


def test_a_worker_ends_in_the_middle_of_a_job_and_another_continues(host, recovery, monkeypatch):
    store, begun = host.dispatcher.settings.store, threading.Event()
    advance = type(store).advance_jobs

    def slowly(self, *, most, **options):
        advanced = advance(self, most=min(most, 3), **options)
        begun.set()
        return advanced

    monkeypatch.setattr(type(store), "advance_jobs", slowly)
    with host.dispatcher.running():
        assert begun.wait(30)
    between = host.dispatcher.jobs.get(recovery.id)
    assert (between.state, between.done) == (JobState.RUNNING, between.made)
    with host.dispatcher.running():
        wait_for(lambda: host.dispatcher.jobs.get(recovery.id).state is JobState.DONE)
        host.receiver.wait_for(40, timeout=30)
    assert len(host.received()) == len({one.headers["webhook-id"] for one in host.received()}) == 40


class Paces:
    """A store that says how much is asked of it, and that its slices take a time."""

    def __init__(self, seconds, slices):
        self.seconds, self.left, self.asked = seconds, slices, []

    def now(self):
        return 0

    def advance_jobs(self, *, most, rate, patient):
        self.asked.append((most, rate, patient))
        self.left -= 1
        return Advanced(made=most, more=self.left > 0)


@pytest.mark.parametrize(
    "seconds, rate, most, pause",
    [
        (0.0, None, 3, 0.01),
        (0.1, None, 90, 0.2),
        (9.0, None, 500, 18.0),
        (0.0, 5_000, 50, 0.01),
        (0.0, 1, 1, 0.01),
    ],
)
async def test_slices_leave_time_to_others_and_make_more_if_each_takes_long(  # noqa: PLR0917 - pytest passes names
    host, monkeypatch, seconds, rate, most, pause
):
    store, clock, slept = Paces(seconds, 3), [0.0], []
    settings = evolve(host.dispatcher.settings, store=store, limits=Limits(job_deliveries_per_second=rate))
    sleep = asyncio.sleep

    async def offload(function):
        clock[0] += store.seconds
        return function()

    async def noting(slept_for):
        slept.append(slept_for)
        await sleep(0)

    monkeypatch.setattr(job_runner.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(job_runner.asyncio, "sleep", noting)
    runner = job_runner.JobRunner(settings, offload, _State(), _Maintenance())
    runner.saw(unfinished=True)
    assert runner._task is None
    runner.start()
    runner.saw(unfinished=True)
    await runner._task
    assert [asked for asked, _, _ in store.asked] == [1, most, most]
    assert slept[:2] == [pytest.approx(pause)] * 2
    assert {(given, patient) for _, given, patient in store.asked} == {(rate, True)}


class _State:
    def due_by(self, at):
        pass

    def moved(self):
        pass


class _Maintenance:
    share = ALONE
