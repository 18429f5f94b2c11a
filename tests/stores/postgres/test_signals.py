"""Workers of other processes hear of work at once on PostgreSQL, and poll where they cannot hear."""

from __future__ import annotations

import pytest
from postgres_scene import cut_all, emit
from waiting import wait_for

from unihooks.stores import PostgresStore

pytestmark = pytest.mark.postgres


@pytest.fixture
def store(new_store):
    return new_store()


class TestSignals:
    def test_emit_elsewhere_is_heard_at_once(self, new_store):
        one, two = new_store(), new_store()
        emit(two)
        one.change_token()
        wait_for(lambda: one._postgres._unchecked().signals._listening)
        heard = one.change_token()[0]
        emit(two)
        wait_for(lambda: one.change_token()[0] != heard)

    def test_who_watches_is_called_for_what_other_processes_tell_alone(self, new_store):
        one, two = new_store(), new_store()
        calls = []
        end = one.watch(lambda: calls.append(1))
        one.change_token()
        signals = one._postgres._unchecked().signals
        wait_for(lambda: signals._listening)
        for store, number in ((one, 0), (two, 1)):
            heard = signals._heard
            store.wake()
            wait_for(lambda heard=heard: signals._heard != heard)
            assert wait_for(lambda number=number: len(calls) == number)
        end()
        heard = signals._heard
        two.wake()
        wait_for(lambda: signals._heard != heard)
        assert len(calls) == 1

    def test_wake_is_heard_as_well(self, new_store):
        one, two = new_store(), new_store()
        one.change_token()
        wait_for(lambda: one._postgres._unchecked().signals._listening)
        heard = one.change_token()[0]
        two.wake()
        wait_for(lambda: one.change_token()[0] != heard)

    def test_without_a_listener_the_token_changes_so_that_workers_poll(self):
        store = PostgresStore("postgresql://127.0.0.1:1/none")
        token = store.change_token()
        wait_for(lambda: store.change_token() != token)
        store.close()

    def test_listener_that_was_cut_listens_again(self, store, admin):
        emit(store)
        store.change_token()
        signals = store._postgres._unchecked().signals
        wait_for(lambda: signals._listening)
        cut_all(admin)
        wait_for(lambda: not signals._listening)
        wait_for(lambda: signals._listening)
