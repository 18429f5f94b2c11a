from __future__ import annotations

from collections import Counter
from datetime import timedelta
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unihooks import BulkResult, DeliveryState, PayloadMapping, Webhook
from unihooks._base.times import from_us
from unihooks._contract.activity import (
    BOUNDS_MS,
    HOUR,
    SLICE,
    ActivityRows,
    EndpointRow,
    HourRow,
    activity,
    bucket,
    hour_counts,
    percentile,
    report,
    up_to,
)
from unihooks.exceptions import InvalidArgument, NotFound

NOW = 1_000 * HOUR + HOUR // 2
NOBODYS = "wh_0000000000000000000000NONE"


# Pure.


def test_hours_in_which_nothing_was_counted_are_there_too():
    counts = hour_counts([HourRow(999, 3, 2, 1)], NOW - 2 * HOUR, NOW)
    assert [(one.hour, one.attempts, one.delivered, one.failed) for one in counts] == [
        (from_us(998 * HOUR), 0, 0, 0),
        (from_us(999 * HOUR), 3, 2, 1),
        (from_us(1_000 * HOUR), 0, 0, 0),
    ]


def test_activity_sums_up_its_hours():
    within = counted([1.5, 1.5, 100, 100])
    endpoints = [EndpointRow("a", 4, 4, 0, 400_000, within), EndpointRow("b", 4, 2, 2, 600_000, within)]
    found = activity(ActivityRows([HourRow(999, 4, 4, 0), HourRow(1_000, 4, 2, 2)], endpoints), NOW - HOUR, NOW, 20_000)
    assert (found.attempts, found.delivered, found.failed, found.success_share) == (8, 6, 2, 0.75)
    assert (found.mean_ms, found.p50_ms, found.p95_ms) == (125, pytest.approx(1.68, 0.01), pytest.approx(107.6, 0.01))


def test_a_report_has_a_count_for_each_step_and_the_figures_of_each_endpoint():
    rows = [HourRow(999, 2, 1, 1, 11), HourRow(1_000, 3, 3, 0, 0), HourRow(1_000, 1, 0, 1, 6)]
    endpoints = [EndpointRow("a", 4, 4, 0, 400_000, counted([1.5, 1.5, 100, 100])), EndpointRow("b", 2, 0, 2)]
    found = report(ActivityRows(rows, endpoints), NOW - 11 * SLICE, NOW, SLICE, 20_000)
    counts = [(one.attempts, one.delivered, one.failed) for one in found.steps]
    assert len(counts) == 12
    assert (counts[4], counts[5], counts[-1]) == ((2, 1, 1), (3, 3, 0), (1, 0, 1))
    assert (found.steps[5].at, found.step) == (from_us(1_000 * HOUR), timedelta(minutes=5))
    assert (found.total.attempts, found.total.success_share) == (6, pytest.approx(2 / 3))
    assert found.endpoints["a"].p95_ms == pytest.approx(107.6, 0.01)
    by_hours = report(ActivityRows(rows, endpoints), NOW - 2 * HOUR, NOW, 2 * HOUR, 20_000)
    assert [one.attempts for one in by_hours.steps] == [2, 4]


def test_nothing_has_no_share_and_no_latency():
    found = activity(ActivityRows([], []), NOW - HOUR, NOW, 20_000)
    assert (found.attempts, found.success_share, found.mean_ms, found.p99_ms) == (0, None, None, None)
    assert len(found.hours) == 2


# Through the dispatcher.


def test_health_and_activity_show_what_a_webhook_was_sent(host):
    webhook = host.webhook("/good", "/bad", tenant="acme")
    host.receiver.on("/bad").answer(500)
    host.emit(tenant="acme")
    host.dispatcher.drain()

    health = host.dispatcher.webhooks.health([webhook.id, NOBODYS], tenant="acme")
    good, bad = health[webhook.id].endpoints
    assert list(health) == [webhook.id]
    assert (good.failing, good.last_success_at) == (False, host.clock.now)
    assert (bad.failing_since, bad.failures) == (host.clock.now, 1)
    assert bad.next_attempt_at == host.clock.now + timedelta(seconds=60)
    assert (health[webhook.id].hours[-1].attempts, health[webhook.id].last_delivery_at) == (2, host.clock.now)

    found = host.dispatcher.webhooks.activity(webhook.id, tenant="acme", hours=1)
    assert (found.attempts, found.delivered, found.failed, found.success_share) == (2, 1, 1, 0.5)
    assert found.since == host.clock.now - timedelta(hours=1)
    assert 0 < found.p50_ms <= found.p99_ms


