"""Answer the requests for one path: permission, content type, body, idempotency key, then the operation."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unihooks.console._rendering import off_the_loop, settings_of, viewer_of
from unihooks.console.api import _idempotency
from unihooks.console.api._operations import Call, Operation
from unihooks.console.api._problems import Problem, answer, forbidden, problem_answer, to_problem
from unihooks.console.api._reading import parse, read_body, read_query
from unihooks.console.api._schemas import ref


class Resource:
    """One path with its operations by method: an ASGI application that never raises."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        try:
            response = await self._answered(request)
        except Exception as error:  # noqa: BLE001 - an unexpected error is answered too
            response = problem_answer(to_problem(error))
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        operation = self._operations.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            raise _not_allowed(self._operations)
        if operation.permission is not None and not viewer_of(request).may(operation.permission):
            raise forbidden(f"it needs the permission {operation.permission.value!r}; ask whoever manages your account")
        query = read_query(request, operation.query)
        if operation.body is None:
            call = _call(request, query=query)
            return await _rendered(operation, await operation.handle(call))
        body = await read_body(request)
        call = _call(request, query=query, body=await off_the_loop(parse, body, ref(operation.body)))
        key = request.headers.get("idempotency-key") if operation.keyed else None
        if key is None:
            return await _rendered(operation, await operation.handle(call))
        keyed = _idempotency.IdempotentRequest(
            store=call.dispatcher.settings.open_store,
            tenant=call.tenant,
            key=_idempotency.checked_key(key),
            digest=_idempotency.digest_of(request.method, request.scope["path"], body),
        )
        status, content, repeated = await keyed.answer(operation.status, lambda: operation.handle(call))
        return await off_the_loop(answer, content, status, {"idempotency-replayed": "true"} if repeated else None)


def _call(request: Request, **parts: Mapping[str, object]) -> Call:
    return Call(
        viewer=viewer_of(request),
        settings=settings_of(request),
        root=request.scope.get("root_path", ""),
        path=request.path_params,
        **parts,
    )


async def _rendered(operation: Operation, content: dict[str, object]) -> Response:
    return await off_the_loop(answer, content, operation.status)


def _not_allowed(operations: Mapping[str, Operation]) -> Problem:
    allowed = ", ".join(operations)
    return Problem(
        405,
        "method-not-allowed",
        "This method is not allowed here",
        f"this path allows {allowed}",
        headers={"allow": allowed},
    )
