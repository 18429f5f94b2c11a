"""Report errors as problem+json (RFC 9457): typed, with the field's name, never with a secret or a traceback."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, field, frozen
from starlette.responses import Response

from unihooks.console.api.faults import MOST_FAULTS, Fault
from unihooks.exceptions import (
    Conflict,
    IdempotencyConflict,
    InvalidArgument,
    InvalidHeader,
    InvalidMapping,
    InvalidPayload,
    InvalidWebhook,
    LimitReached,
    NotFound,
    StoreError,
    TargetRefused,
    UnihooksError,
    UnknownEventType,
)

_MOST_SHOWN = 500
_SOON = 5
# What stays until somebody deletes it: to try again in some seconds would be in vain.
_KEPT = ("webhooks", "endpoints")
_logger = logging.getLogger("unihooks.console")


@frozen
class Problem(Exception):
    """An error response: `kind` names the type, `name` the field, `faults` all errors with their places."""

    status: int
    kind: str
    title: str
    detail: str
    name: str | None = field(default=None, kw_only=True)
    headers: Mapping[str, str] = field(factory=dict, kw_only=True)
    faults: Sequence[Fault] = field(default=(), kw_only=True)

    @property
    def content(self) -> dict[str, Any]:
        """Return the members of the response."""
        content = {
            "type": f"urn:webhooks:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail[:_MOST_SHOWN],
        }
        if self.name is not None:
            content["field"] = self.name[:_MOST_SHOWN]
        if self.faults:
            content["errors"] = [one.content for one in self.faults[:MOST_FAULTS]]
        return content


# The first class that matches counts. The detail is the error's own message.
_KINDS: tuple[tuple[type[UnihooksError], int, str, str], ...] = (
    (IdempotencyConflict, 422, "idempotency-key-reused", "The idempotency key was used before"),
    (Conflict, 409, "conflict", "Conflict"),
    (TargetRefused, 422, "target-refused", "This destination is not allowed"),
    (InvalidHeader, 422, "invalid-header", "A custom header is not allowed"),
    (InvalidMapping, 422, "invalid-mapping", "The payload mapping is not well formed"),
    (UnknownEventType, 422, "unknown-event-type", "There is no such event type"),
    (InvalidPayload, 422, "invalid-payload", "The payload cannot be used"),
    (InvalidWebhook, 422, "invalid-value", "A value is not allowed"),
    (InvalidArgument, 422, "invalid-value", "A value is not allowed"),
)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Render a response."""
    return Response(_encoded(content), status, headers, media_type="application/json")


def problem_answer(problem: Problem) -> Response:
    """Render a problem."""
    return Response(_encoded(problem.content), problem.status, problem.headers, media_type="application/problem+json")


def to_problem(error: Exception) -> Problem:
    """Return the problem for an error; details for the operator go to the log."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NotFound):
        what = (error.name or "item").removesuffix("_id")
        return Problem(404, "not-found", "Not found", f"there is no {what} with this id", name=error.name)
    for kind, status, slug, title in _KINDS:
        if isinstance(error, kind):
            return Problem(status, slug, title, error.message, name=_field(error))
    if isinstance(error, LimitReached):
        return _full(error) if error.name in _KEPT else too_many(_SOON, error.message)
    if isinstance(error, StoreError):
        _logger.error("the store cannot be used: %s", error)
        sentence, again = "try again in a few seconds", {"retry-after": str(_SOON)}
        return Problem(503, "unavailable", "The database cannot be used at the moment", sentence, headers=again)
    _logger.error("a request to the console's API failed", exc_info=error)
    return Problem(500, "internal", "Something went wrong", "the operator's log has the reason; try again")


def invalid(sentence: str, name: str | None = None) -> Problem:
    """Return the problem of a value that is not allowed."""
    return Problem(422, "invalid-value", "A value is not allowed", sentence, name=name)


def with_faults(faults: Sequence[Fault], first: Problem | None = None) -> Problem:
    """Return one problem for all errors of a request; its kind and field are those of the first fault."""
    known = first or invalid(faults[0].detail, faults[0].field)
    more = len(faults) - 1
    detail = f"{known.detail} (and {more} more: see errors)" if more else known.detail
    return evolve(known, detail=detail, faults=tuple(faults))


def forbidden(sentence: str, name: str | None = None) -> Problem:
    """Return the problem of a viewer who lacks a permission."""
    return Problem(403, "forbidden", "You may not do this", sentence, name=name)


def malformed(sentence: str) -> Problem:
    """Return the problem of a request that cannot be read."""
    return Problem(400, "malformed", "The request cannot be read", sentence)


def too_many(wait: float, why: str | None = None) -> Problem:
    """Return the problem of a tenant that asks too often and may ask again after `wait` seconds."""
    seconds = str(max(1, math.ceil(wait)))
    return Problem(
        429,
        "too-many-requests",
        "Too many requests",
        why or f"try again in {seconds} seconds",
        headers={"retry-after": seconds},
    )


def _field(error: UnihooksError) -> str | None:
    """Return the field of the body that is wrong; an error names a path, rule or header inside it."""
    name = error.name
    if isinstance(error, InvalidMapping):
        return "mapping"
    if isinstance(error, InvalidHeader):
        return f"headers.{name}" if name else "headers"
    return f"payload{name[1:]}" if name is not None and name.startswith("$") else name


def _full(error: LimitReached) -> Problem:
    return Problem(409, "limit-reached", "There are as many as there may be", error.message, name=error.name)


def _encoded(content: Any) -> bytes:
    # The response may quote the request, which may hold a lone surrogate: UTF-8 cannot encode one, ASCII escapes can.
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")
