"""Describe the health of endpoints and webhooks for the words, dots and bars of the pages."""

from __future__ import annotations

from functools import cached_property

from attrs import frozen

from unihooks._contract.statistics import WebhookHealth
from unihooks._model.health import HealthState
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.console.views.plots import Counted, stacked
from unihooks.console.words.locale import gettext, ngettext

_SHOWN = 2
_SPARK = {"width": 120, "height": 28}
_WORDS = {HealthState.DISABLED: "off", HealthState.FAILING: "bad", HealthState.DEGRADED: "weak"}
_WORST_FIRST = ("bad", "weak", "off", "good")


def health_word(endpoint: Endpoint) -> str:
    """Return `off`, `bad`, `weak`, `good`, or `none` if nothing was sent yet."""
    health = endpoint.health
    if not endpoint.enabled:
        return "off"
    if health.last_success_at is None and health.last_failure_at is None:
        return "none"
    return _WORDS.get(health.state, "good")


def webhook_word(webhook: Webhook) -> str:
    """Return the word of the worst enabled endpoint, `off` if all are disabled."""
    words = {health_word(one) for one in webhook.endpoints if one.enabled}
    return next((word for word in _WORST_FIRST if word in words), "none") if words else "off"


@frozen
class WebhookRow:
    """A webhook as a list shows it."""

    webhook: Webhook
    health: WebhookHealth | None = None

    @cached_property
    def _words(self) -> dict[str, str]:
        return {one.id: health_word(one) for one in self.webhook.endpoints}

    @property
    def word(self) -> str:
        """Return the webhook's own health as a word."""
        return webhook_word(self.webhook)

    @property
    def disabled(self) -> int:
        """Return how many of its endpoints are disabled while others are not, which its word does not tell."""
        count = sum(word == "off" for word in self._words.values())
        return count if count < len(self._words) else 0

    def health_of(self, endpoint: Endpoint) -> str:
        """Return the health of one of its endpoints as a word."""
        return self._words[endpoint.id]

    @property
    def worst_of_rest(self) -> str | None:
        """Return `bad`, `weak` or `off` if an endpoint that the list does not show is that."""
        rest = {self._words[one.id] for one in self.webhook.endpoints[_SHOWN:]}
        return next((word for word in _WORST_FIRST[:3] if word in rest), None)

    @property
    def success_share(self) -> float | None:
        """Return the share of the attempts of the last 24 hours that succeeded, None without any."""
        attempts = sum(one.attempts for one in self._hours)
        return sum(one.delivered for one in self._hours) / attempts if attempts else None

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
