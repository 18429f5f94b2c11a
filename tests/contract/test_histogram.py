from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from unihooks._contract.histogram import BOUNDS_MS, bucket, percentile, up_to

LONGEST = 20_000
DURATIONS = st.lists(st.floats(0, LONGEST).map(lambda ms: round(ms, 3)), min_size=1, max_size=200)
SHARES = st.floats(0, 1)


def counted(durations: list[float]) -> list[int]:
    buckets = [0] * (len(BOUNDS_MS) + 1)
    for duration in durations:
        buckets[bucket(round(duration * 1000))] += 1
    return up_to(buckets)


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


@given(DURATIONS, SHARES, SHARES)
def test_a_larger_share_is_never_reached_sooner(durations, one, other):
    assert estimate(durations, min(one, other)) <= estimate(durations, max(one, other))


def test_durations_are_taken_to_be_spread_evenly_within_a_bucket():
    within = [0, 10, 10, 10, 10, 10, 10, 10]
    assert percentile(within, 10, 0.5, LONGEST) == 75
    assert percentile(within, 10, 1, LONGEST) == 100


def test_what_exceeds_the_last_bound_is_spread_up_to_the_longest():
    assert percentile([0] * 8, 4, 0.5, LONGEST) == 15_000


def test_nothing_has_no_percentile():
    assert percentile([0] * 8, 0, 0.5, LONGEST) is None