def test_another_tenants_webhook_has_neither_health_nor_activity(host):
    webhook = host.webhook(tenant="acme")
    assert host.dispatcher.webhooks.health([webhook.id], tenant="other") == {}
    with pytest.raises(NotFound):
        host.dispatcher.webhooks.activity(webhook.id, tenant="other")


def test_a_report_and_failures_show_what_a_webhook_was_sent(host):
    webhook = host.webhook("/good", "/bad", tenant="acme")
    host.receiver.on("/bad").answer(500)
    host.emit(tenant="acme")
    host.dispatcher.drain()
    good, bad = webhook.endpoints
    for hours, step, steps in (
        (1, timedelta(minutes=5), 12),
        (24, timedelta(hours=1), 24),
        (720, timedelta(days=1), 30),
    ):
        found = host.dispatcher.webhooks.report(webhook.id, tenant="acme", hours=hours, step=step)
        assert len(found.steps) == steps
        assert (found.steps[-1].attempts, found.total.failed) == (2, 1)
        assert (found.endpoints[good.id].success_share, found.endpoints[bad.id].success_share) == (1, 0)
    since = host.clock.now - timedelta(hours=1)
    failures = host.dispatcher.webhooks.failures(webhook.id, tenant="acme", since=since)
    assert [(one.status_code, one.count) for one in failures.by_status] == [(500, 1)]
    for refused in ({"step": timedelta(minutes=5), "hours": 2}, {"step": timedelta(minutes=7), "hours": 1}):
        with pytest.raises(InvalidArgument):
            host.dispatcher.webhooks.report(webhook.id, tenant="acme", **refused)
    with pytest.raises(NotFound):
        host.dispatcher.webhooks.failures(webhook.id, since=since)


@pytest.mark.parametrize("hours", [0, 721, True, "24"])
def test_hours_that_are_none_are_refused(host, hours):
    with pytest.raises(InvalidArgument) as caught:
        host.dispatcher.webhooks.activity(host.webhook().id, hours=hours)
    assert caught.value.name == "hours"


def pages(fetch, **options):
    """Walk to the end and back; return the pages there, and those on the way back."""
    there = [fetch(**options)]
    while there[-1].next:
        there.append(fetch(cursor=there[-1].next, **options))
    back = [there[-1]]
    while back[-1].previous:
        back.append(fetch(cursor=back[-1].previous, **options))
    return there, back[::-1]


@pytest.mark.parametrize(
    "sort, expected", [("newest", "c A B b"), ("oldest", "b B A c"), ("name", "A b B c"), ("health", "c A B b")]
)
def test_webhooks_are_sorted_and_paged_both_ways(host, sort, expected):
    for name in ("b", "B", "A", "c"):
        host.webhook(name=name)
        host.clock.advance(1)
    there, back = pages(host.dispatcher.webhooks.list, sort=sort, limit=1)
    assert " ".join(one.name for page in there for one in page) == expected
    assert [page.items for page in back] == [page.items for page in there]


def test_webhooks_are_narrowed_by_health(host):
    bad = host.webhook("/bad")
    host.receiver.on("/bad").answer(500)
    host.emit()
    host.dispatcher.drain()
    good = host.webhook("/good")
    assert list(host.dispatcher.webhooks.list(health="failing")) == [host.dispatcher.webhooks.get(bad.id)]
    assert list(host.dispatcher.webhooks.list(health="healthy")) == [host.dispatcher.webhooks.get(good.id)]
    assert list(host.dispatcher.webhooks.list(attempted=False)) == [host.dispatcher.webhooks.get(good.id)]
    both = host.dispatcher.webhooks.list(health=["failing", "healthy"], sort="health")
    assert [one.id for one in both] == [bad.id, good.id]


@pytest.mark.parametrize(
    "options", [{"sort": "age"}, {"health": "ill"}, {"attempted": "yes"}, {"sort": "name", "cursor": "bm9uZQ"}]
)
def test_a_listing_that_is_not_offered_is_refused(host, options):
    with pytest.raises(InvalidArgument) as caught:
        host.dispatcher.webhooks.list(**options)
    assert caught.value.name in options


