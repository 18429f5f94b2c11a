"""Read what was emitted."""

from __future__ import annotations

from typing import Any

from unihooks.console._viewers import Permission
from unihooks.console.api import _shapes
from unihooks.console.api._deliveries import FILTERS
from unihooks.console.api._operations import PAGING, Call, Operation

_NARROWS = {"product", "event_type", "since", "until"}


async def listed(call: Call) -> dict[str, Any]:
    """List events."""
    return _shapes.page(await call.dispatcher.log.aevents(tenant=call.tenant, **call.query))


async def got(call: Call) -> dict[str, Any]:
    """Return one event."""
    return _shapes.shown(await call.dispatcher.log.aevent(call.path["event_id"], tenant=call.tenant))


OPERATIONS = (
    Operation(
        method="GET",
        path="/events",
        id="listEvents",
        about="List what was emitted, newest first, with payloads",
        permission=Permission.READ,
        handle=listed,
        answer="EventPage",
        query=(*(one for one in FILTERS if one.name in _NARROWS), *PAGING),
    ),
    Operation(
        method="GET",
        path="/events/{event_id}",
        id="getEvent",
        about="Return an event with its payload; null if it was erased",
        permission=Permission.READ,
        handle=got,
        answer="Event",
    ),
)
