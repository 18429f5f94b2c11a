from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from waiting import await_for, wait_for

from unihooks import JobState, Limits, PayloadMapping, RetryPolicy
from unihooks.exceptions import InvalidArgument, LimitReached, NotFound

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def missed(host, count, **fields):
    """Return an active webhook that has missed events."""
    webhook = host.webhook(active=False, **fields)
    tenant = fields.get("tenant", "default")
    host.dispatcher.emit_many([("chat", "message.received", {"n": n}) for n in range(count)], tenant=tenant)
    host.dispatcher.drain()
    return host.dispatcher.webhooks.activate(webhook.id, tenant=tenant)


def failed(host, count, **fields):
    """Return a webhook whose deliveries have failed for good, to an endpoint that works again."""
    webhook = host.webhook(**fields)
    host.receiver.always(500)
    host.dispatcher.emit_many([("chat", "message.received", {"n": n}) for n in range(count)])
    host.dispatcher.drain()
    host.receiver.always(204)
    return webhook


@pytest.fixture
def without_retries(new_dispatcher, host):
    host.dispatcher = new_dispatcher(retries=RetryPolicy.from_delays([]))
    return host


def test_a_job_waits_for_a_worker_and_drain_does_it(host):
    webhook = missed(host, 20)
    job = host.dispatcher.jobs.recover(webhook.id, since=LONG_AGO)
    assert (job.state, job.total, job.done) == (JobState.PENDING, 20, 0)
    assert host.received() == []
    assert host.dispatcher.drain().delivered == 20
    ended = host.dispatcher.jobs.get(job.id)
    assert (ended.state, ended.done, ended.made, ended.total) == (JobState.DONE, 20, 20, 20)
    assert len({one.headers["webhook-id"] for one in host.received()}) == len(host.received()) == 20


def test_a_drain_does_every_slice_until_no_job_is_left(host):
    webhooks = {tenant: missed(host, 1_100, tenant=tenant) for tenant in ("a", "b")}
    for tenant, webhook in webhooks.items():
        host.dispatcher.jobs.recover(webhook.id, tenant=tenant, since=LONG_AGO)
    assert host.dispatcher.drain(timeout=120).delivered == 2_200
    assert {host.dispatcher.jobs.list(tenant=one)[0].state for one in ("a", "b")} == {JobState.DONE}


def test_a_drain_without_jobs_asks_for_none(host, monkeypatch):
    asked = []
    monkeypatch.setattr(type(host.dispatcher.settings.store), "advance_jobs", lambda *_, **__: asked.append(1))
    host.webhook()
    host.emit()
    assert (host.dispatcher.drain().delivered, asked) == (1, [])


def test_a_worker_that_runs_does_a_job_at_once(host):
    webhook = missed(host, 30)
    with host.dispatcher.running():
        job = host.dispatcher.jobs.recover(webhook.id, since=LONG_AGO)
        wait_for(lambda: host.dispatcher.jobs.get(job.id).state is JobState.DONE)
        host.receiver.wait_for(30, timeout=30)
        again = host.dispatcher.jobs.recover(webhook.id, since=LONG_AGO)
        wait_for(lambda: host.dispatcher.jobs.get(again.id).state is JobState.DONE)
    assert (host.dispatcher.jobs.get(again.id).made, len(host.received())) == (0, 30)


def test_a_job_that_waited_is_found_by_a_worker_that_starts(host):
    webhook = missed(host, 3)
    job = host.dispatcher.jobs.recover(webhook.id, since=LONG_AGO)
    with host.dispatcher.running():
        wait_for(lambda: host.dispatcher.jobs.get(job.id).state is JobState.DONE)


def test_a_recovery_is_of_a_period(host):
    webhook = missed(host, 2)
    host.clock.advance(60)
    middle = host.clock.now
    missed(host, 3, subscriptions=[])
    host.clock.advance(60)
    jobs = host.dispatcher.jobs
    assert jobs.recover(webhook.id, since=middle - timedelta(seconds=60), until=middle).total == 2
    assert jobs.recover(webhook.id, since=middle - timedelta(seconds=60)).total == 5


def test_a_replay_covers_the_deliveries_that_match_the_filters(without_retries):
    host = without_retries
    webhook = failed(host, 4)
    event = host.emit()
    host.dispatcher.drain()
    job = host.dispatcher.jobs.replay(webhook_id=webhook.id, state="failed")
    assert (job.kind, job.total, job.webhook_id) == ("replay", 4, webhook.id)
    host.dispatcher.drain()
    assert host.dispatcher.jobs.get(job.id).made == 4
    assert {one.replay_of for one in host.deliveries(event_id=event.id)} == {None}


@pytest.mark.parametrize("rendering, body", [("sent", b'{"a":0}'), ("today", b'{"b":0}')])
def test_a_replay_sends_the_original_body_or_todays_body(without_retries, rendering, body):
    host = without_retries
    webhook = failed(host, 1, mapping=PayloadMapping(rename={"n": "a"}))
    host.dispatcher.webhooks.update(webhook.id, mapping=PayloadMapping(rename={"n": "b"}))
    host.dispatcher.jobs.replay(state="failed", rendering=rendering)
    host.dispatcher.drain()
    assert [one.body for one in host.received()] == [b'{"a":0}', body]


