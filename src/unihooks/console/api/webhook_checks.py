"""Check a webhook's body beyond its schema, part by part, so that all errors are reported at once.

Adding or changing a webhook makes the same checks, but stops at the first error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from unihooks._dispatcher import Dispatcher
from unihooks._message.conditions import Condition
from unihooks._message.headers import MAX_HEADERS, HeaderSet
from unihooks._message.mapping import MAX_RULES, PayloadMapping
from unihooks._model.policy import DeliveryPolicy
from unihooks._model.webhooks import Endpoint, EventSubscription, Webhook
from unihooks.console.api.faults import Fault, Place, is_clean
from unihooks.exceptions import InvalidHeader, InvalidWebhook, UnihooksError

Found = Iterator[tuple[Fault, UnihooksError]]
_MEMBERS = {"url", "id", "description", "enabled"}
_ANY_ENDPOINT = ("https://example.com/",)


def examine_webhook(dispatcher: Dispatcher, body: Mapping[str, Any], faults: Sequence[Fault]) -> Found:
    """Yield what is wrong with each part of a webhook, except for parts that have faults already."""
    parts: dict[str, Callable[[Any, _Place], Found]] = {
        "name": lambda value, at: at.trying(_with, name=value),
        "description": lambda value, at: at.trying(_with, description=value),
        "endpoints": lambda value, at: _endpoints(dispatcher, value, at),
        "subscriptions": lambda value, at: _subscriptions(dispatcher, value, at),
        "mapping": _mapping,
        "headers": lambda value, at: _headers(dispatcher, value, at),
        "policy": lambda value, at: _policy(dispatcher, value, at),
    }
    for name, examine in parts.items():
        place = _Place((name,), faults)
        if name in body and place.is_whole:
            yield from examine(body[name], place)


@frozen
class _Place:
    """A place in the body, and the errors known so far."""

    path: Place
    known: Sequence[Fault]

    def __truediv__(self, token: str | int) -> _Place:
        return _Place((*self.path, token), self.known)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong here or inside."""
        return is_clean(self.path, self.known)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with this place itself, so that its parts can be checked."""
        return not any(self.path[: len(one.place)] == one.place for one in self.known if one.place is not None)

    def trying(self, make: Callable[..., object], *given: Any, **named: Any) -> Found:
        """Call a function, and yield the error that it raises, at the member that the error names, if there is one."""
        try:
            make(*given, **named)
        except UnihooksError as error:
            yield self.fault(error, named)

    def fault(self, error: UnihooksError, members: Mapping[str, Any] | None = None) -> tuple[Fault, UnihooksError]:
        # An error's name is that of a member, or the member's value.
        inner = next((name for name, value in (members or {}).items() if error.name in (name, value)), None)
        return Fault(error.message, self.path if inner in (None, self.path[-1]) else (*self.path, inner)), error


def _with(**part: Any) -> Webhook:
    return Webhook(**{"name": "any", "endpoints": _ANY_ENDPOINT, **part})


def _endpoints(dispatcher: Dispatcher, given: Sequence[Any], at: _Place) -> Found:
    seen: dict[str, int] = {}
    most = dispatcher.webhooks.most_endpoints
    if len(given) > most:
        yield at.fault(InvalidWebhook(f"a webhook has at most {most} endpoints; use another webhook", name="endpoints"))
        return
    for number, one in enumerate(given):
        here = at / number
        where = here if isinstance(one, str) else here / "url"
        if not where.is_clean:
            continue
        members = {"url": one} if isinstance(one, str) else {name: one[name] for name in _MEMBERS & one.keys()}
        clean = {name: value for name, value in members.items() if (here / name).is_clean}
        found = [*here.trying(Endpoint, **clean)] or [*where.trying(dispatcher.webhooks.check_url, clean["url"])]
        yield from found
        url = "" if found else dispatcher.webhooks.check_url(clean["url"])
        if url and seen.setdefault(url, number) != number:
            sentence = "the same endpoint URL is given twice; leave one out"
            yield where.fault(InvalidWebhook(sentence, name="endpoints"))


def _subscriptions(dispatcher: Dispatcher, given: Sequence[Mapping[str, Any]], at: _Place) -> Found:
    catalog = dispatcher.catalog
    for number, one in enumerate(given):
        here = at / number
        if not here.is_whole:
            continue
        for index, condition in enumerate(one.get("where", ()) if (here / "where").is_whole else ()):
            place = here / "where" / index
            yield from place.trying(Condition, **condition) if place.is_clean else ()
        members = {name: one.get(name) for name in ("product", "event_type")}
        if not all((here / name).is_clean for name in members):
            continue
        found = [*here.trying(EventSubscription, **members)]
        if not found and catalog is not None:
            found = [*here.trying(catalog.check_subscription, **members)]
        yield from found


def _mapping(given: Mapping[str, Any], at: _Place) -> Found:
    if not at.is_clean:
        return
    remove, rename = given.get("remove", ()), given.get("rename", {})
    found: list[tuple[Fault, UnihooksError]] = []
    few = len(remove) + len(rename) <= MAX_RULES
    for number, path in enumerate(remove if few else ()):
        found += (at / "remove" / number).trying(PayloadMapping, remove=[path])
    for path, name in rename.items() if few else ():
        found += (at / "rename" / path).trying(PayloadMapping, rename={path: name})
    yield from found or at.trying(PayloadMapping, remove=remove, rename=rename)


def _headers(dispatcher: Dispatcher, given: Mapping[str, Any], at: _Place) -> Found:
    found: list[tuple[Fault, UnihooksError]] = []
    values = {name: value for name, value in given.items() if (at / name).is_clean}
    for name, value in values.items() if len(values) <= MAX_HEADERS else ():
        # In a change, null stands for the value that is kept.
        found += (at / name).trying(HeaderSet, {name: "kept" if value is None else value})
        if dispatcher.settings.names.owns(name):
            sentence = f"header {name!r} is set by the sender itself; remove it"
            found.append((at / name).fault(InvalidHeader(sentence, name=name)))
    yield from found or at.trying(HeaderSet, {name: value or "kept" for name, value in values.items()})


def _policy(dispatcher: Dispatcher, given: Mapping[str, Any] | None, at: _Place) -> Found:
    limits = dispatcher.settings.limits
    for name, value in (given or {}).items():
        here = at / name
        if not here.is_clean:
            continue
        # A burst makes no sense without a rate.
        rate = {"rate": 1.0} if name == "burst" and (given or {}).get("rate") is not None else {}

        def make(one: Mapping[str, Any]) -> None:
            DeliveryPolicy(**one).check_bounds(limits)

        yield from here.trying(make, {name: value, **rate})
