"""Keep test receivers: URLs of the console that show what is sent to them, for a day.

A receiver belongs to the viewer of a draft; its URL has an id that nobody can guess. Of what arrives, the newest 20
requests are kept, each up to 64 KiB, and values of headers that look like secrets are left out.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen

from unihooks._base.ids import new_id
from unihooks._base.times import DAY, from_us
from unihooks._model.checks import storable
from unihooks.abc import State, StateKey, StateKind, Store
from unihooks.exceptions import Conflict

MOST_BODY = 64 * 1024
MOST_REQUESTS = 20
MASK = "••••••"
_MOST_RECEIVERS = 5
_MOST_HEADERS, _MOST_VALUE, _MOST_PATH = 60, 2_000, 500
_SECRET = re.compile(r"auth|cookie|token|secret|passw|api-?key|credential|session", re.IGNORECASE)


@frozen
class ReceivedRequest:
    """A request that has arrived; `size` is the size of its body, which may be truncated here."""

    at: datetime
    method: str
    query: str
    headers: Sequence[Sequence[str]]
    body: str
    size: int
    is_text: bool

    @property
    def is_cut(self) -> bool:
        """Return whether the body is truncated."""
        return self.size > MOST_BODY


@frozen
class TestReceiver:
    """A receiver of a draft: the id in its URL, and until when it is kept."""

    id: str
    draft_id: str
    expires_at: datetime
    _key: StateKey = field(repr=False)


def receiver_of(store: Store, tenant: str, owner: str, draft_id: str) -> TestReceiver | None:
    """Return the receiver of a draft, if it has one."""
    found = store.list_state(tenant, owner, StateKind.RECEIVER)
    return next((_to_receiver(one) for one in found if one.value["draft"] == draft_id), None)


def open_receiver(store: Store, tenant: str, owner: str, draft_id: str) -> TestReceiver:
    """Return the receiver of a draft, a new one if it has none; of a viewer with many, the oldest ends."""
    known = receiver_of(store, tenant, owner, draft_id)
    if known is not None:
        return known
    key = StateKey(tenant, owner, StateKind.RECEIVER, secrets.token_urlsafe(24))
    value = {"draft": draft_id}
    return _to_receiver(store.put_state(key, value, keep_us=DAY, at_most=_MOST_RECEIVERS, oldest_goes=True))


def find_receiver(store: Store, id: str) -> TestReceiver | None:
    """Return the receiver with this id in its URL."""
    found = store.find_state(StateKind.RECEIVER, id) if storable(id) else None
    return None if found is None else _to_receiver(found)


def keep_request(store: Store, receiver: TestReceiver, request: dict[str, Any]) -> None:
    """Keep a request; drop the oldest if there are too many."""
    now, tenant = store.now(), receiver._key.tenant  # noqa: SLF001 - of this module
    key = StateKey(tenant, receiver.id, StateKind.RECEIVED, new_id("rcv_", now))
    left = max(1, round(receiver.expires_at.timestamp() * 1_000_000) - now)
    try:
        store.put_state(key, request, keep_us=left, at_most=MOST_REQUESTS, oldest_goes=True)
    except Conflict:
        # Only another request to this receiver, in the same moment, can have taken the id.
        return


def received(store: Store, receiver: TestReceiver) -> list[ReceivedRequest]:
    """Return the requests that have arrived, newest first."""
    tenant = receiver._key.tenant  # noqa: SLF001 - of this module
    found = store.list_state(tenant, receiver.id, StateKind.RECEIVED, limit=MOST_REQUESTS)
    return [ReceivedRequest(at=from_us(one.created_at), **one.value) for one in found]


def to_request(method: str, query: str, headers: Iterable[tuple[str, str]], body: bytes, size: int) -> dict[str, Any]:
    """Return the stored part of a request."""
    text, is_text = _text_of(body, cut=size > len(body))
    return {
        "method": method,
        "query": query[:_MOST_PATH],
        "headers": [(name[:_MOST_PATH], _shown(name, value)) for name, value in list(headers)[:_MOST_HEADERS]],
        "body": text,
        "size": size,
        "is_text": is_text,
    }


def _shown(name: str, value: str) -> str:
    return MASK if _SECRET.search(name) else value[:_MOST_VALUE]


def _text_of(body: bytes, *, cut: bool) -> tuple[str, bool]:
    """Return a body as text, and whether it is text: bytes are written as hexadecimal digits, up to 1 KiB."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        # The end of what was cut may be half a character.
        if not cut or error.start < len(body) - 3:
            return body[:1024].hex(" "), False
        text = body[: error.start].decode()
    return text, True


def _to_receiver(state: State) -> TestReceiver:
    return TestReceiver(state.key.id, state.value["draft"], from_us(state.expires_at), state.key)
