"""Check values against the schemas of the API's own document, and report all errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from unihooks.console.api.faults import Fault, Place, written
from unihooks.console.api.schemas import COMPONENTS

Schema = Mapping[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def faults_of(value: Any, schema: Schema, place: Place = ()) -> Iterator[Fault]:
    """Yield where a value does not match a schema; knows the part of JSON Schema that the API's schemas use."""
    schema = resolved(schema)
    if "anyOf" in schema:
        yield from _faults_of_any(value, schema["anyOf"], place)
        return
    kinds = schema.get("type")
    if kinds is not None and not _is_one_of(value, [kinds] if isinstance(kinds, str) else kinds):
        wanted = kinds if isinstance(kinds, str) else " or ".join(kinds)
        yield _fault(f"must be of the type {wanted}", place)
        return
    if "enum" in schema and value not in schema["enum"]:
        yield _fault(f"must be one of {', '.join(str(one) for one in schema['enum'])}", place)
    yield from _faults_of_size(value, schema, place)
    if schema.get("format") == "date-time" and isinstance(value, str) and to_moment(value) is None:
        yield _fault("must be a time with a zone, such as 2026-01-31T12:00:00Z", place)
    if isinstance(value, dict):
        yield from _faults_of_object(value, schema, place)
    elif isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            yield from faults_of(item, schema["items"], (*place, number))


def resolved(schema: Schema) -> Schema:
    """Return the component that a reference means, or the schema itself."""
    while "$ref" in schema:
        schema = COMPONENTS[schema["$ref"].rpartition("/")[2]]
    return schema


def to_moment(text: str) -> datetime | None:
    """Return a time with a zone in UTC, or None if the text is none."""
    try:
        moment = datetime.fromisoformat(text)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _faults_of_any(value: Any, schemas: Sequence[Schema], place: Place) -> Iterator[Fault]:
    faults: list[Fault] = []
    for schema in schemas:
        faults = list(faults_of(value, schema, place))
        if not faults:
            return
    yield from faults


def _faults_of_size(value: Any, schema: Schema, place: Place) -> Iterator[Fault]:
    if isinstance(value, str | list):
        things = "Length" if isinstance(value, str) else "Items"
        least, most = schema.get(f"min{things}", 0), schema.get(f"max{things}", len(value))
        if not least <= len(value) <= most:
            yield _fault(f"must have {least} to {most} {'characters' if things == 'Length' else 'items'}", place)
    elif isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield _fault(f"must be from {schema.get('minimum')} to {schema.get('maximum')}", place)


def _faults_of_object(value: dict[str, Any], schema: Schema, place: Place) -> Iterator[Fault]:
    for name in schema.get("required", ()):
        if name not in value:
            yield _fault("is missing", (*place, name))
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, item in value.items():
        inner = known.get(name, others)
        if inner is False:
            yield _fault("is unknown; leave it out", (*place, name))
        elif isinstance(inner, Mapping):
            yield from faults_of(item, inner, (*place, name))


def _is_one_of(value: Any, kinds: Sequence[str]) -> bool:
    # Python's bool is an int, but true and false are not numbers in JSON.
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, _TYPES[kind]) for kind in kinds)


def _fault(rule: str, place: Place) -> Fault:
    return Fault(f"{written(place) or 'the body'} {rule}", place)