def test_a_job_is_stopped(host):
    webhook = missed(host, 5)
    job = host.dispatcher.jobs.recover(webhook.id, since=LONG_AGO)
    stopped = host.dispatcher.jobs.stop(job.id)
    assert (stopped.state, stopped.reason) == (JobState.STOPPED, "stopped by hand")
    assert host.dispatcher.drain().delivered == 0
    assert host.dispatcher.jobs.stop(job.id) == stopped


def test_jobs_are_paged_newest_first(new_dispatcher, host):
    dispatcher = new_dispatcher(limits=Limits(jobs_per_tenant=5))
    made = [dispatcher.jobs.replay().id for _ in range(5)][::-1]
    first = dispatcher.jobs.list(limit=3)
    assert [one.id for one in first] == made[:3]
    assert [one.id for one in dispatcher.jobs.list(limit=3, cursor=first.next)] == made[3:]


def test_a_tenant_has_two_unfinished_jobs_at_most(host):
    for _ in range(2):
        host.dispatcher.jobs.replay()
    with pytest.raises(LimitReached, match="2 unfinished jobs") as raised:
        host.dispatcher.jobs.replay()
    assert raised.value.name == "jobs_per_tenant"
    host.dispatcher.jobs.replay(tenant="other")
    host.dispatcher.drain()
    assert host.dispatcher.jobs.replay().state is JobState.PENDING


def test_a_wrong_argument_is_refused_and_nothing_is_stored(host):
    jobs, webhook = host.dispatcher.jobs, host.webhook()
    for name, call in {
        "webhook_id": lambda: jobs.recover("wh_unknown", since=LONG_AGO),
        "since": lambda: jobs.recover(webhook.id, since="yesterday"),
        "until": lambda: jobs.recover(webhook.id, since=LONG_AGO, until=datetime(2026, 1, 1)),  # noqa: DTZ001
        "tenant": lambda: jobs.recover(webhook.id, tenant="", since=LONG_AGO),
        "rendering": lambda: jobs.replay(rendering="tomorrow"),
        "state": lambda: jobs.replay(state="lost"),
        "colour": lambda: jobs.replay(colour="red"),
        "job_id": lambda: jobs.get("job_unknown"),
    }.items():
        with pytest.raises((NotFound, InvalidArgument)) as raised:
            call()
        assert raised.value.name == name
    with pytest.raises(NotFound):
        jobs.recover(webhook.id, tenant="other", since=LONG_AGO)
    with pytest.raises(NotFound):
        jobs.replay(webhook_id="wh_unknown")
    assert list(jobs.list()) == list(jobs.list(tenant="other")) == []


def test_a_period_that_ends_before_it_begins_is_refused(host):
    webhook = host.webhook()
    with pytest.raises(InvalidArgument, match="until must not be before since") as raised:
        host.dispatcher.jobs.recover(webhook.id, since=LONG_AGO, until=LONG_AGO - timedelta(microseconds=1))
    assert raised.value.name == "until"
    assert list(host.dispatcher.jobs.list()) == []
    assert host.dispatcher.jobs.recover(webhook.id, since=LONG_AGO, until=LONG_AGO).total == 0


@pytest.mark.parametrize("limits", [{"jobs_per_tenant": 0}, {"job_deliveries_per_second": 0}])
def test_limits_of_jobs_are_checked(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        Limits(**limits)


def test_a_rate_is_kept_by_drains_too(new_dispatcher, host):
    dispatcher = host.dispatcher = new_dispatcher(limits=Limits(job_deliveries_per_second=10))
    webhook = missed(host, 25)
    job = dispatcher.jobs.recover(webhook.id, since=LONG_AGO)
    made = []
    for _ in range(3):
        dispatcher.drain(timeout=0.5)
        made.append(dispatcher.jobs.get(job.id).made)
        host.clock.advance(1)
    assert made == [10, 20, 25]


def test_a_job_is_named_by_its_id(host):
    job = host.dispatcher.jobs.replay()
    assert host.dispatcher.jobs.get(id=job.id) == job
    assert host.dispatcher.jobs.stop(id=job.id).state is JobState.STOPPED


async def test_every_verb_has_an_awaitable_twin(host):
    webhook = missed(host, 3)
    jobs = host.dispatcher.jobs
    one = await jobs.arecover(webhook.id, since=LONG_AGO)
    other = await jobs.areplay(state="failed")
    assert await jobs.aget(one.id) == one
    assert [job.id for job in await jobs.alist()] == [other.id, one.id]
    assert (await jobs.astop(other.id)).state is JobState.STOPPED
    async with host.dispatcher.arunning():
        await await_for(lambda: jobs.get(one.id).state is JobState.DONE)
