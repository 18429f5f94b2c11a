"""Refuse what rows do not allow, in the same words in every store."""

from __future__ import annotations

from unihooks._model.log import Delivery
from unihooks.abc import ERASED
from unihooks.exceptions import Conflict, IdempotencyConflict, StoreError


def check_replayable(*, is_erased: bool, has_endpoint: bool, has_body: bool) -> None:
    """Raise Conflict for a delivery whose body or endpoint is not there any more, or never was."""
    if is_erased:
        raise Conflict(f"{ERASED}; there is nothing to send", name="event_id")
    if not has_endpoint:
        raise Conflict("the endpoint of this delivery is gone; there is nowhere to send it", name="endpoint_id")
    if not has_body:
        raise Conflict("the payload mapping failed, so there is no body; correct it and recover", name="delivery_id")


def not_pending(delivery: Delivery) -> Conflict:
    """Return the error for a delivery that is to be cancelled and has ended."""
    return Conflict(f"the delivery is {delivery.state}; only a pending one can be cancelled", name="delivery_id")


def too_many_webhooks(at_most: int) -> Conflict:
    """Return the error for one webhook more than a tenant may have."""
    return Conflict(f"the tenant has {at_most} webhooks, which is the limit; delete one first", name="webhooks")


def key_was_used() -> IdempotencyConflict:
    """Return the error for a key that came before with another event."""
    sentence = "the idempotency key was used for another event; use a new key for new content"
    return IdempotencyConflict(sentence, name="idempotency_key")


def cannot_be_stored(cause: Exception) -> StoreError:
    """Return the error that one event of a batch meets."""
    error = StoreError(f"the event cannot be stored: {cause}", name="event")
    error.__cause__ = cause
    return error
