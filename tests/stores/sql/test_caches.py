from __future__ import annotations

from unihooks._contract.planning import NewEvent
from unihooks.stores.sql.caches import _MOST_BYTES, RecentEvents


def event(number: int, *, tenant: str = "acme", size: int = 10) -> NewEvent:
    return NewEvent(f"evt_{number}", tenant, "shop", "paid", b"x" * size, 0)


def wanted() -> RecentEvents:
    recent_events = RecentEvents()
    recent_events.is_wanted = True
    return recent_events


def test_nothing_is_cached_in_a_process_that_does_not_plan() -> None:
    recent_events = RecentEvents()
    recent_events.keep([event(1)])
    assert recent_events.take("acme", "evt_1") is None


def test_an_event_is_handed_over_once_and_to_its_tenant_only() -> None:
    recent_events, mine = wanted(), event(1)
    recent_events.keep([mine])
    assert recent_events.take("other", "evt_1") is None
    assert recent_events.take("acme", "evt_1") is mine
    assert recent_events.take("acme", "evt_1") is None


def test_forgotten_events_are_not_handed_over() -> None:
    recent_events = wanted()
    recent_events.keep([event(1)])
    recent_events.forget()
    assert recent_events.take("acme", "evt_1") is None


def test_no_more_is_kept_than_fits() -> None:
    recent_events = wanted()
    half = _MOST_BYTES // 2 + 1
    recent_events.keep([event(1, size=half)])
    recent_events.keep([event(2, size=half)])
    assert [recent_events.take("acme", f"evt_{number}") for number in (1, 2)] == [None, None]
    recent_events.keep([event(3, size=half)])
    assert recent_events.take("acme", "evt_3") is not None


def test_small_events_that_others_plan_do_not_pile_up() -> None:
    recent_events = wanted()
    for number in range(20_000):
        recent_events.keep([event(number, size=2)])
    assert sum(recent_events.take("acme", f"evt_{number}") is not None for number in range(20_000)) < 10_000