async def test_figures_have_awaitable_twins(host):
    webhook = host.webhook()
    host.emit()
    await host.dispatcher.adrain()
    delivery = host.only()
    assert list(await host.dispatcher.webhooks.ahealth([webhook.id])) == [webhook.id]
    assert (await host.dispatcher.webhooks.aactivity(webhook.id)).attempts == 1
    assert await host.dispatcher.log.acount() == 1
    assert await host.dispatcher.log.abody(delivery.id) == b'{"text":"hi"}'
    assert await host.dispatcher.log.areplay_all() == BulkResult(made=1, more=False)
    assert (await host.dispatcher.aoverview()).stats.due == 1
    assert len(await host.dispatcher.atenants()) == 1


# Counting and replaying what a filter shows.


def failed(host, how_many):
    host.dispatcher = host.new_dispatcher(breaker=None)
    host.receiver.always(500)
    for number in range(how_many):
        host.emit({"n": number})
    for _ in range(3):
        host.dispatcher.drain()
        host.clock.advance(3600)
    host.receiver.always(200)
    host.receiver.clear()
    return host.deliveries(state="failed")


def test_what_a_filter_shows_is_counted_and_replayed(host):
    webhook = host.webhook()
    gave_up = failed(host, 5)
    log = host.dispatcher.log
    filters = {"state": DeliveryState.FAILED, "webhook_id": webhook.id, "until": host.clock.now}
    assert (log.count(**filters), log.count(most=3), log.count(tenant="other")) == (5, 3, 0)
    assert log.replay_all(**filters).made == 5
    host.dispatcher.drain()
    assert sorted(one.json()["n"] for one in host.received()) == list(range(5))
    assert [one.replay_of for one in host.deliveries(state="delivered")] == [one.id for one in gave_up]


def test_a_replay_of_all_does_not_replay_its_own_replays(host, monkeypatch):
    monkeypatch.setattr("unihooks._management.log._BATCH", 2)
    host.webhook()
    failed(host, 5)
    assert host.dispatcher.log.replay_all().made == 5


def test_no_more_are_replayed_than_asked_for(host):
    host.webhook()
    oldest = failed(host, 3)[:2]
    log = host.dispatcher.log
    assert log.replay_all(most=2) == BulkResult(made=2, more=True)
    assert [one.replay_of for one in host.deliveries(state="pending")] == [one.id for one in oldest]
    assert log.replay_all(most=1) == BulkResult(made=1, more=False)


@pytest.mark.parametrize("filters", [{}, {"state": "failed"}])
def test_a_replay_of_all_can_be_repeated(host, filters):
    host.webhook()
    failed(host, 3)
    log = host.dispatcher.log
    assert log.replay_all(**filters) == BulkResult(made=3, more=False)
    assert log.replay_all(**filters) == BulkResult(made=0, more=False)
    host.dispatcher.drain()
    assert log.replay_all(**filters) == BulkResult(made=0, more=False)
    assert len(host.received()) == 3


@pytest.mark.parametrize("verb", ["count", "replay_all"])
def test_filters_of_counts_are_checked(host, verb):
    act = getattr(host.dispatcher.log, verb)
    for wrong in ({"most": 0}, {"state": "lost"}, {"held": "yes"}):
        with pytest.raises(InvalidArgument) as caught:
            act(**wrong)
        assert caught.value.name in wrong


def test_a_body_is_what_was_sent(host):
    host.webhook(mapping=PayloadMapping(rename={"text": "body"}), tenant="acme")
    event = host.emit(tenant="acme")
    host.dispatcher.drain()
    delivery = host.only(tenant="acme")
    assert host.dispatcher.log.body(delivery.id, tenant="acme") == host.receiver.requests[0].body == b'{"body":"hi"}'
    with pytest.raises(NotFound):
        host.dispatcher.log.body(delivery.id)
    host.dispatcher.erase(tenant="acme", event_ids=[event.id])
    assert host.dispatcher.log.body(delivery.id, tenant="acme") == b""


# The operator's view.


