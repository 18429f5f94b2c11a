"""Describe the health of a webhook in one sentence, what to do first, and where its log shows more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from urllib.parse import urlencode

from attrs import frozen

from unihooks._contract.activity import EndpointActivity, Failures, Report, StatusFailures, TypeFailures
from unihooks._model.checks import NO_STATUS
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.console.views.health import health_word, webhook_word
from unihooks.console.views.plots import Bar
from unihooks.console.words.formats import ago, isolated, number, rate
from unihooks.console.words.locale import gettext, later, ngettext

_HOUR = timedelta(hours=1)
_MOSTLY = 0.5
_NOTHING_SENT = EndpointActivity()
_LEADS = {"bad": later("Failing."), "weak": later("Degraded."), "good": later("Healthy.")}


@frozen
class Period:
    """A period of a webhook's page: its length, its steps, and its name."""

    name: str
    in_sentence: str
    hours: int
    step: timedelta


PERIODS: Mapping[str, Period] = {
    "1h": Period(later("1 hour"), later("the last hour"), 1, _HOUR / 12),
    "24h": Period(later("24 hours"), later("the last 24 h"), 24, _HOUR),
    "7d": Period(later("7 days"), later("the last 7 days"), 168, 6 * _HOUR),
    "30d": Period(later("30 days"), later("the last 30 days"), 720, 24 * _HOUR),
}


@frozen
class Verdict:
    """The state of a webhook: a word for its colour, a sentence, and the first thing to do, or "" if there is none.

    `lead` stands before the sentence. `action` is `activate`, `events`, `enable`, `endpoints`, `failures` or `test`.
    """

    word: str
    sentence: str
    action: str = ""
    lead: str = ""


@frozen
class EndpointLine:
    """An endpoint with its health as a word, and what was sent to it."""

    endpoint: Endpoint
    word: str
    activity: EndpointActivity


