"""Carry out a form once: a double click, a reload, or Back and a second submit lead to the first one's page.

Each form has a random value. The first submit is noted in the store under the
viewer, the path, that value and what the form says, with the target of its response.
Another submit of the same waits for that response, in whatever process it runs.
A form that says something else is another request, although its value is the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import Response

from unihooks.abc import IdempotencyRecord
from unihooks.console.http import csrf
from unihooks.console.http.records import RequestRecord
from unihooks.console.http.rendering import redirect, refuse, settings_of, viewer_of
from unihooks.console.words.locale import gettext

FIELD = "once"
_OUTSIDE = (csrf.FIELD, FIELD)
# A double click, or a page whose response was lost: its viewer has not been told yet what was done.
_SOON = 15.0
# The seconds between checks whether the first submit has its response: 20 in all.
_WAITS = (0.05, 0.1, 0.2, 0.4, *[0.5] * 38)


def leads_to(request: Request, where: str) -> None:
    """Set the target of a second submit if the response to the first one is a page that is shown only once."""
    request.state.leads_to = where


async def carry_out(
    request: Request,
    pairs: Iterable[tuple[str, str]],
    do: Callable[[], Awaitable[Response]],
    again: Callable[[], Awaitable[Response]] | None = None,
) -> Response:
    """Do what the form says, or respond like its first submit; `again` responds if that did not lead to a page."""
    record = _record(request, tuple(pairs))
    if record is None:
        return await do()
    before = await _first(record)
    if before is not None:
        return await _repeated(request, before, again)
    try:
        answer = await do()
    except Exception:
        # A refused form may be sent again.
        await record.drop()
        raise
    if answer.status_code >= 400 or getattr(request.state, "refused", False):  # noqa: PLR2004
        await record.drop()
    else:
        await record.keep(303, _outcome(request, answer))
    return answer


@asynccontextmanager
async def one_at_a_time(request: Request, what: str) -> AsyncIterator[None]:
    """Make each request for `what` of the viewer's tenant wait for the one before it, in whatever process."""
    store = settings_of(request).dispatcher.settings.open_store
    record = RequestRecord(store=store, tenant=viewer_of(request).tenant, key=f"\x1falone {what}", digest=b"")
    before = await _waited(record, until=lambda before: before is None)
    try:
        yield
    finally:
        if before is None:
            await record.drop()


def _record(request: Request, pairs: tuple[tuple[str, str], ...]) -> RequestRecord | None:
    value = dict(pairs).get(FIELD)
    if not value:
        return None
    viewer = viewer_of(request)
    said = json.dumps([pair for pair in pairs if pair[0] not in _OUTSIDE]).encode()
    named = f"{viewer.name}\0{request.scope['path']}\0{value}\0".encode()
    # Keys of the API cannot contain this control character.
    key = f"\x1fform {hashlib.sha256(named + said).hexdigest()}"
    store = settings_of(request).dispatcher.settings.open_store
    return RequestRecord(store=store, tenant=viewer.tenant, key=key, digest=hashlib.sha256(said).digest())


async def _first(record: RequestRecord) -> IdempotencyRecord | None:
    """Return the record of the first submit when it has its response; None if this is to be the first."""
    return await _waited(record, until=lambda before: before is None or before.status is not None)


async def _waited(
    record: RequestRecord, *, until: Callable[[IdempotencyRecord | None], bool]
) -> IdempotencyRecord | None:
    before = await record.begin()
    for wait in _WAITS:
        if until(before):
            break
        await asyncio.sleep(wait)
        before = await record.begin()
    return before


def _outcome(request: Request, answer: Response) -> bytes:
    where = answer.headers.get("hx-redirect") or answer.headers.get("location")
    to, done = where or getattr(request.state, "leads_to", None), getattr(request.state, "done", None)
    return json.dumps({"to": to, "done": done, "at": time.time()}).encode()


async def _repeated(
    request: Request, before: IdempotencyRecord, again: Callable[[], Awaitable[Response]] | None
) -> Response:
    outcome = json.loads(before.content) if before.content is not None else {}
    if outcome.get("to"):
        soon = outcome["done"] and time.time() - outcome["at"] < _SOON
        return redirect(request, outcome["to"], done=outcome["done"] if soon else "before")
    if again is not None and outcome:
        return await again()
    return refuse(
        request,
        409,
        sentence=gettext("This form was already sent, so nothing was done again.")
        if outcome
        else gettext("This form was sent a moment ago and is still being processed. Look again soon."),
    )
