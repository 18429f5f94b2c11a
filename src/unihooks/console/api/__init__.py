"""The JSON API of the console: what the pages do, with the same permissions."""

from __future__ import annotations

from attrs import evolve
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from unihooks.console.api import catalog, document, jobs, log, operator, tests, webhooks
from unihooks.console.api.operations import Operation
from unihooks.console.api.problems import Problem, problem_answer
from unihooks.console.api.resource import Resource

_PARTS = {
    "Webhooks": webhooks,
    "Tests": tests,
    "Log": log,
    "Jobs": jobs,
    "Catalog": catalog,
    "Operator": operator,
}
# In the order in which they are declared, which is that of their routes too.
OPERATIONS: tuple[Operation, ...] = tuple(
    evolve(one, tag=tag) for tag, part in _PARTS.items() for one in vars(part).values() if isinstance(one, Operation)
)
# These and the one that shows the document itself.
ALL = (*OPERATIONS, document.document_operation(OPERATIONS))


def api_routes() -> list[BaseRoute]:
    """Return the routes of the API, all below `/api`."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in ALL:
        paths.setdefault(operation.path, {})[operation.method] = operation
    routes = [Route(path, Resource(methods)) for path, methods in paths.items()]
    return [Mount("/api", app=Router(routes, default=_not_found, redirect_slashes=False), name="api")]


def no_such_path() -> Response:
    """Return the response for an unknown path."""
    detail = "there is no such path; /api/openapi.json lists them all"
    return problem_answer(Problem(404, "not-found", "Not found", detail))


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await no_such_path()(scope, receive, send)
