"""The errors that unihooks raises, under one root."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any


class UnihooksError(Exception):
    """The root of all errors of this library.

    `name` is the offending field, option or identifier, if there is one; it is
    never a secret. The message says what was wrong and what to do. Where customers
    may cause the error, its `code` and `figures` say the same, so that a user
    interface can tell it in another language.
    """

    def __init__(self, message: str, *, name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.name = name

    @property
    def code(self) -> str | None:
        """Return the kind of mistake, such as `url-too-long`; None where only a host can cause it."""
        return getattr(self.message, "code", None)

    @property
    def figures(self) -> Mapping[str, Any]:
        """Return the numbers and names in the message, by name."""
        return getattr(self.message, "figures", {})

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), name=self.name), (self.message,)


class InvalidWebhook(UnihooksError, ValueError):
    """A webhook, endpoint or subscription is not well formed."""


class InvalidMapping(UnihooksError, ValueError):
    """A payload mapping is not well formed."""


class InvalidHeader(UnihooksError, ValueError):
    """A custom header is not allowed or not well formed."""


class TargetRefused(UnihooksError, ValueError):
    """A URL or address may not be a destination."""


class UnknownEventType(UnihooksError, ValueError):
    """A product or event type is malformed or not in the catalog."""


class InvalidPayload(UnihooksError, ValueError):
    """A payload is not JSON, is too large, or does not match its schema."""


class InvalidArgument(UnihooksError, ValueError):
    """A tenant, limit, time, filter or other argument of a call is not well formed."""


class LimitReached(UnihooksError, ValueError):
    """A tenant asks for more than the dispatcher's limits allow, until it has less of it or some time has passed."""


class NotFound(UnihooksError, LookupError):
    """The tenant has nothing with this id."""


class Conflict(UnihooksError):
    """The object has been changed by somebody else in the meantime, or its state does not allow the change."""


class IdempotencyConflict(UnihooksError):
    """The idempotency key was already used with another payload."""


class StoreError(UnihooksError):
    """The database cannot be used: it is locked, full, too new, unreachable or another application's."""


class VerificationError(UnihooksError):
    """A received message is not authentic or not fresh."""
