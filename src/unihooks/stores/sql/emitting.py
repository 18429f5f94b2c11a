"""Insert events: many in one statement, each with its own outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from attrs import evolve

from unihooks._base.times import from_us
from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
from unihooks.abc import EmitOutcome
from unihooks.exceptions import IdempotencyConflict, StoreError
from unihooks.stores.sql.transaction import Row, Submission, Transaction

_LONGEST_DEADLINE = 600

Insert = Callable[[Sequence[NewEvent]], list[EmitOutcome]]


def resolve(submissions: Iterable[Submission], outcomes: Sequence[EmitOutcome]) -> None:
    """Give each submission its part of the outcomes."""
    start = 0
    for one in submissions:
        end = start + len(one.events)
        one.waiter.set_result(list(outcomes[start:end]))
        start = end


def one_by_one_if_refused(
    insert: Insert, events: Sequence[NewEvent], concerns_one: Callable[[Exception], bool]
) -> list[EmitOutcome]:
    """Insert events together; if one of them is refused, insert them one by one, so that it fails alone.

    `concerns_one` tells whether an error concerns a single event.
    """
    try:
        return insert(events)
    except Exception as error:
        if not concerns_one(error):
            raise
        if len(events) == 1:
            refused = StoreError(f"the event cannot be stored: {error}", name="event")
            refused.__cause__ = error
            return [refused]
    return [outcome for event in events for outcome in one_by_one_if_refused(insert, [event], concerns_one)]


def insert_keyed(tx: Transaction, events: Sequence[NewEvent], *, own_times: bool = True) -> list[EmitOutcome]:
    """Insert events with idempotency keys; the first of each key in the batch is inserted, or finds an earlier one."""
    first = {(event.tenant, event.idempotency_key): event for event in reversed(events)}
    # In the order of keys, so that batches cannot deadlock. Without a time of its own an event gets that of the
    # database.
    rows = [_row(first[key], first[key].created_at if own_times else None) for key in sorted(first)]
    found = {(row[0], row[1]): row[2:] for row in tx.fetch("add_events_once", rows)}
    return [_outcome(event, found[event.tenant, event.idempotency_key]) for event in events]


def insert_together(tx: Transaction, events: Sequence[NewEvent]) -> list[Event]:
    """Insert events with and without keys; an error of any of them is raised, which undoes the others."""
    timed = [evolve(event, created_at=tx.now) for event in events]
    outcomes = insert_apart(timed, lambda plain: insert_timed(tx, plain), lambda keyed: insert_keyed(tx, keyed))
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [one for one in outcomes if isinstance(one, Event)]


def insert_timed(tx: Transaction, events: Sequence[NewEvent]) -> list[EmitOutcome]:
    """Insert events without keys, at their own times."""
    tx.fetch("add_events_once", [_row(event, event.created_at) for event in events])
    return events_of(events)


def insert_apart(events: Sequence[NewEvent], insert_plain: Insert, insert_keys: Insert) -> list[EmitOutcome]:
    """Insert events without keys, and then those with keys; return their outcomes in the order of the events."""
    plain = [event for event in events if event.idempotency_key is None]
    inserted = insert_plain(plain) if plain else []
    if len(plain) == len(events):
        return inserted
    in_turn, found = iter(inserted), iter(insert_keys([one for one in events if one.idempotency_key is not None]))
    return [next(in_turn if event.idempotency_key is None else found) for event in events]


def stored_event(event: NewEvent, row: Row) -> Event:
    """Return the event for the row of an INSERT (id, digest, created_at), which may be an earlier one with its key."""
    id_, digest, created_at = row
    if event.idempotency_key is not None and bytes(digest or b"") != event.digest:
        sentence = "the idempotency key was used for another event; use a new key for new content"
        raise IdempotencyConflict(sentence, name="idempotency_key")
    # A host's connection may return texts as bytes.
    text = id_.decode() if isinstance(id_, bytes) else id_
    return event_of(event, text, int(created_at))


def event_of(event: NewEvent, id_: str, created_at: int) -> Event:
    """Return a stored event without its payload."""
    return Event(id_, event.tenant, event.product, event.event_type, None, from_us(created_at), event.subject)


def events_of(events: Iterable[NewEvent]) -> list[EmitOutcome]:
    """Return stored events without their payloads."""
    made: list[EmitOutcome] = []
    at, moment = -1, from_us(0)
    for event in events:
        # Events emitted together have one time, and converting it takes longer than everything else.
        if event.created_at != at:
            at = event.created_at
            moment = from_us(at)
        made.append(Event(event.id, event.tenant, event.product, event.event_type, None, moment, event.subject))
    return made


def _row(one: NewEvent, made_at: int | None) -> Row:
    kind = (one.product, one.event_type)
    return (one.tenant, one.id, *kind, made_at, one.idempotency_key, one.digest, one.subject, one.body)


def _outcome(event: NewEvent, row: Row) -> EmitOutcome:
    try:
        return stored_event(event, row)
    except IdempotencyConflict as conflict:
        return conflict


def checked_deadline(emit_deadline: object) -> float:
    """Return the maximum seconds that an emit waits, or raise ValueError."""
    if isinstance(emit_deadline, int | float) and 0 < emit_deadline <= _LONGEST_DEADLINE:
        return emit_deadline
    raise ValueError(
        f"emit_deadline must be more than 0 and at most {_LONGEST_DEADLINE} seconds, not {emit_deadline!r}"
    )
