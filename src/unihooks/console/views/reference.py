"""Turn the API's declarations into the content of its reference page."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from attrs import frozen

from unihooks.console.api import ALL
from unihooks.console.api.document import PROBLEMS, described, problem_codes, shown_to
from unihooks.console.api.examples import EXAMPLES
from unihooks.console.api.operations import Operation
from unihooks.console.api.schema_checks import resolved
from unihooks.console.api.schemas import ref
from unihooks.console.host.viewers import Viewer
from unihooks.console.words.formats import pretty

Schema = Mapping[str, Any]
_MOST_IN_A_LINE = 60
# Readers write bodies, so they need all fields; the example shows what is in an answer.
_DEEPEST_GIVEN, _DEEPEST_ANSWERED = 3, 1
_ID = re.compile(r"\{(\w+)\}")
_EXAMPLE_IDS = {
    "webhook_id": "wh_0d5mwa8cjx4xk6cg8g8k",
    "endpoint_id": "ep_0d5mwa8cjx4xk6cg8g8m",
    "delivery_id": "dlv_0d5mwb0q1r5v8y3k7e2j",
    "event_id": "evt_0d5mwb0q1r5v8y3k7e2h",
    "job_id": "job_0d5mwb2m3w7pm4rb0n5t",
}


@frozen
class Field:
    """A row of a table of fields: `name` is its place, such as `endpoints[].url`."""

    name: str
    kind: str
    about: str
    required: bool


@frozen
class Entry:
    """An operation as the page shows it."""

    operation: Operation
    parameters: Sequence[Field]
    body: Sequence[Field]
    answer: Sequence[Field]
    body_example: str | None
    answer_example: str
    problems: Sequence[tuple[str, str]]

    def request(self, base: str) -> str:
        """Return the operation as a command for a shell."""
        path = _ID.sub(lambda found: _EXAMPLE_IDS[found[1]], self.operation.path)
        method = "" if self.operation.method == "GET" else f" -X {self.operation.method}"
        lines = [f"curl{method} {shlex.quote(f'{base}{path}')}"]
        if self.body_example is not None:
            body = json.dumps(EXAMPLES[self.operation.body or "Nothing"], ensure_ascii=False)
            shown = body if len(body) <= _MOST_IN_A_LINE else self.body_example
            lines += ["-H 'content-type: application/json'", f"-d {shlex.quote(shown)}"]
        return " \\\n  ".join(lines)


def chapters(viewer: Viewer) -> dict[str, list[Operation]]:
    """Return the operations that a viewer is told of, by chapter."""
    found: dict[str, list[Operation]] = {}
    for one in shown_to(viewer, ALL):
        found.setdefault(one.tag, []).append(one)
    return found


@cache
def entry(operation: Operation) -> Entry:
    """Return what there is to show of an operation."""
    return Entry(
        operation=operation,
        parameters=[
            Field(one["name"], _kind(one["schema"]), one.get("description", "in the path"), one.get("required", False))
            for one in described(operation)["parameters"]
        ],
        body=[] if operation.body is None else list(_fields(ref(operation.body), _DEEPEST_GIVEN)),
        answer=list(_fields(ref(operation.answer), _DEEPEST_ANSWERED)),
        body_example=None if operation.body is None else pretty(EXAMPLES[operation.body]),
        answer_example=pretty(EXAMPLES[operation.answer]),
        problems=[(code, PROBLEMS[code]) for code in problem_codes(operation)],
    )


def _fields(schema: Schema, deepest: int, place: str = "") -> Iterator[Field]:
    """Yield the fields of an object, and those of the objects inside it, `deepest` levels down."""
    schema = _object_of(resolved(schema))
    for name, inner in schema.get("properties", {}).items():
        found = resolved(inner)
        where = f"{place}{name}"
        yield Field(where, _kind(inner), found.get("description", ""), required=name in schema.get("required", ()))
        if deepest:
            yield from _fields(found.get("items", found), deepest - 1, f"{where}{'[]' if 'items' in found else ''}.")


def _object_of(schema: Schema) -> Schema:
    """Return the alternative that has fields, if there are several."""
    for one in schema.get("anyOf", ()):
        if "properties" in resolved(one):
            return resolved(one)
    return schema


def _kind(schema: Schema) -> str:
    """Return the type of a field in the words of JSON Schema, with its limits."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(json.dumps(one) for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kinds = schema.get("type", "any JSON value")
    text = kinds if isinstance(kinds, str) else " or ".join(kinds)
    return f"{text}{_limits(schema)}" if "format" not in schema else f"{text} ({schema['format']})"


def _limits(schema: Schema) -> str:
    least = schema.get("minimum", schema.get("minLength"))
    most = schema.get("maximum", schema.get("maxLength"))
    if most is None:
        return f", {least} or more" if least else ""
    return f", {least or 0} to {most}"


PROBLEM = pretty(EXAMPLES["Problem"])
