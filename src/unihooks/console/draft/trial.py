"""Try a new webhook out before it is created: send a test to the endpoints of its draft."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from starlette.requests import Request

from unihooks.console.draft import checks
from unihooks.console.draft.draft import Draft
from unihooks.console.host.rates import MOST_TESTED
from unihooks.console.host.viewers import Permission
from unihooks.console.http.rendering import off_the_loop, settings_of, viewer_of
from unihooks.console.views.attempts import ShownAttempt
from unihooks.console.views.tests import example, results
from unihooks.console.words.locale import gettext, ngettext
from unihooks.console.words.sentences import told
from unihooks.exceptions import UnihooksError


@frozen
class Trial:
    """The result of a test: the event, an attempt for each endpoint, or the reason why nothing was sent."""

    event: str
    attempts: tuple[ShownAttempt, ...] = ()
    wrong: str | None = None

    @property
    def succeeded(self) -> bool:
        """Return whether every endpoint has accepted it."""
        return bool(self.attempts) and all(one.attempt.succeeded for one in self.attempts)


async def tried_out(request: Request, draft: Draft, event: str) -> Trial:
    """Send the example of an event to each endpoint of a valid draft, as far as the viewer may."""
    settings, viewer = settings_of(request), viewer_of(request)
    if not viewer.may(Permission.SEND):
        return Trial(event, wrong=gettext("Ask the manager of your account for permission."))
    webhook = await off_the_loop(checks.to_webhook, draft)
    if len(webhook.endpoints) > MOST_TESTED:
        return Trial(event, wrong=gettext("There are too many endpoints for one test."))
    if wait := settings.rates.tests.take(viewer.tenant, len(webhook.endpoints)):
        return Trial(event, wrong=_too_soon(int(wait) + 1))
    product, _, event_type = event.partition(" ")
    payload = example(event, settings.dispatcher.catalog)
    given: dict[str, Any] = {"product": product, "event_type": event_type, "payload": payload}
    try:
        attempts = await settings.dispatcher.webhooks.atry_out(webhook, tenant=viewer.tenant, **given)
    except UnihooksError as error:
        return Trial(event, wrong=told(error))
    return Trial(event, await off_the_loop(results, attempts, payload, webhook, None))


def _too_soon(seconds: int) -> str:
    sentence = ngettext(
        "Too many tests. Try again in %(count)s second.", "Too many tests. Try again in %(count)s seconds.", seconds
    )
    return sentence % {"count": seconds}
