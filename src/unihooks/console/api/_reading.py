"""Read queries and bodies, and check them against the schemas that the API's own document shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from attrs import frozen
from starlette.requests import Request

from unihooks.console.api._problems import Problem, invalid, malformed
from unihooks.console.api._schemas import COMPONENTS

Schema = Mapping[str, Any]

# A payload of 256 KiB may take three times as much with all of its characters escaped, and a mapping comes with it.
MOST_BYTES = 1024 * 1024
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
_BOOLEANS = {"true": True, "false": False}


@frozen(kw_only=True)
class Query:
    """A parameter of a query."""

    name: str
    about: str
    schema: Schema

    def read(self, text: str) -> Any:
        """Return the value of a text, or raise a Problem."""
        value = self._converted(text)
        check(value, {key: one for key, one in self.schema.items() if key != "format"}, self.name)
        return value if self.schema.get("format") != "date-time" else self._moment(text)

    def _converted(self, text: str) -> Any:
        kind = self.schema["type"]
        if kind == "integer":
            return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 else text  # noqa: PLR2004
        return _BOOLEANS.get(text, text) if kind == "boolean" else text

    def _moment(self, text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise invalid(f"{self.name} must be a time with a zone, such as 2026-01-31T12:00:00Z", self.name)


def read_query(request: Request, queries: tuple[Query, ...]) -> dict[str, Any]:
    """Return the parameters that are given."""
    known = {query.name: query for query in queries}
    found: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        if name not in known:
            raise invalid(f"there is no parameter {name!r}; leave it out", name)
        if name in found:
            raise invalid(f"{name} appears twice; send it once", name)
        found[name] = known[name].read(text)
    return found


async def read_body(request: Request) -> bytes:
    """Return the body of an unsafe request, which must be JSON, since no form of another site can send that."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(
            415,
            "unsupported-media-type",
            "The body must be JSON",
            "send content-type: application/json, and {} if there is nothing to say",
        )
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise Problem(
                413,
                "too-large",
                "The body is too large",
                f"send at most {MOST_BYTES} bytes",
            )
    return bytes(body)


def parse(body: bytes, schema: Schema) -> dict[str, Any]:
    """Return the object in a body, or raise a Problem where it does not match the schema."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise malformed("the body must be JSON, and no object may have two members of one name") from None
    check(value, schema, "")
    return dict(value)


def check(value: Any, schema: Schema, place: str) -> None:
    """Raise a Problem where a value does not match; as much of JSON Schema is known as the API's schemas use."""
    while "$ref" in schema:
        schema = COMPONENTS[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        _check_any(value, schema["anyOf"], place)
        return
    kinds = schema.get("type")
    if kinds is not None and not _is_one_of(value, [kinds] if isinstance(kinds, str) else kinds):
        wanted = kinds if isinstance(kinds, str) else " or ".join(kinds)
        _refuse(f"must be of the type {wanted}", place)
    if "enum" in schema and value not in schema["enum"]:
        _refuse(f"must be one of {', '.join(str(one) for one in schema['enum'])}", place)
    _check_size(value, schema, place)
    if isinstance(value, dict):
        _check_object(value, schema, place)
    elif isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            check(item, schema["items"], f"{place}[{number}]")


def _check_any(value: Any, schemas: list[Schema], place: str) -> None:
    for schema in schemas[:-1]:
        try:
            check(value, schema, place)
        except Problem:
            continue
        return
    check(value, schemas[-1], place)


def _check_size(value: Any, schema: Schema, place: str) -> None:
    if isinstance(value, str | list):
        things = "Length" if isinstance(value, str) else "Items"
        least, most = schema.get(f"min{things}", 0), schema.get(f"max{things}", len(value))
        if not least <= len(value) <= most:
            _refuse(f"must have {least} to {most} {'characters' if things == 'Length' else 'items'}", place)
    elif isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        _refuse(f"must be from {schema.get('minimum')} to {schema.get('maximum')}", place)


def _check_object(value: dict[str, Any], schema: Schema, place: str) -> None:
    for name in schema.get("required", ()):
        if name not in value:
            _refuse("is missing", _inside(place, name))
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, item in value.items():
        if name not in known and others is False:
            _refuse("is unknown; leave it out", _inside(place, name))
        inner = known.get(name, others)
        if isinstance(inner, Mapping):
            check(item, inner, _inside(place, name))


def _is_one_of(value: Any, kinds: list[str]) -> bool:
    # Python's bool is an int, but true and false are not numbers in JSON.
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, _TYPES[kind]) for kind in kinds)


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _refuse(rule: str, place: str) -> NoReturn:
    raise invalid(f"{place or 'the body'} {rule}", place or None)


def _refuse_constant(_text: str) -> NoReturn:
    raise ValueError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
