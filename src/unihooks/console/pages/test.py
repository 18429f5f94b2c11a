"""Send a test event, with the catalog's example or a payload of the viewer's, and show the responses."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from unihooks._model.log import Attempt
from unihooks._model.webhooks import Webhook
from unihooks.console.host.rates import MOST_TESTED
from unihooks.console.host.viewers import Permission
from unihooks.console.http.access import action, view
from unihooks.console.http.forms import Form
from unihooks.console.http.rendering import (
    is_visit,
    off_the_loop,
    page,
    refusal,
    settings_of,
    toast,
    too_many,
    viewer_of,
    webhook_of,
)
from unihooks.console.views.attempts import ShownAttempt
from unihooks.console.views.tests import choices, example, results
from unihooks.console.words.formats import pretty
from unihooks.console.words.locale import gettext, ngettext
from unihooks.console.words.sentences import told
from unihooks.exceptions import UnihooksError


@view(Permission.SEND)
async def show(request: Request) -> Response:
    """Show the form with the example of an event type."""
    webhook = await webhook_of(request)
    kinds = choices(webhook.subscriptions, settings_of(request).dispatcher.catalog)
    asked, endpoint = request.query_params.get("event", ""), webhook.endpoint(request.query_params.get("endpoint", ""))
    event = asked if asked in kinds else next(iter(kinds), "")
    return await _shown(request, webhook, event, endpoint_id=None if endpoint is None else endpoint.id)


async def sent_before(request: Request, form: Form) -> Response:
    """Show the form as it was sent, and that it was sent."""
    wrong = gettext("This test was already sent. To send it again, press the button again.")
    shown = form.get("event"), form.get("payload"), form.get("endpoint") or None
    return await _shown(request, await webhook_of(request), *shown, wrong=wrong)


@action(Permission.SEND, again=sent_before)
async def send(request: Request, form: Form) -> Response:
    """Send it to the chosen endpoints, and show the responses."""
    settings, webhook = settings_of(request), await webhook_of(request)
    event, text, endpoint_id = form.get("event"), form.get("payload"), form.get("endpoint") or None
    chosen = 1 if endpoint_id else len(webhook.endpoints)
    again = partial(_shown, request, webhook, event, text, endpoint_id)
    if chosen > MOST_TESTED:
        return await again(wrong=gettext("Choose one endpoint: there are too many for one test."))
    if wait := settings.rates.tests.take(viewer_of(request).tenant, chosen):
        return too_many(request, wait)
    product, _, event_type = event.partition(" ")
    try:
        payload = await off_the_loop(_read, text)
        attempts = await settings.dispatcher.webhooks.asend_test(
            webhook.id,
            tenant=viewer_of(request).tenant,
            product=product,
            event_type=event_type,
            payload=payload,
            endpoint_id=endpoint_id,
        )
    except (UnihooksError, _NotJSON) as error:
        return await again(wrong=told(error))
    answer = await again(found=await off_the_loop(results, attempts, payload, webhook, webhook))
    # On a phone the results lie below the form.
    return answer if is_visit(request) else _summed_up(answer, attempts)


def _summed_up(answer: Response, attempts: list[Attempt]) -> Response:
    accepted, count = sum(one.succeeded for one in attempts), len(attempts)
    sentence = ngettext(
        "%(accepted)s of %(count)s endpoint has accepted the test.",
        "%(accepted)s of %(count)s endpoints have accepted the test.",
        count,
    )
    tone = "done" if accepted == count else "wrong"
    return toast(answer, sentence % {"accepted": accepted, "count": count}, tone=tone)


class _NotJSON(ValueError):
    pass


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"{error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else "1:1"
        raise _NotJSON(gettext("This is not valid JSON: see line and column %(where)s.") % {"where": where}) from None


async def _shown(
    request: Request,
    webhook: Webhook,
    event: str,
    text: str | None = None,
    endpoint_id: str | None = None,
    *,
    wrong: str | None = None,
    found: tuple[ShownAttempt, ...] | None = None,
) -> Response:
    catalog = settings_of(request).dispatcher.catalog
    return await page(
        request,
        "test.html",
        http_status=refusal(request) if wrong else 200,
        webhook=webhook,
        event=event,
        kinds=choices(webhook.subscriptions, catalog),
        free=catalog is None,
        payload=pretty(example(event, catalog)) if text is None else text,
        endpoint_id=endpoint_id,
        wrong=wrong,
        results=found,
        many=len(webhook.endpoints) > MOST_TESTED,
    )


ROUTES = [
    Route("/webhooks/{webhook_id}/test", show, methods=["GET"], name="test"),
    Route("/webhooks/{webhook_id}/test", send, methods=["POST"], name="send_test"),
]
