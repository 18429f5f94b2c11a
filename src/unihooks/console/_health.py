"""Describe the health of endpoints for the dots and bars of the pages."""

from __future__ import annotations

from attrs import field, frozen

from unihooks._contract.statistics import EndpointHealth, WebhookHealth
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.console._locale import gettext, ngettext
from unihooks.console._plots import Counted, stacked

_SHOWN = 2
_SPARK = {"width": 120, "height": 28}
_WORST_FIRST = ("off", "bad", "good", "none")


def health_word(endpoint: Endpoint, health: EndpointHealth | None) -> str:
    """Return `off`, `bad`, `good`, or `none` if nothing was sent yet."""
    if not endpoint.enabled:
        return "off"
    if health is None or (health.last_success_at is None and not health.failing):
        return "none"
    return "bad" if health.failing else "good"


@frozen
class WebhookRow:
    """A webhook as a list shows it."""

    webhook: Webhook
    health: WebhookHealth | None = None
    _words: dict[str, str] = field(init=False)

    def __attrs_post_init__(self) -> None:
        known = {one.endpoint_id: one for one in self.health.endpoints} if self.health else {}
        words = {one.id: health_word(one, known.get(one.id)) for one in self.webhook.endpoints}
        object.__setattr__(self, "_words", words)

    def health_of(self, endpoint: Endpoint) -> str:
        """Return the health of one of its endpoints as a word."""
        return self._words[endpoint.id]

    def of(self, endpoint: Endpoint) -> EndpointHealth | None:
        """Return the health of one of its endpoints, if it is known."""
        found = self.health.endpoints if self.health else ()
        return next((one for one in found if one.endpoint_id == endpoint.id), None)

    @property
    def worst_of_rest(self) -> str | None:
        """Return `off` or `bad` if an endpoint that the list does not show is that."""
        rest = {self._words[one.id] for one in self.webhook.endpoints[_SHOWN:]}
        worst = next((word for word in _WORST_FIRST if word in rest), None)
        return worst if worst in ("off", "bad") else None

    @property
    def bars(self) -> dict[str, str]:
        """Return the bars of the last 24 hours, as SVG paths."""
        return stacked(self._hours, **_SPARK)

    @property
    def bars_label(self) -> str:
        """Describe the bars in words."""
        attempts = sum(one.attempts for one in self._hours)
        failed = sum(one.failed for one in self._hours)
        text = ngettext("%(count)d attempt", "%(count)d attempts", attempts) % {"count": attempts}
        return gettext("%(attempts)s in 24 hours, %(failed)d failed") % {"attempts": text, "failed": failed}

    @property
    def _hours(self) -> tuple[Counted, ...]:
        return self.health.hours if self.health else ()
