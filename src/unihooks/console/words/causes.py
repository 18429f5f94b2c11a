"""Describe the state of a delivery in a few words, the cause first: `401 · 3 attempts left · next in 5 min`."""

from __future__ import annotations

from attrs import frozen

from unihooks._model.log import Delivery, DeliveryState
from unihooks.console.words.formats import now, short_span
from unihooks.console.words.locale import gettext, later, ngettext

# The state of a delivery as a colour and in words; what is held is pending for the log.
_STATES = {
    "delivered": ("good", later("Delivered")),
    "failed": ("bad", later("Failed")),
    "cancelled": ("idle", later("Cancelled")),
    "pending": ("busy", later("Pending")),
    "held": ("idle", later("On hold")),
}


@frozen
class Cause:
    """The state of a delivery: the last response, and its meaning; `is_code` says that `what` is a status code."""

    tone: str
    what: str
    parts: tuple[str, ...]
    is_code: bool = False


def cause(delivery: Delivery) -> Cause:
    """Return the state of a delivery and its cause."""
    if delivery.held:
        return Cause(state_tone("held"), state_name("held"), _why_held(delivery))
    tone, state, waits = state_tone(delivery.state), state_name(delivery.state), delivery.state is DeliveryState.PENDING
    parts = _parts(delivery) if waits else (state,)
    if delivery.status_code is not None:
        return Cause(tone, str(delivery.status_code), parts, is_code=True)
    if delivery.attempt_count and delivery.state is not DeliveryState.DELIVERED:
        return Cause(tone, gettext("No response"), parts)
    return Cause(tone, state, parts if waits else ())


def state_name(state: str) -> str:
    """Return the name of a delivery's state."""
    return gettext(_STATES[state][1])


def state_tone(state: str) -> str:
    """Return the colour of a delivery's state."""
    return _STATES[state][0]


def _why_held(delivery: Delivery) -> tuple[str, ...]:
    if "webhook is inactive" in (delivery.waiting or ""):
        return (gettext("its webhook is inactive"),)
    return (gettext("its endpoint is disabled"),)


def _parts(delivery: Delivery) -> tuple[str, ...]:
    left, at = delivery.attempts_left, delivery.next_attempt_at
    parts = []
    if left is not None and delivery.attempt_count:
        parts.append(ngettext("%(count)d attempt left", "%(count)d attempts left", left) % {"count": left})
    if at is None:
        return (*parts, gettext("after an earlier one"))
    seconds = (at - now()).total_seconds()
    return (*parts, gettext("next in %(span)s") % {"span": short_span(seconds)} if seconds >= 1 else gettext("due now"))