@frozen
class WebhookView:
    """The content of a webhook's page for a period."""

    webhook: Webhook
    report: Report
    failures: Failures
    period: Period

    @cached_property
    def lines(self) -> list[EndpointLine]:
        """Return the endpoints, a line each."""
        sent = self.report.endpoints
        return [EndpointLine(one, health_word(one), sent.get(one.id, _NOTHING_SENT)) for one in self.webhook.endpoints]

    @property
    def disabled(self) -> list[Endpoint]:
        """Return the endpoints that are disabled."""
        return [one for one in self.webhook.endpoints if not one.enabled]

    @property
    def verdict(self) -> Verdict:
        """Return how the webhook is doing; what keeps everything from being sent comes first."""
        webhook = self.webhook
        if not webhook.active:
            return Verdict("", gettext("This webhook is inactive: no events are sent, except test events."), "activate")
        if not webhook.subscriptions:
            return Verdict("", gettext("No events are chosen yet, so nothing is sent."), "events")
        if len(self.disabled) == len(webhook.endpoints):
            return self._all_disabled()
        if not self.report.total.attempts:
            sentence = gettext("Nothing was sent in %(period)s.") % {"period": gettext(self.period.in_sentence)}
            return Verdict(webhook_word(webhook), sentence, "test")
        return self._by_rate()

    def _all_disabled(self) -> Verdict:
        if len(self.disabled) > 1:
            sentence = gettext("All its endpoints are disabled, so its deliveries are on hold.")
            return Verdict("off", sentence, "endpoints")
        sentence = gettext("Its endpoint was disabled %(when)s, so its deliveries are on hold.")
        return Verdict("off", sentence % {"when": ago(self.disabled[0].disabled_at)}, "enable")

    def _by_rate(self) -> Verdict:
        total = self.report.total
        parts = {
            "share": isolated(rate(total.success_share)),
            "period": gettext(self.period.in_sentence),
            "failed": number(total.failed),
        }
        if not total.failed:
            counted = ngettext("%(count)s attempt", "%(count)s attempts", total.attempts)
            parts["attempts"] = counted % {"count": number(total.attempts)}
            sentence = gettext("Everything succeeded in %(period)s: %(attempts)s.")
        elif not self.failures.count:
            sentence = gettext("%(share)s of the attempts succeeded in %(period)s; %(failed)s failed.")
        else:
            sentence = gettext("%(share)s of the attempts succeeded in %(period)s. %(deliveries)s.")
            parts["deliveries"] = self._failed_deliveries()
        word, action = webhook_word(self.webhook), "failures" if total.failed else ""
        return Verdict(word, sentence % parts, action, self._lead(word))

    def _failed_deliveries(self) -> str:
        """Return how many deliveries have failed or wait for a retry: those that are told apart further below."""
        failures, most = self.failures, self._mostly
        if failures.more:
            text = gettext("More than %(count)s deliveries failed or are being retried")
        else:
            text = ngettext(
                "%(count)s delivery failed or is being retried",
                "%(count)s deliveries failed or are being retried",
                failures.count,
            )
        said = text % {"count": number(failures.count)}
        return said if most is None else gettext("%(what)s, mostly %(most)s") % {"what": said, "most": most}

    def _lead(self, word: str) -> str:
        """Return the webhook's health in a word or, if only some of its endpoints share it, how many."""
        enabled = [one for one in self.lines if one.endpoint.enabled]
        count = sum(one.word == word for one in enabled)
        if count == len(enabled) or word not in ("bad", "weak"):
            return gettext(_LEADS[word]) if word in _LEADS else ""
        if word == "bad":
            text = ngettext(
                "%(count)d of %(all)d endpoints is failing.", "%(count)d of %(all)d endpoints are failing.", count
            )
        else:
            text = ngettext(
                "%(count)d of %(all)d endpoints is degraded.", "%(count)d of %(all)d endpoints are degraded.", count
            )
        return text % {"count": count, "all": len(enabled)}

    @property
    def _mostly(self) -> str | None:
        """Return the status of more than half of the failures, None if none was that frequent."""
        first = self.failures.by_status[0] if self.failures.by_status else None
        if first is None or first.count <= self.failures.count * _MOSTLY:
            return None
        return gettext("without a response") if first.status_code is None else str(first.status_code)

    # Links into the log. Times are UTC, as its filters take them.

    @property
    def failures_query(self) -> str:
        """Return the query of a log that shows the failures of the period."""
        if self._mostly:
            return self.status_query(self.failures.by_status[0])
        return self._query(state="failed" if self.failures.ended or not self.failures.count else "pending")

    def status_query(self, failures: StatusFailures) -> str:
        """Return the query of a log that shows the deliveries whose last response had a status code."""
        return self._query(code=_code(failures))

    def type_query(self, failures: TypeFailures) -> str:
        """Return the query of a log that shows the failures of an event type."""
        event = f"{failures.product} {failures.event_type}"
        if codes := self._common_codes:
            return self._query(event=event, code=codes)
        return self._query(event=event, state="failed" if self.failures.ended else "pending")

    @property
    def _common_codes(self) -> str:
        """Return the status code that all failures have, or else its class; empty if they have none in common."""
        codes = [_code(one) for one in self.failures.by_status]
        if len(set(codes)) == 1:
            return codes[0]
        # Only failed deliveries have responses of these classes.
        return next((f"{first}xx" for first in "45" if all(code.startswith(first) for code in codes)), "")

    def bar_query(self, bar: Bar) -> str:
        """Return the query of a log that shows the deliveries created in the time of a bar."""
        return urlencode({"from": _minute(bar.at), "to": _minute(bar.until)})

    def _query(self, **filters: str) -> str:
        return urlencode({**filters, "from": _minute(self.report.since)})


def _code(failures: StatusFailures) -> str:
    return NO_STATUS if failures.status_code is None else str(failures.status_code)


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M}"
