"""Describe the API as an OpenAPI 3.1 document, made from its operations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from unihooks.console.api._operations import Call, Operation, operation
from unihooks.console.api._schemas import COMPONENTS, TEXT, ref

_PROBLEMS = {
    "401": "Nobody is signed in.",
    "403": "The viewer lacks the permission, or the request comes from a page of another site.",
    "404": "It does not exist, or belongs to another tenant.",
    "405": "The path has no such method.",
    "409": "It has changed in the meantime, is in the wrong state, or the first request is still running.",
    "400": "The request cannot be read.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "A value is not allowed; `field` names it.",
    "429": "Too many requests: wait as long as `Retry-After` says.",
    "503": "The database cannot be used at the moment.",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": (
        "A text of your own, such as a UUID. A request that is repeated with the same key is not carried out again: it "
        "gets the first response, without secrets. Keys are remembered for a day."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


def document_operation(operations: Sequence[Operation]) -> Operation:
    """Return the operation that shows the document."""

    @operation("GET", "/openapi.json", "getOpenAPI", answer="Document", permission=None)
    async def get_document(call: Call) -> dict[str, Any]:
        """Return this document."""
        return document((*operations, get_document), call.root)

    return get_document


def document(operations: Sequence[Operation], root: str) -> dict[str, Any]:
    """Return the document of an API that is mounted at a path."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _described(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Webhooks console",
            "version": version("unihooks"),
            "description": "What the console's pages do. Times are ISO 8601 in UTC. The host identifies the viewer.",
        },
        "servers": [{"url": root or "/"}],
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "responses": {
                code: _response(text, "Problem", "application/problem+json") for code, text in _PROBLEMS.items()
            },
        },
    }


def _described(one: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": one.id,
        "summary": one.summary,
        "parameters": [*_in_path(one.path), *_in_query(one), *([_KEY] if one.keyed else [])],
        "responses": {str(one.status): _response("Done.", one.answer), **_problems(one)},
    }
    if one.permission is not None:
        described["description"] = f"Needs the permission `{one.permission.value}`."
    if one.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(one.body)}}}
    return described


def _in_path(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", path)
    return [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]


def _in_query(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": query.name, "in": "query", "description": query.about, "schema": query.schema} for query in one.query
    ]


def _problems(one: Operation) -> dict[str, Any]:
    codes = ["401", "403", "405", "503"]
    codes += ["404"] if "{" in one.path or one.body_names else []
    codes += ["422"] if one.query or one.body is not None else []
    codes += ["400", "413", "415"] if one.body is not None else []
    codes += ["409"] if not one.safe else []
    codes += ["429"] if one.limited else []
    return {code: {"$ref": f"#/components/responses/{code}"} for code in sorted(codes)}


def _response(text: str, schema: str, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {media_type: {"schema": ref(schema)}}}
