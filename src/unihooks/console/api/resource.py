"""Handle the requests for one path: permission, content type, body, idempotency key, version, then the operation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from attrs import evolve
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unihooks._dispatcher import Dispatcher
from unihooks.console.api import idempotency
from unihooks.console.api.faults import MOST_FAULTS, Fault, place_of
from unihooks.console.api.operations import Call, Operation
from unihooks.console.api.problems import Problem, answer, forbidden, problem_answer, to_problem, with_faults
from unihooks.console.api.reading import parse, read_body, read_query
from unihooks.console.api.schemas import ref
from unihooks.console.api.versions import has_changed, has_no_versions, tag_of, version_for
from unihooks.console.http.rendering import off_the_loop, settings_of, viewer_of
from unihooks.exceptions import Conflict, UnihooksError

_MOST_METHOD = 20


class Resource:
    """One path with its operations by method: an ASGI application that never raises."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        request = Request(scope, receive)
        try:
            response = await self._answered(request)
        except Exception as error:  # noqa: BLE001 - an unexpected error is reported too
            response = problem_answer(to_problem(error))
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        operation = self._operations.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            raise _not_allowed(request.method, self._operations)
        if operation.permission is not None and not viewer_of(request).may(operation.permission):
            raise forbidden(f"it needs the permission {operation.permission.value!r}; ask whoever manages your account")
        query = read_query(request, operation.query)
        if operation.body is None:
            return await _done(operation, _call(request, query=query))
        body = await read_body(request)
        given = await off_the_loop(_read, operation, body, settings_of(request).dispatcher)
        call = _call(request, query=query, body=given)
        key = request.headers.get("idempotency-key") if operation.keyed else None
        digest = idempotency.digest_of(request.method, request.scope["path"], body)
        try:
            return await (_done(operation, call) if key is None else _done_once(operation, call, key, digest))
        except (Problem, UnihooksError) as error:
            raise _located(to_problem(error), given) from error


def _read(operation: Operation, body: bytes, dispatcher: Dispatcher) -> dict[str, Any]:
    """Return the object in a body, or raise a Problem with all that is wrong with it."""
    given, faults = parse(body, ref(operation.body or "Nothing"))
    # There may be more faults than these, also in the parts that would be examined.
    examine = operation.examine if len(faults) < MOST_FAULTS else None
    more = [] if examine is None else list(islice(examine(dispatcher, given, faults), MOST_FAULTS))
    if faults:
        raise with_faults([*faults, *(fault for fault, _ in more)])
    if more:
        raise with_faults([fault for fault, _ in more], to_problem(more[0][1]))
    return given


def _located(problem: Problem, body: Mapping[str, Any]) -> Problem:
    """Return the place of a problem's field in the body, if it is there."""
    if problem.name is None or problem.faults:
        return problem
    place = place_of(problem.name, body)
    if place is None and "filter" in body:
        inner = place_of(problem.name, body["filter"])
        place = inner and ("filter", *inner)
    return problem if place is None else evolve(problem, faults=(Fault(problem.detail, place),))


def _call(request: Request, **parts: Any) -> Call:
    return Call(
        viewer=viewer_of(request),
        settings=settings_of(request),
        root=request.scope.get("root_path", ""),
        path=request.path_params,
        if_match=request.headers.get("if-match"),
        **parts,
    )


async def _done(operation: Operation, call: Call) -> Response:
    content = await _carried_out(operation, call)
    return await off_the_loop(answer, content, operation.status, _headers(operation, call, content))


async def _done_once(operation: Operation, call: Call, key: str, digest: bytes) -> Response:
    """Carry it out, unless it was carried out with this key before."""
    keyed = idempotency.IdempotentRequest(
        store=call.dispatcher.settings.open_store,
        tenant=call.tenant,
        key=idempotency.checked_key(key),
        digest=digest,
    )
    status, content, repeated = await keyed.answer(operation.status, lambda: _carried_out(operation, call))
    headers = _headers(operation, call, content) | ({"idempotency-replayed": "true"} if repeated else {})
    return await off_the_loop(answer, content, status, headers)


async def _carried_out(operation: Operation, call: Call) -> dict[str, Any]:
    if call.if_match is None or operation.safe:
        return await operation.handle(call)
    if not operation.versioned:
        raise has_no_versions()
    current = await call.dispatcher.webhooks.aget(call.path["webhook_id"], tenant=call.tenant)
    version = version_for(call.if_match, current.version)
    try:
        return await operation.handle(evolve(call, version=version))
    except Conflict as error:
        if version is None or error.name != "version":
            raise
        raise has_changed() from error


def _headers(operation: Operation, call: Call, content: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers that say where what was made is found, and which version it has."""
    headers = tag_of(content) if operation.tagged else {}
    place = operation.location
    return headers if place is None else headers | {"location": f"{call.root}{place.format(**content)}"}


def _not_allowed(method: str, operations: Mapping[str, Operation]) -> Problem:
    """Return the problem of a method that a path does not have; it says what the allowed ones do."""
    allowed = ", ".join(["GET, HEAD" if one == "GET" else one for one in operations])
    ways = "; ".join(f"{one} to {found.summary[:1].lower()}{found.summary[1:]}" for one, found in operations.items())
    return Problem(
        405,
        "method-not-allowed",
        "This method is not allowed here",
        f"this path does not take {method[:_MOST_METHOD]}: use {ways}",
        headers={"allow": allowed},
    )
