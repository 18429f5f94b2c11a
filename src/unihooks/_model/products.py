"""Products and their event types: names, schemas and examples, checked when they are added."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

import attrs

from unihooks._base.sentences import said
from unihooks._message.payload import decode, encode, step
from unihooks.exceptions import Conflict, InvalidPayload, UnknownEventType

T = TypeVar("T")

EVERY_EVENT = "*"
"""The event type of a subscription to all events of a product."""

_AND_MORE = ".*"


def check_name(kind: str, value: object) -> str:
    """Return a product or event type as plain text; refuse what cannot be sent as a header value.

    >>> check_name("event type", "message.received")
    'message.received'
    >>> check_name("event type", "message received")
    Traceback (most recent call last):
    ...
    unihooks.exceptions.UnknownEventType: the event type 'message received' is malformed; ...
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        shown = repr(value)[:_SHOWN]
        name = kind.replace(" ", "_")
        template = f"the {kind} {{shown}} is malformed; use 1 to 128 letters, digits and ._:/-"
        raise UnknownEventType(said(f"{name}-malformed".replace("_", "-"), template, shown=shown), name=name)
    # A member of a `(str, Enum)` would format as its name; this gives its value.
    return str.__str__(value)


def check_names(product: object, event_type: object) -> tuple[str, str]:
    """Return a product and an event type as `check_name` does; recent ones come from a cache."""
    try:
        return _cached_names(product, event_type)
    except TypeError:  # What cannot be hashed is not a text.
        return check_name("product", product), check_name("event type", event_type)


# Typed, since of two equal values of different types only one may be a text.
@lru_cache(maxsize=1024, typed=True)
def _cached_names(product: object, event_type: object) -> tuple[str, str]:
    return check_name("product", product), check_name("event type", event_type)


def check_subscription(product: object, event_type: object) -> tuple[str, str]:
    """Return the product and event type of a subscription: `*` is every event type, `order.*` some of them.

    >>> check_subscription("shop", "*.paid")
    Traceback (most recent call last):
    ...
    unihooks.exceptions.UnknownEventType: the event type '*.paid' is malformed: ...
    """
    if isinstance(product, str) and EVERY_EVENT in product:
        template = "the product {shown!r} is malformed: a subscription names one product; add one for each"
        raise UnknownEventType(said("product-pattern", template, shown=product[:_SHOWN]), name="product")
    product = check_name("product", product)
    if event_type == EVERY_EVENT:
        return product, EVERY_EVENT
    if isinstance(event_type, str) and event_type.endswith(_AND_MORE) and event_type.count(EVERY_EVENT) == 1:
        return product, check_name("event type", event_type.removesuffix(_AND_MORE)) + _AND_MORE
    if isinstance(event_type, str) and EVERY_EVENT in event_type:
        template = (
            "the event type {shown!r} is malformed: '*' stands alone, for every event of the product, or at the end, "
            "as in 'order.*'; use that, or name each event type"
        )
        raise UnknownEventType(said("event-type-pattern", template, shown=event_type[:_SHOWN]), name="event_type")
    return product, check_name("event type", event_type)


def subscribed_as(event_type: str) -> list[str]:
    """Return the event types of subscriptions that an event of this type matches.

    >>> subscribed_as("order.line.added")
    ['*', 'order.line.added', 'order.*', 'order.line.*']
    """
    parts = event_type.split(".")
    return [EVERY_EVENT, event_type, *(".".join(parts[:count]) + _AND_MORE for count in range(1, len(parts)))]


def covers(subscribed: str, event_type: str) -> bool:
    """Return whether a subscription's event type covers this one."""
    if subscribed.endswith(_AND_MORE):
        return event_type.startswith(subscribed.removesuffix(EVERY_EVENT))
    return subscribed in {EVERY_EVENT, event_type}


@attrs.frozen(kw_only=True)
class EventType:
    """One kind of event; `schema` and `example` are None if none was given."""

    product: str
    name: str
    title: str
    description: str | None = None
    schema: Any = attrs.field(default=None, hash=False)
    example: Any = attrs.field(default=None, hash=False)
    _check: Callable[[Any], None] | None = attrs.field(default=None, eq=False, repr=False)

    def check_payload(self, payload: Any) -> None:
        """Refuse a payload that does not match the schema, if there is one."""
        if self._check is not None:
            self._check(payload)


@attrs.frozen(kw_only=True, eq=False)
class Product:
    """A product and its event types: iterate over them, look them up by name, add more."""

    name: str
    title: str
    description: str | None = None
    _events: dict[str, EventType] = attrs.field(factory=dict, repr=False)

    def add_event(
        self,
        event_type: str,
        *,
        title: str | None = None,
        description: str | None = None,
        schema: dict[str, Any] | bool | None = None,
        example: Any = None,
    ) -> EventType:
        """Offer an event type; with a JSON Schema 2020-12, its payloads are checked.

        A schema needs the extra `unihooks[schema]`. It must be valid and must
        not refer to other documents; the example must match it.
        """
        event_type = check_name("event type", event_type)
        check_texts(title=title, description=description)
        event = EventType(
            product=self.name,
            name=event_type,
            title=title or event_type,
            description=description,
            schema=_snapshot(schema, "schema"),
            example=_snapshot(example, "example"),
            check=None if schema is None else _schema_check(_snapshot(schema, "schema")),
        )
        _check_example(event)
        if self._events.setdefault(event_type, event) is not event:
            raise Conflict(f"{self.name} already has an event type {event_type!r}; add it only once", name=event_type)
        return event

    def __iter__(self) -> Iterator[EventType]:
        return iter(tuple(self._events.values()))

    def __contains__(self, event_type: object) -> bool:
        return event_type in self._events

    def __getitem__(self, event_type: str) -> EventType:
        return look_up(self._events, event_type, f"event type of {self.name}", "event_type")


