"""A key makes one event of many emits, on the store's connections and in a host's transactions, for its window."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from unihooks.exceptions import IdempotencyConflict

KEY = {"idempotency_key": "order-7-paid"}


@pytest.fixture
def dispatcher(open_dispatcher, clock):
    dispatcher = open_dispatcher(clock=clock, idempotency_window=timedelta(hours=1))
    dispatcher.migrate()
    return dispatcher


@pytest.fixture
def host(place):
    """Open a connection of the host to the store's database."""
    _, options = place
    opened = sqlite3.connect(options["path"]) if "path" in options else psycopg.connect(options["dsn"])
    with closing(opened):
        yield opened


def emit(dispatcher, payload=7, **options):
    return dispatcher.emit("shop", "order.paid", payload, **KEY, **options)


def stored(dispatcher):
    return [event.id for event in dispatcher.log.events()]


def test_key_is_one_event_whichever_connection_it_comes_on(dispatcher, host):
    first = emit(dispatcher)
    assert emit(dispatcher, connection=host) == first
    host.commit()
    assert emit(dispatcher) == first
    assert stored(dispatcher) == [first.id]


def test_key_of_a_transaction_that_is_rolled_back_is_free(dispatcher, host):
    emit(dispatcher, connection=host)
    host.rollback()
    second = emit(dispatcher, "other")
    assert stored(dispatcher) == [second.id]


def test_conflict_leaves_the_hosts_transaction_as_it_is(dispatcher, host):
    first = emit(dispatcher, connection=host)
    for changed in ({"payload": 8}, {"payload": "7"}):
        with pytest.raises(IdempotencyConflict, match="use a new key"):
            emit(dispatcher, **changed, connection=host)
    with pytest.raises(IdempotencyConflict):
        dispatcher.emit("shop", "order.refunded", 7, **KEY, connection=host)
    other = emit(dispatcher, tenant="other", connection=host)
    host.commit()
    with pytest.raises(IdempotencyConflict):
        emit(dispatcher, 8)
    assert stored(dispatcher) == [first.id]
    assert [event.id for event in dispatcher.log.events(tenant="other")] == [other.id]


def test_many_emits_of_one_key_at_once_are_one_event(dispatcher):
    with ThreadPoolExecutor(16) as pool:
        events = list(pool.map(lambda _: emit(dispatcher), range(64)))
    assert stored(dispatcher) == [events[0].id]
    assert {event.id for event in events} == {events[0].id}


@pytest.mark.parametrize("joined", [False, True])
def test_key_is_remembered_for_the_window_and_no_longer(dispatcher, host, clock, joined):
    options = {"connection": host} if joined else {}
    first = emit(dispatcher, **options)
    host.commit()
    clock.advance(3_599)
    dispatcher.drain()
    assert emit(dispatcher, **options) == first
    host.commit()
    clock.advance(2)
    dispatcher.drain()
    second = emit(dispatcher, **options)
    host.commit()
    assert sorted(stored(dispatcher)) == sorted([first.id, second.id])
