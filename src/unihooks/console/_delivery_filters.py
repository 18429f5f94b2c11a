"""Read the filters of a list of deliveries from a query string, and write them back into links."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from attrs import frozen

from unihooks._model.checks import is_status_code
from unihooks._model.log import DeliveryState
from unihooks.console._formats import now

if TYPE_CHECKING:
    from unihooks._contract.filters import DeliveryFilters

HELD = "held"
STATES = (*DeliveryState, HELD)
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
_FIELDS = ("search", "state", "event", "code", "subject", "endpoint", "period", "from", "to", "webhook")
_LONGEST = 300


@frozen
class ChosenFilters:
    """The filters that a viewer has chosen; an unknown value counts as not chosen."""

    chosen: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.chosen.get(name, "")

    def __bool__(self) -> bool:
        return bool(self.chosen)

    def query(self, **more: str | None) -> str:
        """Return the query string of a link with the same filters."""
        pairs = {**self.chosen, **{name: value for name, value in more.items() if value}}
        return f"?{urlencode(pairs)}" if pairs else ""

    def for_log(self, webhook_id: str | None = None) -> DeliveryFilters:
        """Return the arguments of the log's methods."""
        product, _, event_type = self["event"].partition(" ")
        state = self["state"]
        since = now() - PERIODS[self["period"]] if self["period"] else _time(self["from"])
        return {
            "webhook_id": webhook_id or self["webhook"] or None,
            "endpoint_id": self["endpoint"] or None,
            "product": product or None,
            "event_type": event_type or None,
            "subject": self["subject"] or None,
            "state": DeliveryState.PENDING if state == HELD else state or None,
            "held": True if state == HELD else None,
            "status_code": self["code"] or None,
            "search": self["search"] or None,
            "since": since,
            "until": _time(self["to"]),
        }


def read(query: Mapping[str, str]) -> ChosenFilters:
    """Return the filters in a query."""
    given = {name: query.get(name, "").strip()[:_LONGEST] for name in _FIELDS}
    return ChosenFilters({name: value for name, value in given.items() if value and _is_known(name, value)})


def _is_known(name: str, value: str) -> bool:
    if name == "state":
        return value in STATES
    if name == "period":
        return value in PERIODS
    if name in ("from", "to"):
        return _time(value) is not None
    if name == "code":
        return is_status_code(value)
    return value.isprintable()


def _time(value: str) -> datetime | None:
    """Read the value of a `datetime-local` field, as UTC."""
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        return None
