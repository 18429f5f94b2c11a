"""Planning continues whatever one event leads to: an error, many deliveries, or long matching."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest
from attrs import evolve
from sqlite_scene import add_webhook, emit, make_event

from unihooks import Condition, EventSubscription
from unihooks._contract.planning import is_wanted, plan_event
from unihooks.abc import Capacity, DeliveryFilter, Lease, Window
from unihooks.exceptions import StoreError
from unihooks.stores.sql import caches, matching

BAD = "bad"


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """Let matching take as long as it needs on a busy machine."""
    monkeypatch.setattr(matching, "_SECONDS_OF_MATCHING", 60)


@pytest.fixture
def failing(monkeypatch):
    """Make the planning of events of the type `bad` fail; return the error, which may be replaced."""
    failures = [LookupError("no such thing")]

    def plan(event, *args, **options):
        if event.event_type == BAD and failures:
            raise failures[0]
        return plan_event(event, *args, **options)

    monkeypatch.setattr(matching, "plan_event", plan)
    return failures


def event_of(store, event_type, **more):
    return evolve(make_event(store, **more), event_type=event_type)


def plan(store, limit=100):
    return store.plan(Lease(token=1, seconds=30), Capacity(0, 0), limit)


def deliveries_of(store, event):
    found = store.list_deliveries(event.tenant, DeliveryFilter(event_id=event.id), Window(limit=5_000))
    return {one.endpoint_id for one in found}


def test_an_event_that_cannot_be_planned_is_set_aside_after_five_tries(store, sql, failing, caplog):
    add_webhook(store)
    bad, good = event_of(store, BAD), make_event(store)
    emit(store, bad, good)
    planned = plan(store)
    assert (planned.events, planned.deliveries, planned.more) == (1, 1, True)
    waiting = "SELECT plan_tries, plan_error FROM {}new_events"
    aside = "SELECT plan_error FROM {}events WHERE event_type = 'bad'"
    for tries in range(1, 5):
        assert sql(waiting) == [(tries, "LookupError: no such thing")]
        assert sql(aside) == [(None,)]
        assert store.work().new_events
        planned = plan(store)
        assert (planned.events, planned.more) == (0, tries < 4)
    assert sql(waiting) == []
    assert sql(aside) == [("LookupError: no such thing",)]
    assert not store.work().new_events
    assert deliveries_of(store, bad) == set()

    sentences = [record.getMessage() for record in caplog.records if record.name == "unihooks.store"]
    again = f"event {bad.id} of tenant default could not be planned, it is tried again: LookupError: no such thing"
    last = f"event {bad.id} of tenant default could not be planned and is set aside: LookupError: no such thing"
    assert sentences == [again] * 4 + [last]


def test_an_event_that_failed_is_planned_once_it_can_be(store, failing):
    add_webhook(store)
    bad = event_of(store, BAD)
    emit(store, bad)
    assert plan(store).events == 0
    failing.clear()
    planned = plan(store)
    assert (planned.events, planned.deliveries, planned.more) == (1, 1, False)
    assert len(deliveries_of(store, bad)) == 1


def test_events_that_fail_keep_neither_their_tenant_nor_others_waiting(store, failing):
    for tenant in ("default", "other"):
        add_webhook(store, tenant=tenant)
    emit(store, *[event_of(store, BAD) for _ in range(4)])
    good = [make_event(store), make_event(store, tenant="other")]
    emit(store, *good)
    for _ in range(3):
        plan(store, limit=2)
    assert all(deliveries_of(store, one) for one in good)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", "x" * 10_000], ids=["NUL", "surrogate", "long"])
def test_any_text_of_an_error_can_be_stored(store, sql, failing, text):
    failing[0] = ValueError(text)
    emit(store, event_of(store, BAD))
    plan(store)
    [(kept,)] = sql("SELECT plan_error FROM {}new_events")
    assert kept.strip("'").startswith("ValueError: ")
    assert len(kept) < 600


def test_errors_of_the_database_are_no_failures_of_an_event(store, sql, monkeypatch):
    add_webhook(store)
    emit(store, make_event(store))

    kind = store._database.write(lambda tx: tx.errors)

    def fail(*args, **options):
        raise kind("no memory is left")

    monkeypatch.setattr(matching, "plan_event", fail)
    with pytest.raises((StoreError, kind)):
        plan(store)
    assert sql("SELECT plan_tries, plan_error FROM {}new_events") == [(0, None)]


def test_an_event_of_large_fan_out_lets_others_of_its_tenant_come_between(store):
    webhooks = [add_webhook(store, endpoints=40, event_type="wide") for _ in range(11)]
    add_webhook(store, event_type="small")
    wide, small = event_of(store, "wide"), [event_of(store, "small") for _ in range(3)]
    emit(store, wide)
    emit(store, *small)
    # One event for each call shows their order. A chunk of 250 ends in the middle of a webhook.
    assert [plan(store, limit=1).deliveries for _ in range(6)] == [250, 1, 1, 1, 190, 0]
    assert not store.work().new_events
    assert deliveries_of(store, wide) == {one.id for webhook in webhooks for one in webhook.endpoints}


def test_a_partly_planned_webhook_continues_where_it_was_whatever_changes_meanwhile(store):
    first, second = (add_webhook(store, endpoints=200, event_type="wide") for _ in range(2))
    wide = event_of(store, "wide")
    emit(store, wide)
    assert [plan(store).deliveries, plan(store).deliveries] == [250, 150]
    assert deliveries_of(store, wide) == {one.id for webhook in (first, second) for one in webhook.endpoints}
    later = event_of(store, "wide")
    emit(store, later)
    plan(store)
    third = add_webhook(store, endpoints=3, event_type="wide")
    store.delete_webhook("default", second.id)
    while plan(store).more:
        pass
    # Deliveries planned for the second one stay in the log, and endpoints of others are not mistaken for its own.
    assert deliveries_of(store, later) >= {one.id for one in first.endpoints}
    assert not deliveries_of(store, later) & {one.id for one in third.endpoints}


def test_small_events_are_planned_in_the_same_call_as_a_chunk_of_a_large_one(store):
    for _ in range(26):
        add_webhook(store, endpoints=40, event_type="wide")
    add_webhook(store, event_type="small")
    wide, small = event_of(store, "wide"), event_of(store, "small")
    emit(store, wide, small)
    planned = plan(store)
    assert (planned.events, planned.deliveries, planned.more) == (1, 251, True)
    assert deliveries_of(store, small)


def test_matching_ends_when_its_time_is_up_and_continues_with_the_next_call(store, monkeypatch):
    add_webhook(store)
    events = [make_event(store) for _ in range(7)]
    emit(store, *events)
    monkeypatch.setattr(matching, "_SECONDS_OF_MATCHING", 0.05)
    ticks = count()
    monkeypatch.setattr(matching, "time", SimpleNamespace(monotonic=lambda: next(ticks) * 0.02))
    # The time is checked when a call begins, and before the second event, the fourth and so on.
    monkeypatch.setattr(matching, "_MATCHED_BETWEEN_LOOKS", 2)
    calls = [plan(store) for _ in range(2)]
    assert [(one.events, one.more) for one in calls] == [(5, True), (2, False)]
    assert all(deliveries_of(store, event) for event in events)


def test_matching_gets_on_however_slow_it_is(store, monkeypatch):
    monkeypatch.setattr(matching, "_SECONDS_OF_MATCHING", -1)
    monkeypatch.setattr(caches, "_PAGE", 2)
    webhooks = [add_webhook(store) for _ in range(5)]
    first, second = make_event(store), make_event(store)
    emit(store, first, second)
    for calls in count(1):
        planned = plan(store)
        assert planned.deliveries <= 2
        if not planned.more:
            break
        assert calls < 20
    expected = {webhook.endpoints[0].id for webhook in webhooks}
    assert deliveries_of(store, first) == deliveries_of(store, second) == expected


def test_conditions_that_do_not_hold_take_no_more_time_than_a_call_has(store, monkeypatch):
    webhooks = [add_webhook(store) for _ in range(7)]
    for number, webhook in enumerate(webhooks):
        wanted = EventSubscription("shop", "*", [Condition("n", "eq", 1 if number == 6 else "never")])
        store.revise_webhook(
            "default", webhook.id, lambda current, wanted=wanted: evolve(current, subscriptions=[wanted])
        )
    wanting = webhooks[6]
    looked = []
    monkeypatch.setattr(matching, "is_wanted", lambda *args: (looked.append(args), is_wanted(*args))[1])
    monkeypatch.setattr(matching, "_SECONDS_OF_MATCHING", -1)
    monkeypatch.setattr(caches, "_PAGE", 2)
    event = make_event(store)
    emit(store, event)
    for calls in range(1, 20):
        planned = plan(store)
        assert len(looked) <= calls
        if not planned.more:
            break
    assert len(looked) == 7
    assert deliveries_of(store, event) == {wanting.endpoints[0].id}
