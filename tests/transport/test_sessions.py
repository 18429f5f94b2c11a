"""TLS sessions: which are remembered, how many, and for how long."""

from __future__ import annotations

from types import SimpleNamespace

from unihooks.transport import _sessions
from unihooks.transport._sessions import Sessions

TICKET = SimpleNamespace(has_ticket=True, id=b"")
TLS_1_2 = SimpleNamespace(has_ticket=False, id=b"1")
NEITHER = SimpleNamespace(has_ticket=False, id=b"")


def test_session_is_given_to_its_owner_only():
    sessions = Sessions()
    sessions.put("a", TICKET, 0.0)
    sessions.put("b", TLS_1_2, 0.0)
    assert [sessions.get(owner, 1.0) for owner in ("a", "b", "c")] == [TICKET, TLS_1_2, None]


def test_session_is_not_offered_after_its_time():
    sessions = Sessions()
    sessions.put("a", TICKET, 0.0)
    assert sessions.get("a", 3_599.0) is TICKET
    assert sessions.get("a", 3_600.0) is None


def test_oldest_session_is_replaced(monkeypatch):
    monkeypatch.setattr(_sessions, "_LIMIT", 2)
    sessions = Sessions()
    for owner in "abac":
        sessions.put(owner, TICKET, 0.0)
    assert [owner for owner in "abc" if sessions.get(owner, 1.0)] == ["a", "c"]
    assert len(sessions._kept) == 2


def test_session_that_cannot_be_resumed_is_not_looked_for_again_soon():
    sessions = Sessions()
    assert sessions.wants("a", 0.0)
    sessions.put("a", NEITHER, 0.0)
    assert sessions.get("a", 1.0) is None
    assert not sessions.wants("a", 1.0)
    assert sessions.wants("a", 601.0)


def test_session_that_was_offered_and_refused_is_replaced():
    sessions = Sessions()
    sessions.put("a", TICKET, 0.0)
    assert sessions.wants("a", 1.0)
    sessions.forget("a")
    assert sessions.get("a", 1.0) is None
