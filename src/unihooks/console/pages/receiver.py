"""Accept and show requests at a test receiver, for viewers who have no endpoint yet."""

from __future__ import annotations

import math

from attrs import evolve
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from unihooks._base.awaitable import in_own_thread
from unihooks.console.draft import receivers
from unihooks.console.draft.draft import STEPS, Draft, EndpointField
from unihooks.console.draft.kept import Drafts, Stale, TooMany
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form
from unihooks.console.http.rendering import go_to, page, path_to, refuse, settings_of, viewer_of
from unihooks.console.words.sentences import told
from unihooks.exceptions import TargetRefused

# The largest body that a delivery may have; larger ones are refused.
_MOST_BYTES = 1024 * 1024
_METHODS = ["POST", "PUT", "PATCH"]


@view(Permission.WRITE)
async def show(request: Request) -> Response:
    """Show the receiver of a draft with what it has received; make it at the first visit."""
    drafts, draft_id = Drafts.of(request), request.path_params["draft_id"]
    store = drafts.store
    receiver = await in_own_thread(receivers.receiver_of, store, drafts.tenant, drafts.owner, draft_id)
    if receiver is None:
        if await drafts.get(draft_id) is None and not await drafts.is_open(draft_id):
            return refuse(request, 404)
        receiver = await in_own_thread(receivers.open_receiver, store, drafts.tenant, drafts.owner, draft_id)
    url = _url(request, receiver.id)
    kept = await drafts.get(draft_id)
    return await page(
        request,
        "receiver.html",
        draft_id=draft_id,
        receiver=receiver,
        endpoint_url=url,
        refused=_refusal(request, url),
        is_used=kept is not None and any(one.url == url for one in kept.draft.endpoints),
        is_there=kept is not None or await drafts.is_open(draft_id),
        requests=await in_own_thread(receivers.received, store, receiver),
        most=receivers.MOST_REQUESTS,
        live=path_to(request, "receiver", draft_id=draft_id),
    )


@action(Permission.WRITE)
async def use(request: Request, form: Form) -> Response:  # noqa: ARG001
    """Put the receiver's URL among the endpoints of its draft."""
    drafts, draft_id = Drafts.of(request), request.path_params["draft_id"]
    receiver = await in_own_thread(
        receivers.receiver_of, drafts.store, viewer_of(request).tenant, drafts.owner, draft_id
    )
    if receiver is None or (await drafts.get(draft_id) is None and not await drafts.is_open(draft_id)):
        return refuse(request, 404)
    url = _url(request, receiver.id)

    def change(before: Draft) -> Draft:
        rows = [one for one in before.endpoints if one.url.strip()]
        return (
            before if any(one.url == url for one in rows) else evolve(before, endpoints=[*rows, EndpointField("", url)])
        )

    kept = await drafts.get(draft_id)
    try:
        await drafts.save(draft_id, change, step=STEPS[0], version=kept.version if kept else 0, page="receiver")
    except (Stale, TooMany):
        return refuse(request, 409)
    return go_to(request, "draft", draft_id=draft_id, step=STEPS[0])


async def take_in(request: Request) -> Response:
    """Keep a request that came to a receiver's URL; whoever knows that may send."""
    settings = settings_of(request)
    store = settings.dispatcher.settings.open_store
    receiver = await in_own_thread(receivers.find_receiver, store, request.path_params["receiver_id"])
    if receiver is None:
        return PlainTextResponse("This test receiver is not there any more.\n", 404)
    if wait := settings.rates.received.take(receiver.id):
        return PlainTextResponse("Too many requests.\n", 429, {"retry-after": str(math.ceil(wait))})
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _MOST_BYTES:
            return PlainTextResponse("The body is too large.\n", 413)
        body += chunk[: max(0, receivers.MOST_BODY - len(body))]
    query = request.scope["query_string"].decode("latin-1")
    kept = receivers.to_request(request.method, query, request.headers.items(), bytes(body), size)
    await in_own_thread(receivers.keep_request, store, receiver, kept)
    return Response(status_code=204)


def _url(request: Request, receiver_id: str) -> str:
    """Return the URL under which a sender reaches the receiver: this page's own host."""
    return f"{request.url.scheme}://{request.url.netloc}{path_to(request, 'receive', receiver_id=receiver_id)}"


def _refusal(request: Request, url: str) -> str | None:
    """Return why events cannot be sent there, such as to a console on a developer's own machine."""
    try:
        settings_of(request).dispatcher.webhooks.check_url(url)
    except TargetRefused as error:
        return told(error)
    return None


ROUTES = [
    Route("/new/{draft_id}/receiver", show, methods=["GET"], name="receiver"),
    Route("/new/{draft_id}/receiver", use, methods=["POST"], name="use_receiver"),
    Route("/receive/{receiver_id}", take_in, methods=_METHODS, name="receive"),
]
