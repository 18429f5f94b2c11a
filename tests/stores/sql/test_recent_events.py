from __future__ import annotations

from unihooks._contract.planning import NewEvent
from unihooks.stores.sql import recent_events
from unihooks.stores.sql.recent_events import Handover


def event(number: int, *, tenant: str = "acme", size: int = 10) -> NewEvent:
    return NewEvent(f"evt_{number}", tenant, "shop", "paid", b"x" * size, 0)


def wanted() -> Handover:
    handover = Handover()
    handover.is_wanted = True
    return handover


def test_nothing_is_kept_where_nobody_plans() -> None:
    handover = Handover()
    handover.keep([event(1)])
    assert handover.take("acme", "evt_1") is None


def test_an_event_is_handed_over_once_and_to_its_tenant_only() -> None:
    handover, mine = wanted(), event(1)
    handover.keep([mine])
    assert handover.take("other", "evt_1") is None
    assert handover.take("acme", "evt_1") is mine
    assert handover.take("acme", "evt_1") is None


def test_what_is_forgotten_is_not_handed_over() -> None:
    handover = wanted()
    handover.keep([event(1)])
    handover.forget()
    assert handover.take("acme", "evt_1") is None


def test_no_more_is_kept_than_fits() -> None:
    handover = wanted()
    half = recent_events._MOST_BYTES // 2 + 1
    handover.keep([event(1, size=half)])
    handover.keep([event(2, size=half)])
    assert [handover.take("acme", f"evt_{number}") for number in (1, 2)] == [None, None]
    handover.keep([event(3, size=half)])
    assert handover.take("acme", "evt_3") is not None


def test_small_events_that_others_plan_do_not_pile_up() -> None:
    handover = wanted()
    for number in range(20_000):
        handover.keep([event(number, size=2)])
    assert sum(handover.take("acme", f"evt_{number}") is not None for number in range(20_000)) < 10_000
