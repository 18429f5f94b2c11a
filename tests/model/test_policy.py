from __future__ import annotations

from datetime import timedelta

import pytest

from unihooks import CircuitBreaker, DeliveryPolicy, Dispatcher, Limits, Webhook
from unihooks.exceptions import InvalidArgument, InvalidWebhook
from unihooks.stores import MemoryStore

NAN = float("nan")


@pytest.mark.parametrize(
    "field, values",
    [
        (
            "retry_delays",
            ["10", 10, {10: 60}, [-1], [NAN], [float("inf")], [10**400], [-(10**5000)], [True], ["x"], [None]],
        ),
        ("deadline", [0, 0.9, -1, NAN, float("inf"), 10**400, "5", True]),
        ("in_flight", [0, -1, 1.5, "5", True]),
        ("rate", [0, 0.009, -1, NAN, float("inf"), 10**400, "5", True]),
    ],
)
def test_a_policy_of_no_sense_is_refused_by_the_name_of_its_field(field, values):
    for value in values:
        with pytest.raises(InvalidWebhook) as refused:
            DeliveryPolicy(**{field: value})
        assert refused.value.name == field


@pytest.mark.parametrize("burst", [0, 0.5, NAN, "5", True])
def test_a_burst_is_at_least_one_delivery_and_needs_a_rate(burst):
    for rate in (5, None):
        with pytest.raises(InvalidWebhook) as refused:
            DeliveryPolicy(rate=rate, burst=burst)
        assert refused.value.name == "burst"
    with pytest.raises(InvalidWebhook):
        DeliveryPolicy(burst=5)


def test_delays_may_be_timedeltas():
    assert DeliveryPolicy(retry_delays=[timedelta(minutes=1), 5]).retry_delays == (60.0, 5.0)


def test_a_burst_is_a_seconds_worth_by_itself_and_at_least_one():
    assert [DeliveryPolicy(rate=rate).largest_burst for rate in (None, 0.1, 1, 7.5)] == [None, 1, 1, 7.5]
    assert DeliveryPolicy(rate=7.5, burst=2).largest_burst == 2


def test_a_webhook_takes_a_policy_or_none():
    assert Webhook(name="n", endpoints=["https://example.com/"], policy=None).policy == DeliveryPolicy()
    for wrong in ({"rate": 5}, 5):
        with pytest.raises(InvalidWebhook) as refused:
            Webhook(name="n", endpoints=["https://example.com/"], policy=wrong)
        assert refused.value.name == "policy"


def test_a_policy_may_reach_the_limits():
    most = DeliveryPolicy(retry_delays=[7 * 86_400] * 20, deadline=60, in_flight=1_000, rate=10_000, burst=10_000)
    most.check_bounds(Limits())
    DeliveryPolicy(rate=0.05).check_bounds(Limits(rate=0.05))


@pytest.mark.parametrize(
    "options, error",
    [
        ({"retries": 0}, ValueError),
        ({"retries": 1.5}, TypeError),
        ({"retry_delay": 60}, TypeError),
        ({"retry_delay": timedelta(seconds=-1)}, ValueError),
        ({"deadline": 0}, ValueError),
        ({"deadline": "60"}, TypeError),
        ({"in_flight": 0}, ValueError),
        ({"rate": NAN}, ValueError),
        ({"rate": True}, TypeError),
    ],
)
def test_limits_of_no_sense_are_refused(options, error):
    with pytest.raises(error, match=next(iter(options))) as caught:
        Limits(**options)
    if error is ValueError:
        assert caught.value.name == next(iter(options))


@pytest.mark.parametrize(
    "options",
    [
        {"failures": 0},
        {"failures": 1.5},
        {"failures": True},
        {"pause": 0},
        {"pause": NAN},
        {"pause": "30"},
        {"longest": 29},
        {"longest": NAN},
        {"longest": 10**9},
    ],
)
def test_a_breaker_of_no_sense_is_refused_by_the_name_of_its_field(options):
    with pytest.raises(InvalidArgument) as refused:
        CircuitBreaker(**options)
    assert refused.value.name == next(iter(options))


def test_pauses_double_up_to_the_longest_with_a_fifth_of_jitter_at_most():
    breaker = CircuitBreaker(pause=30, longest=100)
    pauses = [None]
    for _ in range(4):
        pauses.append(breaker.next_pause_us(pauses[-1]))
    assert [one / 1_000_000 for one in pauses[1:]] == [30, 60, 100, 100]
    jittered = {breaker.jittered_us(1_000_000) for _ in range(100)}
    assert 1_000_000 <= min(jittered) < max(jittered) <= 1_200_000


def test_a_dispatcher_takes_a_breaker_or_none():
    with pytest.raises(TypeError, match="breaker must be a CircuitBreaker"):
        Dispatcher(MemoryStore(), breaker=5)
    with Dispatcher(MemoryStore(), breaker=None) as dispatcher:
        assert dispatcher.settings.breaker is None
