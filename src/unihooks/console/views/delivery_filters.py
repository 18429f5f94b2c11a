"""Read the filters of a list of deliveries from a query string, and write them back into links."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from attrs import frozen
from starlette.requests import Request
from starlette.responses import Response

from unihooks._model.checks import is_status_code
from unihooks._model.log import DeliveryState
from unihooks.console.http.forms import to_number
from unihooks.console.http.rendering import path_to, redirect
from unihooks.console.words.formats import now
from unihooks.console.words.locale import gettext

if TYPE_CHECKING:
    from unihooks._contract.filters import DeliveryFilters

HELD = "held"
ALL = "all"
STATES = (*DeliveryState, HELD)
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
_TIMES = ("from", "to")
_FIELDS = ("search", "state", "event", "code", "subject", "endpoint", "period", *_TIMES, "zone", "webhook")
_UNCOUNTED = ("search", *_TIMES, "zone", "webhook")
LONGEST = 300
_MOST_FIELDS = 20
_DIGITS = 9


@frozen
class ChosenFilters:
    """The filters that a viewer has chosen; an unknown value counts as not chosen.

    `is_cut` says that one was too long and that its beginning is used alone.
    """

    chosen: dict[str, str]
    is_cut: bool = False

    def __getitem__(self, name: str) -> str:
        return self.chosen.get(name, "")

    def __bool__(self) -> bool:
        return bool(self.chosen)

    def query(self, **more: str | None) -> str:
        """Return the query string of a link with the same filters; an empty text leaves one out."""
        pairs = {name: value for name, value in {**self.chosen, **more}.items() if value}
        return f"?{urlencode(pairs)}" if pairs else ""

    @property
    def count(self) -> int:
        """How many filters there are beside the search, the exact times and the webhook."""
        return sum(name not in _UNCOUNTED for name in self.chosen)

    @property
    def problem(self) -> str | None:
        """Why nothing can match, as a sentence."""
        since, until = self._time("from"), self._time("to")
        if self["period"] or since is None or until is None or since <= until:
            return None
        return gettext("From must not be later than Until.")

    def for_log(self, webhook_id: str | None = None) -> DeliveryFilters:
        """Return the arguments of the log's methods."""
        product, _, event_type = self["event"].partition(" ")
        state = self["state"]
        since = now() - PERIODS[self["period"]] if self["period"] else self._time("from")
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
            "until": self._time("to"),
        }

    def _time(self, name: str) -> datetime | None:
        moment = _typed_time(self[name])
        return None if moment is None else _in_zone(moment, self["zone"])


@frozen
class Place:
    """A viewer's place in the log: the filters, the page, and the number of its first delivery, if known."""

    filters: ChosenFilters
    cursor: str | None = None
    first: int | None = None

    def query(self, **more: str | None) -> str:
        """Return the query string of the list."""
        first = str(self.first) if self.cursor and self.first else None
        return self.filters.query(cursor=self.cursor, first=first, **more)

    def packed(self, webhook_id: str | None) -> str:
        """Return the place as one value for the `in` of links to deliveries; it names the list's webhook."""
        return self.query(**({"webhook": webhook_id} if webhook_id else {})).removeprefix("?") or ALL

    def without_webhook(self) -> Place:
        """Return the same place on the page of its webhook."""
        chosen = {name: value for name, value in self.filters.chosen.items() if name != "webhook"}
        return Place(ChosenFilters(chosen), self.cursor, self.first)


def place(query: Mapping[str, str]) -> Place:
    """Return the place that the query of a list says."""
    cursor, first = query.get("cursor") or None, query.get("first", "")
    return Place(read(query), cursor, to_number(first, digits=_DIGITS) if cursor else 1)


def unpacked(value: str) -> Place | None:
    """Return the place from the `in` of a link, None if it has none."""
    try:
        return place(dict(parse_qsl(value, max_num_fields=_MOST_FIELDS))) if value else None
    except ValueError:
        return None


def back_to_log(request: Request, place: Place | None, done: str) -> Response:
    """Return to where in the log the viewer was, and say there what was done."""
    return redirect(request, path_to_log(request, place), done=done)


def path_to_log(request: Request, place: Place | None) -> str:
    """Return the link to a place in the log: on the page of one webhook, if that is where it is."""
    if place is None:
        return path_to(request, "deliveries")
    webhook_id = place.filters["webhook"]
    if not webhook_id:
        return f"{path_to(request, 'deliveries')}{place.query()}"
    return f"{path_to(request, 'webhook_deliveries', webhook_id=webhook_id)}{place.without_webhook().query()}"


def read(query: Mapping[str, str]) -> ChosenFilters:
    """Return the filters in a query."""
    typed = {name: _typed(query.get(name, "")) for name in _FIELDS}
    given = {name: value[:LONGEST] for name, value in typed.items()}
    chosen = {name: value for name, value in given.items() if value and _is_known(name, value)}
    if not any(name in chosen for name in _TIMES):
        chosen.pop("zone", None)
    return ChosenFilters(chosen, is_cut=given != typed)


def _typed(value: str) -> str:
    # Text that was copied from a page in Arabic has invisible marks of direction.
    return "".join(filter(str.isprintable, value)).strip()


@cache
def knows_zones() -> bool:
    """Return whether this machine has a time zone database, so that viewers can enter times in their own zone."""
    return _is_zone("Asia/Riyadh")


def _is_known(name: str, value: str) -> bool:
    if name == "state":
        return value in STATES
    if name == "period":
        return value in PERIODS
    if name in _TIMES:
        return _typed_time(value) is not None
    if name == "zone":
        return _is_zone(value)
    return name != "code" or is_status_code(value)


def _typed_time(value: str) -> datetime | None:
    """Read the value of a `datetime-local` field."""
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except ValueError:
        return None


def _in_zone(moment: datetime, zone: str) -> datetime | None:
    """Return a moment that was typed in a zone, UTC by default; None at the edges of the calendar."""
    try:
        return moment.replace(tzinfo=ZoneInfo(zone) if zone else UTC).astimezone(UTC)
    except OverflowError:
        return None


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True
