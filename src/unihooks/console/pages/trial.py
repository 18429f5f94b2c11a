"""Try a new webhook out before it is created: send a test to the endpoints of its draft."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from starlette.requests import Request

from unihooks._dispatcher import Dispatcher
from unihooks._message.payload import encode
from unihooks._message.rendering import Rendering
from unihooks._model.catalog import Catalog
from unihooks._model.products import EVERY_EVENT
from unihooks._model.webhooks import EventSubscription
from unihooks.console.draft import checks
from unihooks.console.draft.draft import Draft
from unihooks.console.host.viewers import Permission
from unihooks.console.http.rendering import off_the_loop, settings_of, viewer_of
from unihooks.console.pages.delivery import ShownAttempt, shown_attempt
from unihooks.console.words.locale import gettext, ngettext
from unihooks.console.words.sentences import told
from unihooks.console.words.titles import shown_catalog, titles
from unihooks.exceptions import UnihooksError

MOST_ENDPOINTS = 25


@frozen
class Trial:
    """What came of a test: the event, an attempt for each endpoint, or why nothing was sent."""

    event: str
    attempts: tuple[ShownAttempt, ...] = ()
    wrong: str | None = None

    @property
    def succeeded(self) -> bool:
        """Say whether every endpoint has taken it."""
        return bool(self.attempts) and all(one.attempt.succeeded for one in self.attempts)


def trial_choices(draft: Draft, dispatcher: Dispatcher) -> list[tuple[str, str]]:
    """Return the events that a test may send, each with its title: those chosen, or all on offer if none is yet."""
    catalog, title_of = dispatcher.catalog, titles(dispatcher.catalog)
    subscriptions = checks.chosen(draft)
    if catalog is None:
        named = [one for one in subscriptions if not one.event_type.endswith(EVERY_EVENT)]
        return [(f"{one.product} {one.event_type}", title_of(one)) for one in named]
    offered = [event for product in shown_catalog(catalog) or () for event in product if event.example is not None]
    wanted = [one for one in offered if any(each.may_mean(one.product, one.name) for each in subscriptions)]
    plain = [EventSubscription(one.product, one.name) for one in wanted or offered]
    return [(f"{one.product} {one.event_type}", title_of(one)) for one in plain]


async def tried_out(request: Request, draft: Draft, event: str) -> Trial:
    """Send the example of an event to each endpoint of a valid draft, as far as the viewer may."""
    settings, viewer = settings_of(request), viewer_of(request)
    if not viewer.may(Permission.SEND):
        return Trial(event, wrong=gettext("Ask the manager of your account for permission."))
    webhook = await off_the_loop(checks.to_webhook, draft)
    if len(webhook.endpoints) > MOST_ENDPOINTS:
        return Trial(event, wrong=gettext("There are too many endpoints for one test."))
    if wait := settings.rates.tests.take(viewer.tenant, len(webhook.endpoints)):
        return Trial(event, wrong=_too_soon(int(wait) + 1))
    product, _, event_type = event.partition(" ")
    payload = _example(product, event_type, settings.dispatcher.catalog)
    given: dict[str, Any] = {"product": product, "event_type": event_type, "payload": payload}
    try:
        attempts = await settings.dispatcher.webhooks.atry_out(webhook, tenant=viewer.tenant, **given)
    except UnihooksError as error:
        return Trial(event, wrong=told(error))
    body, rendering = encode(payload), Rendering.of(webhook.mapping)
    sent = body if rendering is None else (await off_the_loop(rendering.render, body)).body
    return Trial(event, tuple(shown_attempt(one, sent, None) for one in attempts))


def _too_soon(seconds: int) -> str:
    sentence = ngettext(
        "Too many tests. Try again in %(count)s second.", "Too many tests. Try again in %(count)s seconds.", seconds
    )
    return sentence % {"count": seconds}


def _example(product: str, event_type: str, catalog: Catalog | None) -> object:
    if catalog is None or product not in catalog or event_type not in catalog[product]:
        return {}
    example = catalog[product][event_type].example
    return {} if example is None else example
