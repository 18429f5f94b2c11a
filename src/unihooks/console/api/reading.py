"""Read queries and bodies, and report all errors in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any, NoReturn

from attrs import frozen
from starlette.requests import Request

from unihooks.console.api.faults import MOST_FAULTS, Fault
from unihooks.console.api.problems import Problem, malformed, with_faults
from unihooks.console.api.schema_checks import Schema, faults_of, to_moment

# A payload of 256 KiB may take three times as much with all of its characters escaped, and a mapping comes with it.
MOST_BYTES = 1024 * 1024
_BOOLEANS = {"true": True, "false": False}


@frozen(kw_only=True)
class Query:
    """A parameter of a query."""

    name: str
    about: str
    schema: Schema

    def faults(self, text: str) -> list[Fault]:
        """Return the errors of a text."""
        found = faults_of(self._converted(text), self.schema, (self.name,))
        return [Fault(one.detail, name=self.name) for one in found]

    def read(self, text: str) -> Any:
        """Return the value of a text without errors."""
        return to_moment(text) if self.schema.get("format") == "date-time" else self._converted(text)

    def _converted(self, text: str) -> Any:
        kind = self.schema["type"]
        if kind == "integer":
            return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 else text  # noqa: PLR2004
        return _BOOLEANS.get(text, text) if kind == "boolean" else text


def read_query(request: Request, queries: tuple[Query, ...]) -> dict[str, Any]:
    """Return the parameters that are given, or raise a Problem with all that is wrong with them."""
    known = {query.name: query for query in queries}
    given = request.query_params.multi_items()
    faults = list(islice(_faults_of_query(given, known), MOST_FAULTS))
    if faults:
        raise with_faults(faults)
    return {name: known[name].read(text) for name, text in given}


def _faults_of_query(given: Iterable[tuple[str, str]], known: dict[str, Query]) -> Iterable[Fault]:
    seen: set[str] = set()
    for name, text in given:
        if name not in known:
            offered = f"; this path takes {', '.join(known)}" if known else ""
            yield Fault(f"there is no parameter {name!r}; leave it out{offered}", name=name)
        elif name in seen:
            yield Fault(f"{name} appears twice; send it once", name=name)
        else:
            yield from known[name].faults(text)
        seen.add(name)


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


def parse(body: bytes, schema: Schema) -> tuple[dict[str, Any], list[Fault]]:
    """Return the object in a body, and where it does not match the schema; raise a Problem if it is no object."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise malformed("the body must be JSON, and no object may have two members of one name") from None
    faults = list(islice(faults_of(value, schema), MOST_FAULTS))
    if not isinstance(value, dict):
        raise with_faults(faults)
    return value, faults


def _refuse_constant(_text: str) -> NoReturn:
    raise ValueError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
