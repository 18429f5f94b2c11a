"""Keep portal sessions in the store, so that they end in all processes at once: by signing out, or by the host."""

from __future__ import annotations

import hashlib
import secrets
import time

from unihooks._base.awaitable import awaitable
from unihooks._base.times import DAY, SECOND
from unihooks._contract.console_state import StateKey, StateKind
from unihooks._dispatcher import Dispatcher
from unihooks._model.checks import check_tenant
from unihooks.abc import Store
from unihooks.console.host.viewers import Viewer
from unihooks.exceptions import Conflict, LimitReached, NotFound

_OWNER = "portal"
_MOST_SESSIONS = 1_000
_MOST_ENDED = 100
_MOST_USED = 10_000
_MARGIN = 3_600
# No link, and no session of one, lasts longer.
_KEPT_US = DAY + _MARGIN * SECOND
_EVERYBODY = "*"


def is_first_use(store: Store, tenant: str, link_id: str, seconds: float) -> bool:
    """Note that a link, which is valid for some seconds more, has been opened; return whether that is the first time.

    Only the host makes links, so nobody can open so many that an older one is forgotten and works again.
    """
    key, keep_us = _key(tenant, StateKind.USED, link_id), int(seconds + _MARGIN) * SECOND
    try:
        store.put_state(key, {}, keep_us=keep_us, at_most=_MOST_USED, oldest_goes=True)
    except Conflict:
        return False
    return True


def begin(store: Store, viewer: Viewer, made_at: float, seconds: int) -> str | None:
    """Open a session and return its id; None if the viewer's sessions were ended after the link was made.

    Of a tenant with very many sessions the oldest ends.
    """
    key = _key(viewer.tenant, StateKind.SESSION, secrets.token_urlsafe(24))
    value = {"name": viewer.name}
    store.put_state(key, value, keep_us=seconds * SECOND, at_most=_MOST_SESSIONS, oldest_goes=True)
    # The order matters: whoever ends sessions first notes that, and then looks for open sessions.
    if not _is_ended(store, viewer, made_at):
        return key.id
    store.drop_state(key)
    return None


def is_open(store: Store, tenant: str, id: str) -> bool:
    """Return whether a session has neither expired nor been ended."""
    try:
        store.get_state(_key(tenant, StateKind.SESSION, id))
    except NotFound:
        return False
    return True


def end(store: Store, tenant: str, id: str) -> None:
    """End one session."""
    store.drop_state(_key(tenant, StateKind.SESSION, id))


def end_portal_sessions(dispatcher: Dispatcher, *, tenant: str = "default", name: str | None = None) -> int:
    """End the portal sessions of a tenant, or of its viewers of one name, in all processes; return how many there were.

    Links that were made before are of no use any more. Links that are made from now on work.
    """
    store, tenant = dispatcher.settings.open_store, check_tenant(tenant)
    _note_end(store, tenant, _EVERYBODY if name is None else _digest(name))
    found = store.list_state(tenant, _OWNER, StateKind.SESSION, limit=_MOST_SESSIONS)
    these = [one for one in found if name is None or one.value["name"] == name]
    return sum(store.drop_state(one.key) for one in these)


aend_portal_sessions = awaitable(end_portal_sessions)


def _note_end(store: Store, tenant: str, whose: str) -> None:
    key = _key(tenant, StateKind.ENDED, secrets.token_urlsafe(12))
    value = {"whose": whose, "at": time.time()}
    try:
        store.put_state(key, value, keep_us=_KEPT_US, at_most=_MOST_ENDED)
    except LimitReached:
        # Links are short-lived and easily made anew, so it is better to end too many than too few.
        everybody = {**value, "whose": _EVERYBODY}
        store.put_state(key, everybody, keep_us=_KEPT_US, at_most=_MOST_ENDED, oldest_goes=True)


def _is_ended(store: Store, viewer: Viewer, made_at: float) -> bool:
    found = store.list_state(viewer.tenant, _OWNER, StateKind.ENDED, limit=_MOST_ENDED)
    whose = (_EVERYBODY, _digest(viewer.name))
    return any(one.value["whose"] in whose and made_at <= one.value["at"] for one in found)


def _key(tenant: str, kind: StateKind, id: str) -> StateKey:
    return StateKey(tenant, _OWNER, kind, id)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