def check_texts(**texts: object) -> None:
    """Raise UnknownEventType for a value that is neither text nor None."""
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise UnknownEventType(f"{name} must be text or None, not {type(value).__name__}", name=name)


def look_up(known: dict[str, T], wanted: str, kind: str, name: str) -> T:
    """Return what has this name, or raise UnknownEventType with the names that may have been meant."""
    try:
        return known[wanted]
    except (KeyError, TypeError):
        pass
    near = get_close_matches(str(wanted), list(known))
    meant = " or ".join(map(repr, near))
    hint = "did you mean {meant}?" if near else "add it to the catalog"
    template = f"{{wanted!r}} is not {'an' if kind.startswith('e') else 'a'} {{kind}}; {hint}"
    code = f"{name}-unknown{'-near' if near else ''}".replace("_", "-")
    raise UnknownEventType(said(code, template, wanted=str(wanted), kind=kind, meant=meant), name=name)


def _snapshot(value: Any, name: str) -> Any:
    """Copy a JSON value, so that changes that the host makes later have no effect."""
    if value is None:
        return None
    try:
        return decode(encode(value))
    except InvalidPayload as exc:
        raise InvalidPayload(f"the {name} at {exc.message}", name=f"{name}{exc.name}") from exc


def _check_example(event: EventType) -> None:
    if event.example is None:
        return
    try:
        event.check_payload(event.example)
    except InvalidPayload as exc:
        raise InvalidPayload(f"the example at {exc.message}", name=f"example{exc.name}") from exc


def _schema_check(schema: Any) -> Callable[[Any], None]:
    """Compile a schema into a function that raises `InvalidPayload` for what does not match."""
    validator = _validator(schema)
    from referencing.exceptions import Unresolvable

    def check(payload: Any) -> None:
        try:
            error = next(validator.iter_errors(payload), None)
        except (RecursionError, Unresolvable) as exc:
            message = "$: the schema's references cannot be resolved or never end; correct the schema"
            raise InvalidPayload(message, name="$") from exc
        if error is not None:
            raise _misfit(error)

    return check


def _validator(schema: Any) -> Any:
    try:
        from jsonschema import Draft202012Validator, validators
        from jsonschema.exceptions import SchemaError
        from referencing.exceptions import Unresolvable
    except ImportError as exc:
        raise ImportError('schemas need jsonschema; install it with: pip install "unihooks[schema]"') from exc
    try:
        Draft202012Validator.check_schema(schema)
        registry = _check_references(schema)
    except (SchemaError, Unresolvable, RecursionError) as exc:
        reason = getattr(exc, "message", None) or f"{exc} cannot be resolved inside it"
        message = f"the schema is not valid JSON Schema 2020-12; correct it: {reason}"
        raise InvalidPayload(message, name="schema") from exc
    types = Draft202012Validator.TYPE_CHECKER.redefine("array", lambda _, value: isinstance(value, (list, tuple)))
    extend: Callable[..., Any] = validators.extend
    return extend(Draft202012Validator, type_checker=types)(schema, registry=registry)


def _check_references(schema: Any) -> Any:
    """Resolve every reference, to the schema itself or to the standard's own schemas; nothing is fetched."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
    from referencing.jsonschema import DRAFT202012

    resource = DRAFT202012.create_resource(schema)
    waiting = [(resource, REGISTRY.resolver_with_root(resource))]
    while waiting:
        part, resolver = waiting.pop()
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(part.contents, dict) and keyword in part.contents:
                resolver.lookup(part.contents[keyword])
        waiting += [(sub, resolver.in_subresource(sub)) for sub in part.subresources()]
    return REGISTRY


def _misfit(error: Any) -> InvalidPayload:
    """Return the error that says where a payload does not match; it quotes the schema but never the payload."""
    path = "$"
    for key in error.absolute_path:
        path = step(path, key)
    if error.validator in _NAMES_ONLY_KEYS:
        code, reason, figure = _NAMES_ONLY_KEYS[error.validator], "{reason}", error.message[:_SHOWN]
    elif error.validator is None:
        code, reason, figure = "schema-nothing", "the schema allows nothing here", ""
    else:
        rule = f"{error.validator}: {error.validator_value}"
        code, reason, figure = "schema-misfit", "it does not match the schema's {reason}", rule[:_SHOWN]
    template = f"{{path}}: {reason}; correct the payload or the schema"
    return InvalidPayload(
        said(code, template, path=path, reason=figure, names=", ".join(_QUOTED.findall(figure))), name=path
    )


_NAME = re.compile(r"[A-Za-z0-9._:/-]{1,128}")
_NAMES_ONLY_KEYS = {
    "required": "schema-required",
    "additionalProperties": "schema-additional",
    "dependentRequired": "schema-dependent",
}
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")
_SHOWN = 160
