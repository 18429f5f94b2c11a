"""Say in a few words how a delivery stands, the cause first: `401 · 3 attempts left · next in 5 min`."""

from __future__ import annotations

from attrs import frozen

from unihooks._model.log import Delivery, DeliveryState
from unihooks.console.words.formats import now, short_span
from unihooks.console.words.locale import gettext, ngettext

_TONES = {
    DeliveryState.DELIVERED: "good",
    DeliveryState.FAILED: "bad",
    DeliveryState.CANCELLED: "idle",
    DeliveryState.PENDING: "busy",
}


@frozen
class Cause:
    """How a delivery stands: what came back last, and what that means; `is_code` says that `what` is a status code."""

    tone: str
    what: str
    parts: tuple[str, ...]
    is_code: bool = False


def cause(delivery: Delivery) -> Cause:
    """Return how a delivery stands."""
    if delivery.held:
        return Cause("idle", gettext("On hold"), _why_held(delivery))
    tone, state, waits = _TONES[delivery.state], _state(delivery.state), delivery.state is DeliveryState.PENDING
    parts = _parts(delivery) if waits else (state,)
    if delivery.status_code is not None:
        return Cause(tone, str(delivery.status_code), parts, is_code=True)
    if delivery.attempt_count and delivery.state is not DeliveryState.DELIVERED:
        return Cause(tone, gettext("No response"), parts)
    return Cause(tone, state, parts if waits else ())


def _state(value: DeliveryState) -> str:
    return {
        DeliveryState.DELIVERED: gettext("Delivered"),
        DeliveryState.FAILED: gettext("Failed"),
        DeliveryState.CANCELLED: gettext("Cancelled"),
        DeliveryState.PENDING: gettext("Pending"),
    }[value]


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
