"""Store the state that a console keeps for its viewers, until it expires."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve

from unihooks._contract.console_state import MOST_STATE_BYTES, State, StateKey, StateKind
from unihooks._model.checks import not_found
from unihooks.exceptions import Conflict, InvalidArgument, LimitReached
from unihooks.stores.sql.statements import Selection
from unihooks.stores.sql.transaction import Row, Transaction


def put(
    tx: Transaction,
    key: StateKey,
    value: dict[str, Any],
    *,
    version: int = 0,
    keep_us: int,
    at_most: int,
    oldest_goes: bool = False,
) -> State:
    """Store a new value, or one in place of a version."""
    text = json.dumps(value, separators=(",", ":"))
    if len(text) > MOST_STATE_BYTES:
        raise InvalidArgument(f"this is more than {MOST_STATE_BYTES // 1024} KiB; make it shorter", name="value")
    given: dict[str, Any] = {**_place(key), "value": text, "now": tx.now, "expires_at": tx.now + keep_us}
    if not version:
        _make_room(tx, key, at_most, oldest_goes=oldest_goes)
        changed = tx.run("add_state", **given)
    else:
        changed = tx.run("replace_state", version=version, **given)
        if not changed:
            get(tx, key)
    if not changed:
        raise Conflict("this has been changed in the meantime; read it again", name="version")
    return get(tx, key)


def get(tx: Transaction, key: StateKey) -> State:
    """Return the state, or raise NotFound."""
    found = _states(tx, ["s.tenant = :tenant", "s.owner = :owner", "s.id = :id"], _place(key))
    if not found:
        raise not_found(key.kind.value, key.id, key.tenant)
    return found[0]


def find(tx: Transaction, kind: StateKind, id: str) -> State | None:
    """Return the state with an id, whoever owns it."""
    found = _states(tx, ["s.id = :id"], {"kind": kind.value, "id": id})
    return found[0] if found else None


def list_(tx: Transaction, tenant: str, owner: str, kind: StateKind, *, limit: int = 100) -> list[State]:
    """Return an owner's states of a kind, the last changed first."""
    wanted = {"tenant": tenant, "owner": owner, "kind": kind.value}
    return _states(tx, ["s.tenant = :tenant", "s.owner = :owner"], wanted, limit)


def drop(tx: Transaction, key: StateKey) -> int:
    """Delete the state; return whether there was one."""
    return tx.run("drop_state", **_place(key))


def expire(tx: Transaction, older_than: int, limit: int) -> int:
    """Delete expired states."""
    return tx.run("expire_state", older_than=older_than, limit=limit)


def _make_room(tx: Transaction, key: StateKey, at_most: int, *, oldest_goes: bool) -> None:
    # With this lock, the second of two states added at the same time counts the first.
    tx.fetch("lock_state", tenant=key.tenant, owner=key.owner)
    found = tx.fetch("ids_of_state", tenant=key.tenant, owner=key.owner, kind=key.kind.value, now=tx.now)
    ids = [id_ for (id_,) in found]
    if key.id in ids or len(ids) < at_most:
        return
    if not oldest_goes:
        sentence = f"there are {at_most} of these, which is the limit; finish or discard one first"
        raise LimitReached(sentence, name=key.kind.value)
    for id_ in ids[: len(ids) - at_most + 1]:
        drop(tx, evolve(key, id=id_))


def _place(key: StateKey) -> dict[str, str]:
    return {"tenant": key.tenant, "owner": key.owner, "kind": key.kind.value, "id": key.id}


def _states(tx: Transaction, conditions: list[str], values: dict[str, str], limit: int = 1) -> list[State]:
    """Return the states that have not expired, the last changed first."""
    order = "s.updated_at DESC, s.id DESC"
    return [_state(row) for row in tx.select("state", Selection(conditions, {**values, "now": tx.now}, order, limit))]


def _state(row: Row) -> State:
    tenant, owner, kind, id_, version, value, created_at, updated_at, expires_at = row
    return State(
        key=StateKey(tenant, owner, StateKind(kind), id_),
        version=version,
        value=json.loads(value),
        created_at=created_at,
        updated_at=updated_at,
        expires_at=expires_at,
    )
