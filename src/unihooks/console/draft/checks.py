"""Find the errors of a draft, field by field, in the words of the library's own checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from unihooks._dispatcher import Dispatcher
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._model.endpoints import has_new_origin
from unihooks._model.webhooks import Endpoint, EventSubscription, Webhook, WebhookStatus
from unihooks.console.draft import condition_rows, conditions_text, mapping_text, policy_text
from unihooks.console.draft.draft import FIELDS, KEEP, REMOVE, REPLACE, STEP_OF, STEPS, Draft, HeaderField
from unihooks.console.words.locale import gettext
from unihooks.console.words.sentences import told
from unihooks.exceptions import InvalidWebhook, UnihooksError

_ANY_URL = "https://example.com/"
Problems = dict[str, str]


def problems(draft: Draft, dispatcher: Dispatcher, step: str | None = None) -> Problems:
    """Return a sentence for each invalid field of a step, or of all steps."""
    checks = [check for name, check in _CHECKS.items() if step in (None, name)]
    return {name: sentence for check in checks for name, sentence in check(draft, dispatcher)}


def field_of(problem: str) -> str:
    """Return the field of a draft that a problem is about."""
    name = problem.partition(":")[0]
    return name if name in FIELDS else _FIELD_OF.get(name, "policy")


def step_of(problem: str) -> str:
    """Return the step on whose page a problem is."""
    return STEP_OF.get(field_of(problem), STEPS[0])


def url_problems(draft: Draft, dispatcher: Dispatcher) -> Problems:
    """Return the errors of the URLs, except for rows that are still empty."""
    return {
        name: sentence
        for name, sentence in _details(draft, dispatcher)
        if name.startswith("endpoint:") and draft.endpoints[int(name[9:])].url
    }


def to_fields(draft: Draft, current: Webhook | None) -> dict[str, Any]:
    """Return the arguments of `Webhook` or `update` for the draft."""
    return {
        "name": draft.name.strip(),
        "description": draft.description,
        "endpoints": _endpoints(draft),
        "subscriptions": subscriptions(draft),
        "mapping": mapping_text.read(draft.mapping),
        "headers": _header_set(draft, current),
        "policy": policy_text.read(draft.policy),
        "ordered": draft.ordered,
    }


def chosen(draft: Draft) -> list[EventSubscription]:
    """Return the chosen events that are well formed, without their conditions."""
    found = []
    for one in draft.events:
        try:
            found.append(_subscription(one))
        except UnihooksError:
            continue
    return found


def subscriptions(draft: Draft) -> list[EventSubscription]:
    """Return a subscription to each chosen event, or several where it has alternative conditions."""
    given = conditions_text.read(draft.conditions)
    found: list[EventSubscription] = []
    for event in map(_subscription, draft.events):
        same = [one for one in given if (one.product, one.event_type) == (event.product, event.event_type)]
        found += same or [event]
    return found


def reveals_headers(draft: Draft, current: Webhook, dispatcher: Dispatcher) -> bool:
    """Return whether the draft would send the saved value of a header to an origin that does not get it yet."""
    kept = any(row.choice == KEEP and row.name in current.headers for row in draft.headers)
    return kept and has_new_origin(current, _endpoints(draft), dispatcher.webhooks.check_url)


def to_webhook(draft: Draft) -> Webhook:
    """Return the new webhook that the draft describes."""
    status = WebhookStatus.ACTIVE if draft.active else WebhookStatus.INACTIVE
    return Webhook(**to_fields(draft, None), status=status)


def _endpoints(draft: Draft) -> list[Endpoint]:
    return [Endpoint(one.url, id=one.id) for one in draft.endpoints if one.url or one.id]


def _header_set(draft: Draft, current: Webhook | None) -> HeaderSet:
    saved = current.headers if current is not None else HeaderSet()
    pairs: list[tuple[str, Any]] = []
    for row in draft.headers:
        if row.choice == KEEP and row.name in saved:
            pairs.append((row.name, saved[row.name]))
        elif row.choice not in (KEEP, REMOVE) and not row.blank:
            pairs.append((row.name, row.value))
    return HeaderSet(pairs)


def _details(draft: Draft, dispatcher: Dispatcher) -> Iterator[tuple[str, str]]:
    yield from _tried("name", Webhook, name=draft.name, endpoints=[_ANY_URL])
    yield from _tried("description", Webhook, name="x", endpoints=[_ANY_URL], description=draft.description)
    given = [(at, row) for at, row in enumerate(draft.endpoints) if row.url]
    if not given:
        yield "endpoint:0", gettext("Enter at least one URL, such as https://example.com/hooks")
    if draft.room is not None and len(draft.endpoints) > (most := draft.room.endpoints):
        yield f"endpoint:{most}", gettext("A webhook has at most %(most)s endpoints. Remove this one.") % {"most": most}
    seen: dict[str, int] = {}
    for at, row in given:
        try:
            url = dispatcher.webhooks.check_url(row.url)
        except UnihooksError as error:
            yield f"endpoint:{at}", told(error)
            continue
        if seen.setdefault(url, at) != at:
            yield f"endpoint:{at}", gettext("This URL appears twice. Remove one.")
    yield from _policy(draft, dispatcher)


def _policy(draft: Draft, dispatcher: Dispatcher) -> Iterator[tuple[str, str]]:
    unreadable = [(name, told(error)) for name, error in policy_text.unreadable(draft.policy)]
    yield from unreadable
    if unreadable:
        return
    try:
        policy_text.read(draft.policy).check_bounds(dispatcher.settings.limits)
    except InvalidWebhook as error:
        yield error.name or "", told(error)


def _events(draft: Draft, dispatcher: Dispatcher) -> Iterator[tuple[str, str]]:
    if draft.room is not None and len(draft.events) > (most := draft.room.events):
        yield "events", gettext("Choose at most %(most)s events, or all of a product.") % {"most": most}
        return
    for one in draft.events:
        yield from _tried("events", _check_subscription, one, dispatcher)
    as_text = draft.conditions_as_text
    yield from _tried("conditions", _check_conditions, draft) if as_text else _conditions_as_rows(draft, dispatcher)


def _conditions_as_rows(draft: Draft, dispatcher: Dispatcher) -> Iterator[tuple[str, str]]:
    """Yield the errors of each row of a chosen event."""
    if len(draft.condition_rows) > (most := condition_rows.MOST_ROWS):
        yield "conditions", gettext("There are more than %(most)s conditions. Remove some.") % {"most": most}
        return
    rows = [(at, row) for at, row in enumerate(draft.condition_rows) if not row.blank and row.event in draft.events]
    tries = [_tried(f"condition:{at}", condition_rows.to_condition, row, dispatcher.catalog) for at, row in rows]
    yield from [problem for found in tries for problem in found] or _tried(
        "conditions", conditions_text.read, draft.conditions
    )


def _mapping(draft: Draft, _dispatcher: Dispatcher) -> Iterator[tuple[str, str]]:
    yield from _tried("mapping", mapping_text.read, draft.mapping)


def _headers(draft: Draft, _dispatcher: Dispatcher) -> Iterator[tuple[str, str]]:
    kept = [(row.name, "x") for row in draft.headers if row.choice == KEEP]
    typed = [(row.name, row.value) for row in draft.headers if row.choice not in (KEEP, REMOVE) and not row.blank]
    found = [problem for at, row in enumerate(draft.headers) for problem in _header(row, f"header:{at}")]
    yield from found or _tried("headers", HeaderSet, [*kept, *typed])


def _header(row: HeaderField, name: str) -> Iterator[tuple[str, str]]:
    if row.blank or row.choice in (KEEP, REMOVE):
        return
    if row.choice == REPLACE and not row.value:
        yield name, gettext("Enter the new value, or keep the saved one.")
    elif not row.name:
        yield name, gettext("Enter the name of the header.")
    else:
        yield from _tried(name, HeaderSet, [(row.name, row.value)])


def _tried(name: str, build: Callable[..., object], /, *args: object, **rest: object) -> Iterator[tuple[str, str]]:
    try:
        build(*args, **rest)
    except UnihooksError as error:
        yield name, told(error)


def _subscription(text: str) -> EventSubscription:
    product, blank, event_type = text.partition(" ")
    if not blank or " " in event_type:
        raise InvalidWebhook(gettext("Write a product and an event type, separated by a space."), name="events")
    return EventSubscription(product, event_type)


def _check_subscription(text: str, dispatcher: Dispatcher) -> None:
    one = _subscription(text)
    if dispatcher.catalog is not None:
        dispatcher.catalog.check_subscription(one.product, one.event_type)


def _check_conditions(draft: Draft) -> None:
    for one in conditions_text.read(draft.conditions):
        if f"{one.product} {one.event_type}" not in draft.events:
            sentence = gettext("%(event)s has conditions but is not chosen above.") % {
                "event": f"{one.product} {one.event_type}"
            }
            raise InvalidWebhook(sentence, name="conditions")


def mapping_of(draft: Draft) -> PayloadMapping | None:
    """Return the mapping, or None if it cannot be read."""
    try:
        return mapping_text.read(draft.mapping)
    except UnihooksError:
        return None


_CHECKS: dict[str, Callable[[Draft, Dispatcher], Iterator[tuple[str, str]]]] = {
    "details": _details,
    "events": _events,
    "mapping": _mapping,
    "headers": _headers,
}
_FIELD_OF = {
    "endpoint": "endpoints",
    "header": "headers",
    "condition": "condition_rows",
    **dict.fromkeys(("subscriptions", "product", "event_type"), "events"),
}
