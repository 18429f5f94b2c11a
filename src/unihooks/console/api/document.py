"""Describe the API as an OpenAPI 3.1 document, made from its operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from unihooks.console.api.examples import EXAMPLES
from unihooks.console.api.operations import Call, Operation, operation
from unihooks.console.api.schemas import COMPONENTS, TEXT, ref
from unihooks.console.host.settings import ConsoleSettings
from unihooks.console.host.viewers import Permission, Viewer
from unihooks.console.http.portal import COOKIE as PORTAL_COOKIE

PROBLEMS = {
    "401": "Nobody is signed in.",
    "403": "The viewer lacks the permission, or the request comes from a page of another site.",
    "404": "It does not exist, or belongs to another tenant.",
    "405": "The path has no such method.",
    "409": "It has changed in the meantime, is in the wrong state or one too many, or the first request still runs.",
    "400": "The request cannot be read.",
    "412": "The webhook has not the version that `If-Match` names.",
    "413": "The body is too large.",
    "415": "The body is not JSON.",
    "422": "Values are not allowed: `errors` has all of them, each with a JSON pointer.",
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


_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The `ETag` that you have read: nothing is done if the webhook has another version by now.",
    "schema": {"type": "string", "pattern": '^(\\*|"[0-9]+")$'},
}
_SESSION = {
    "type": "apiKey",
    "in": "cookie",
    "name": "session",
    "description": "What signs you in where these pages are shown. Ask there for credentials for programs.",
}
_PORTAL = {
    "type": "apiKey",
    "in": "cookie",
    "name": f"__Host-{PORTAL_COOKIE}",
    "description": "What a link that signs you in leaves in your browser.",
}
_HEADERS = {
    "ETag": {"description": "The version, for `If-Match`.", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}},
    "Location": {"description": "The path of what was made.", "schema": {"type": "string", "format": "uri-reference"}},
}


def document_operation(operations: Sequence[Operation]) -> Operation:
    """Return the operation that shows the document."""

    @operation("GET", "/openapi.json", "getOpenAPI", answer="Document", permission=None, tag="Catalog")
    async def get_document(call: Call) -> dict[str, Any]:
        """Return this document."""
        return document(shown_to(call.viewer, (*operations, get_document)), call.root, call.settings)

    return get_document


def shown_to(viewer: Viewer, operations: Iterable[Operation]) -> list[Operation]:
    """Return the operations that a viewer may see: only operators see those for operators."""
    return [one for one in operations if one.permission is not Permission.OPERATE or viewer.may(Permission.OPERATE)]


def document(operations: Sequence[Operation], root: str, settings: ConsoleSettings) -> dict[str, Any]:
    """Return the document of an API that is mounted at a path."""
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = described(one)
    schemes = security_schemes(settings)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Webhooks console",
            "version": version("unihooks"),
            "description": "What the console's pages do. Times are ISO 8601 in UTC. The host identifies the viewer.",
        },
        "servers": [{"url": root or "/"}],
        "security": [{name: []} for name in schemes],
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in operations)],
        "paths": paths,
        "components": {
            "schemas": COMPONENTS,
            "responses": {
                code: _response(text, "Problem", "application/problem+json") for code, text in PROBLEMS.items()
            },
            "headers": _HEADERS,
            "securitySchemes": schemes,
        },
    }


def security_schemes(settings: ConsoleSettings) -> dict[str, Any]:
    """Return the host's security schemes, or else a session cookie; and that of portal links, if they are in use."""
    given = {"session": _SESSION} if settings.api_security is None else settings.api_security
    return {**given, **({"portal": _PORTAL} if settings.secret is not None else {})}


def described(one: Operation) -> dict[str, Any]:
    """Return the document's entry for an operation."""
    parameters = [
        *(
            {"name": name, "in": "path", "required": True, "schema": TEXT}
            for name in re.findall(r"\{(\w+)\}", one.path)
        ),
        *({"name": each.name, "in": "query", "description": each.about, "schema": each.schema} for each in one.query),
        *([_KEY] if one.keyed else []),
        *([_IF_MATCH] if one.versioned else []),
    ]
    problems = {code: {"$ref": f"#/components/responses/{code}"} for code in problem_codes(one)}
    permission = f"Needs the permission `{one.permission.value}`." if one.permission is not None else ""
    found: dict[str, Any] = {
        "operationId": one.id,
        "tags": [one.tag],
        "summary": one.summary,
        "description": " ".join(filter(None, [one.details, permission])),
        "parameters": parameters,
        "responses": {str(one.status): _answered(one), **problems},
    }
    if one.body is not None:
        content = {"schema": ref(one.body), "example": EXAMPLES[one.body]}
        found["requestBody"] = {"required": True, "content": {"application/json": content}}
    return found


def _answered(one: Operation) -> dict[str, Any]:
    found = _response("Created." if one.location else "Done.", one.answer)
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in one.headers}
    return found | {"headers": headers} if headers else found


def problem_codes(one: Operation) -> list[str]:
    """Return the status codes with which an operation may be refused."""
    codes = ["401", "403", "405", "503"]
    codes += ["404"] if "{" in one.path or one.body_names else []
    codes += ["422"] if one.query or one.body is not None else []
    codes += ["400", "413", "415"] if one.body is not None else []
    codes += ["409"] if not one.safe else []
    codes += ["412"] if one.versioned else []
    codes += ["429"] if one.limited else []
    return sorted(codes)


def _response(text: str, schema: str, media_type: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {media_type: {"schema": ref(schema), "example": EXAMPLES[schema]}}}
