"""Subjects of events: given to emit, sent as a header, found and erased by."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from unihooks import Dispatcher, Emission
from unihooks.exceptions import IdempotencyConflict, InvalidArgument
from unihooks.stores import SQLiteStore
from unihooks.testing import RecordingDispatcher

LONGEST = "~" * 256


def test_a_subject_is_sent_as_a_header_and_shown_in_the_log(host):
    host.webhook()
    event = host.dispatcher.emit("chat", "x", 1, subject='order "7" \\')
    host.dispatcher.emit("chat", "x", 2)
    host.dispatcher.drain()

    assert event.subject == 'order "7" \\'
    assert [host.dispatcher.log.event(event.id).subject] == ['order "7" \\']
    sent = {json.loads(one.body): one.headers.get("unihooks-subject") for one in host.receiver.requests}
    assert sent == {1: 'order "7" \\', 2: None}
    with_subject, without = sorted(host.deliveries(), key=lambda one: one.subject is None)
    [attempt] = host.dispatcher.log.attempts(with_subject.id)
    assert attempt.request_headers["unihooks-subject"] == 'order "7" \\'
    assert "unihooks-subject" not in host.dispatcher.log.attempts(without.id)[0].request_headers


@pytest.mark.parametrize("subject", ["", "a" * 257, "Grüße", "a\nb", "a\tb", " a", "a ", 7, b"a"])
def test_a_subject_that_no_header_can_carry_is_refused(host, subject):
    for emit in (
        lambda: host.dispatcher.emit("chat", "x", 1, subject=subject),
        lambda: host.dispatcher.emit_many([Emission("chat", "x", 1, subject=subject)]),
        lambda: RecordingDispatcher().emit("chat", "x", 1, subject=subject),
    ):
        with pytest.raises(InvalidArgument, match="1 to 256 printable ASCII") as caught:
            emit()
        assert caught.value.name == "subject"
    assert not host.dispatcher.log.events()


async def test_every_way_to_emit_takes_a_subject(host):
    one = await host.dispatcher.aemit("chat", "x", 1, subject="a b")
    two, three = host.dispatcher.emit_many([Emission("chat", "x", 1, subject=LONGEST), ("chat", "x", 1)])
    [four] = await host.dispatcher.aemit_many([Emission("chat", "x", 1, idempotency_key="k", subject="c")])

    assert [event.subject for event in (one, two, three, four)] == ["a b", LONGEST, None, "c"]
    assert {event.id: event.subject for event in host.dispatcher.log.events()} == {
        event.id: event.subject for event in (one, two, three, four)
    }


def test_a_subject_is_kept_when_it_joins_the_hosts_transaction(tmp_path):
    path = tmp_path / "app.db"
    with Dispatcher(SQLiteStore(path)) as dispatcher, closing(sqlite3.connect(path)) as connection:
        dispatcher.migrate()
        with connection:
            event = dispatcher.emit("chat", "x", 1, connection=connection, subject="order/7")
            keyed = dispatcher.emit("chat", "x", 1, connection=connection, subject="order/8", idempotency_key="k")
        assert (event.subject, keyed.subject) == ("order/7", "order/8")
        assert [one.subject for one in dispatcher.log.events(subject="order/7")] == ["order/7"]
        assert [one.subject for one in dispatcher.log.events(subject="order/8")] == ["order/8"]


def test_a_recorder_keeps_subjects():
    recorder = RecordingDispatcher()
    recorder.emit("chat", "x", 1, subject="order/7")
    recorder.emit_many([Emission("chat", "x", 1, subject="order/8")])
    assert [one.subject for one in recorder.events] == ["order/7", "order/8"]


@pytest.mark.parametrize("other", [None, "order/8"])
def test_a_key_that_was_used_for_another_subject_is_a_conflict(host, other):
    for emitter in (host.dispatcher, RecordingDispatcher()):
        first = emitter.emit("chat", "x", 1, idempotency_key="k", subject="order/7")
        assert emitter.emit("chat", "x", 1, idempotency_key="k", subject="order/7").id == first.id
        with pytest.raises(IdempotencyConflict):
            emitter.emit("chat", "x", 1, idempotency_key="k", subject=other)


def test_deliveries_are_listed_and_counted_by_subject(host):
    host.webhook()
    for subject in ("order/7", "order/7", "order/8"):
        host.dispatcher.emit("chat", "x", 1, subject=subject)
    host.dispatcher.drain()

    log = host.dispatcher.log
    assert [one.subject for one in log.deliveries(subject="order/7")] == ["order/7"] * 2
    assert log.count(subject="order/7") == 2
    assert log.replay_all(subject="order/8").made == 1
    with pytest.raises(InvalidArgument) as caught:
        log.deliveries(subject=7)
    assert caught.value.name == "subject"


def test_all_about_a_subject_is_erased(host):
    host.webhook()
    for subject in ("order/7", "order/7", "order/8"):
        host.dispatcher.emit("chat", "x", {"about": subject}, subject=subject)
    host.dispatcher.drain()

    assert host.dispatcher.erase(subject="order/7") == 2
    assert host.dispatcher.erase(subject="order/7") == 0
    assert sorted(str(one.subject) for one in host.deliveries()) == ["None", "None", "order/8"]
    for wrong in ({}, {"subject": "a", "event_ids": []}):
        with pytest.raises(TypeError, match="one of event_ids, before and subject"):
            host.dispatcher.erase(**wrong)