def test_an_overview_names_failing_and_slow_endpoints(host):
    bad = host.webhook("/bad", tenant="acme", name="CRM")
    host.receiver.on("/bad").answer(500)
    host.emit(tenant="acme")
    host.dispatcher.drain()
    found = host.dispatcher.overview()
    assert (found.stats.failing_endpoints, found.stats.due) == (1, 0)
    [failing] = found.failing
    assert (failing.tenant, failing.webhook_id, failing.webhook_name) == ("acme", bad.id, "CRM")
    assert (failing.endpoint_id, failing.failures) == (bad.endpoints[0].id, 1)
    [slow] = found.slowest
    assert (slow.endpoint_id, slow.attempts) == (bad.endpoints[0].id, 1)
    assert slow.mean_ms > 0


def test_the_slowest_are_looked_up_once_a_minute(host):
    webhook = host.webhook()
    assert not host.dispatcher.overview().slowest
    host.emit()
    host.dispatcher.drain()
    assert not host.dispatcher.overview().slowest
    host.clock.advance(60)
    assert [one.webhook_id for one in host.dispatcher.overview().slowest] == [webhook.id]


def test_tenants_are_paged_both_ways(host):
    for tenant in ("beta", "alpha", "gamma"):
        host.webhook(tenant=tenant)
    host.dispatcher.webhooks.add(Webhook(name="two", endpoints=[host.receiver.url_for("/x")]), tenant="beta")
    there, back = pages(host.dispatcher.tenants, limit=2)
    assert [(one.tenant, one.webhooks) for page in there for one in page] == [("alpha", 1), ("beta", 2), ("gamma", 1)]
    assert [page.items for page in back] == [page.items for page in there]


# Histograms.

LONGEST = 20_000
DURATIONS = st.lists(st.floats(0, LONGEST).map(lambda ms: round(ms, 3)), min_size=1, max_size=200)
SHARES = st.floats(0, 1)


def counted(durations: list[float]) -> list[int]:
    return up_to(Counter(bucket(round(duration * 1000)) for duration in durations))


def estimate(durations: list[float], share: float) -> float:
    value = percentile(counted(durations), len(durations), share, LONGEST)
    assert value is not None
    return value


@given(DURATIONS)
def test_a_bound_counts_every_duration_that_does_not_exceed_it(durations):
    assert counted(durations) == [sum(one <= bound for one in durations) for bound in BOUNDS_MS]


@given(DURATIONS, SHARES)
def test_an_estimate_lies_in_the_bucket_of_the_true_percentile(durations, share):
    true = sorted(durations)[max(0, ceil(share * len(durations)) - 1)]
    lower = max((bound for bound in BOUNDS_MS if bound < true), default=0)
    upper = min((bound for bound in BOUNDS_MS if bound >= true), default=LONGEST)
    assert lower <= estimate(durations, share) <= upper


@given(st.lists(st.floats(1, 65_000).map(lambda ms: round(ms, 3)), min_size=1, max_size=200), SHARES)
@example([1.0], 0.5)
@example([1.414], 0.5)
@example([1.415], 1)
@example([2.5] * 9 + [19_999.0], 0.95)
def test_an_estimate_is_wrong_by_less_than_a_fifth(durations, share):
    true = sorted(durations)[max(0, ceil(share * len(durations)) - 1)]
    assert 0.8 < estimate(durations, share) / true < 1.2


def test_the_median_of_fast_responses_is_not_25_ms():
    assert 1.5 <= estimate([1, 2, 2, 2, 3, 4], 0.5) <= 2.4


@given(DURATIONS, SHARES, SHARES)
def test_a_larger_share_is_never_reached_sooner(durations, one, other):
    assert estimate(durations, min(one, other)) <= estimate(durations, max(one, other))


def test_durations_above_the_last_bound_count_between_it_and_the_longest():
    assert percentile(counted([90_000]), 1, 0.5, 120_000) == pytest.approx(88_682, 0.01)
    assert percentile(counted([90_000]), 1, 0.5, LONGEST) == BOUNDS_MS[-1]


def test_nothing_has_no_percentile():
    assert percentile(counted([]), 0, 0.5, LONGEST) is None


def test_the_first_figures_of_throughput_are_not_waited_for(host):
    host.webhook()
    assert not any(hour.attempts for hour in host.dispatcher.overview().trends.hours)
    host.emit()
    host.dispatcher.drain()
    # As a worker does every half minute.
    host.dispatcher.settings.open_store.expire_held(0, 1)
    assert sum(hour.attempts for hour in host.dispatcher.overview().trends.hours) == 1
