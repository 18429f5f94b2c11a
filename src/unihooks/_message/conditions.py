"""Conditions on the payload of an event, which must hold for a webhook to get it."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from unihooks._base.sentences import said
from unihooks._base.texts import brief
from unihooks._message.paths import ANY, MAX_TEXT, Path, Step, is_storable, parse_path
from unihooks.exceptions import InvalidMapping, InvalidWebhook

MAX_CONDITIONS = 20
_MAX_LISTED = 100
# Python writes and reads whole numbers of up to 4300 digits only.
_TOO_LARGE = 10**MAX_TEXT


class Operator(StrEnum):
    """The comparison of a condition: what it finds against its value."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    EXISTS = "exists"
    MISSING = "missing"


_NONE_GIVEN: Any = object()
# Schemas that refer elsewhere, or that offer alternatives, are not followed.
_OPEN_ENDED = frozenset({"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "not", "prefixItems"})
_WITHOUT_VALUE = frozenset({Operator.EXISTS, Operator.MISSING})
_ORDERS = {Operator.LT: operator.lt, Operator.LE: operator.le, Operator.GT: operator.gt, Operator.GE: operator.ge}
_LISTS = frozenset({Operator.IN, Operator.NOT_IN})
_TEXTS = frozenset({Operator.PREFIX, Operator.SUFFIX})


@frozen(init=False, repr=False)
class Condition:
    """A condition on a payload: what is found at `path` must compare by `op` with `value`.

    Paths are those of mappings; `[*]` means any element of a list, or any value of an object. `op` is one of:

    - `eq`, `ne`, `in`, `not_in`: a text, number, true, false or null, or a list of them. Numbers compare by value
      (`1.0` equals `1`), and true and false are not numbers. `ne` and `not_in` hold for a different value of the same
      kind, so `ne` 1 does not hold for null, a text or a missing property.
    - `lt`, `le`, `gt`, `ge`: a number, or a text, which compares by code point.
    - `prefix`, `suffix`: a text. `contains`: a text in a text, or a value among the elements of a list.
    - `exists`, `missing`: take no value. Null exists.

    A value of another kind never matches, and is no error. A condition that makes no sense raises `InvalidWebhook`,
    with the offending part as `name`.

    >>> Condition("amount", "ge", 100).holds({"amount": 120})
    True
    >>> Condition("lines[*].sku", "prefix", "A-").holds({"lines": [{"sku": "B-1"}, {"sku": "A-7"}]})
    True
    """

    path: str
    op: Operator = field(eq=False)
    value: Any = field(eq=False)
    # Compares kinds, too: 1 is not true.
    _said: str = field()
    _steps: Path = field(eq=False)
    _compare: Callable[[Any], bool] = field(eq=False)

    def __init__(self, path: str, op: Operator | str, value: Any = _NONE_GIVEN) -> None:
        steps = _steps(path)
        known = _operator(op)
        value = _checked(known, value)
        said = json.dumps([known.value, *([] if known in _WITHOUT_VALUE else [value])])
        self.__attrs_init__(path, known, value, said, steps, _comparison(known, value))

    def __repr__(self) -> str:
        return f"Condition({', '.join(map(repr, [self.path, self.op.value, *self._given]))})"

    def __str__(self) -> str:
        return " ".join([self.path, self.op.value, *(json.dumps(one, ensure_ascii=False) for one in self._given)])

    def __reduce__(self) -> tuple[object, ...]:
        return Condition, (self.path, self.op.value, *self._given)

    def holds(self, payload: Any) -> bool:
        """Return whether it holds for a JSON payload; this never raises."""
        found = values_at(payload, self._steps)
        if self.op is Operator.MISSING:
            return next(found, _NONE_GIVEN) is _NONE_GIVEN
        return any(map(self._compare, found))

    def is_ruled_out(self, schema: Any) -> bool:
        """Return whether a JSON Schema leaves no place for its path: no such property, or no object."""
        for step in self._steps:
            if not isinstance(schema, dict) or schema.keys() & _OPEN_ENDED:
                return schema is False
            inside = "object" if isinstance(step, str) else None if step is ANY else "array"
            kinds = schema.get("type", inside)
            if inside is not None and inside not in (kinds if isinstance(kinds, list) else [kinds]):
                return True
            schema = _schema_inside(schema, step)
        return schema is False

    def parts(self) -> dict[str, Any]:
        """Return its parts as JSON values, without `value` where the operator takes none."""
        return dict(zip(("path", "op", "value"), [self.path, self.op.value, *self._given], strict=False))

    @property
    def _given(self) -> list[Any]:
        """The value as JSON, or nothing."""
        if self.op in _WITHOUT_VALUE:
            return []
        return [list(self.value) if isinstance(self.value, tuple) else self.value]


def conditions(value: object) -> tuple[Condition, ...]:
    """Return the conditions of a subscription as a tuple, or raise `InvalidWebhook`."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidWebhook("where takes a list of conditions, such as [Condition('amount', 'ge', 100)]", name="where")
    given = tuple(value)
    if not all(isinstance(one, Condition) for one in given):
        raise InvalidWebhook("each part of where must be a Condition(path, op, value)", name="where")
    if len(given) > MAX_CONDITIONS:
        template = "a subscription has at most {most} conditions; use another one"
        raise InvalidWebhook(said("too-many-conditions", template, most=MAX_CONDITIONS), name="where")
    return tuple(dict.fromkeys(given))


def values_at(value: Any, steps: Sequence[Step]) -> Iterator[Any]:
    """Yield the values at a path in a payload."""
    for position, step in enumerate(steps):
        if step is ANY:
            inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
            rest = steps[position + 1 :]
            if not rest:
                yield from inside
            for one in inside if rest else ():
                yield from values_at(one, rest)
            return
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return
        elif not isinstance(value, list | tuple) or step >= len(value):
            return
        value = value[step]
    yield value


def _schema_inside(schema: Mapping[str, Any], step: Step) -> Any:
    if step is ANY:
        return True
    if not isinstance(step, str):
        return schema.get("items", True)
    properties = schema.get("properties", {})
    if step in properties:
        return properties[step]
    return True if schema.get("patternProperties") else schema.get("additionalProperties", True)


def _steps(path: object) -> Path:
    try:
        return parse_path(path)
    except InvalidMapping as error:
        raise InvalidWebhook(error.message, name=error.name) from None


def _operator(op: object) -> Operator:
    try:
        return Operator(op)  # type: ignore[arg-type]
    except ValueError:
        names = ", ".join(one.value for one in Operator)
        sentence = said("operator-unknown", "{op} is no operator; use one of {names}", op=brief(op), names=names)
        raise InvalidWebhook(sentence, name="op") from None


def _checked(op: Operator, value: Any) -> Any:
    if op in _WITHOUT_VALUE:
        if value is not _NONE_GIVEN:
            raise _bad_value("value-needless", op, "takes no value; leave it out")
        return None
    if value is _NONE_GIVEN:
        raise _bad_value("value-missing", op, "needs a value")
    if op in _LISTS:
        if not isinstance(value, list | tuple | set | frozenset) or not 1 <= len(value) <= _MAX_LISTED:
            raise _bad_value("value-list", op, "takes a list of 1 to {most} values", most=_MAX_LISTED)
        return tuple(_scalar(op, one) for one in value)
    value = _scalar(op, value)
    if op in _ORDERS and _kind(value) not in {"number", "text"}:
        raise _bad_value("value-order", op, "takes a number or a text, not {value}", value=repr(value))
    if op in _TEXTS and (not isinstance(value, str) or not value):
        raise _bad_value("value-text", op, "takes a text that is not empty, not {value}", value=repr(value))
    return value


def _scalar(op: Operator, value: Any) -> Any:
    is_finite = not isinstance(value, float) or math.isfinite(value)
    fits = is_storable(value) if isinstance(value, str) else not isinstance(value, int) or abs(value) < _TOO_LARGE
    if _kind(value) in {"list", "object", ""} or not is_finite or not fits:
        kinds = "texts of up to {most} characters, numbers of up to {most} digits, true, false and null"
        raise _bad_value("value-kind", op, f"takes {kinds}, not {{value}}", value=brief(value), most=MAX_TEXT)
    # Members of enumerations and other subclasses are kept as their base types.
    return str.__str__(value) if isinstance(value, str) else value


def _bad_value(code: str, op: Operator, template: str, **figures: str | int) -> InvalidWebhook:
    return InvalidWebhook(said(code, f"{{op}} {template}", op=op.value, **figures), name="value")


_KINDS: dict[type, str] = {
    str: "text", bool: "bool", int: "number", float: "number", type(None): "null", list: "list", tuple: "list",
    dict: "object",
}  # fmt: skip


def _kind(value: object) -> str:
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    return next((name for base, name in _KINDS.items() if isinstance(value, base)), "")


def _comparison(op: Operator, value: Any) -> Callable[[Any], bool]:
    """Return a function that tells whether the condition holds for a value at its path."""
    if op in _ORDERS:
        order, kind = _ORDERS[op], _kind(value)
        return lambda found: _kind(found) == kind and order(found, value)
    if op in _TEXTS:
        matches = str.startswith if op is Operator.PREFIX else str.endswith
        return lambda found: isinstance(found, str) and matches(found, value)
    if op in _WITHOUT_VALUE:
        return lambda _: True
    if op is Operator.CONTAINS:
        return _containment(value)
    return _membership(value if op in _LISTS else [value], negated=op in {Operator.NE, Operator.NOT_IN})


def _membership(values: Sequence[Any], *, negated: bool) -> Callable[[Any], bool]:
    keys = frozenset((_kind(one), one) for one in values)
    kinds = frozenset(kind for kind, _ in keys)

    def compare(found: Any) -> bool:
        kind = _kind(found)
        # Lists and objects are unhashable, and of no kind that can be compared.
        return kind in kinds and ((kind, found) in keys) is not negated

    return compare


def _containment(value: Any) -> Callable[[Any], bool]:
    is_equal = _membership([value], negated=False)

    def compare(found: Any) -> bool:
        if isinstance(found, str):
            return isinstance(value, str) and value in found
        return isinstance(found, list | tuple) and any(map(is_equal, found))

    return compare
