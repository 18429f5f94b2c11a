"""The signing secrets of a webhook: check them, stamp them with times, and rotate them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from unihooks._message.secrets import Secret
from unihooks._message.signing import Signer, valid_secrets
from unihooks.exceptions import InvalidArgument, InvalidWebhook

_MOST_OLD_SECRETS = 10
_MOST_OVERLAP = timedelta(days=7)


def check_signing(secrets: Sequence[Secret]) -> None:
    """Refuse secrets that cannot sign: deliveries would stay pending for ever."""
    Signer(secrets)
    if secrets[0].expires_at is not None:
        raise InvalidWebhook("the current signing secret cannot expire; give it without expires_at", name="secrets")


def checked_overlap(value: timedelta | float) -> timedelta:
    """Return how long previous secrets keep signing, or raise InvalidArgument."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        overlap = value if isinstance(value, timedelta) else timedelta(seconds=value)
        if timedelta(0) <= overlap <= _MOST_OVERLAP and not isinstance(value, bool):
            return overlap
    raise InvalidArgument("overlap must be seconds or a timedelta, from 0 to 7 days", name="overlap")


def stamped(secrets: Iterable[Secret], now: datetime) -> tuple[Secret, ...]:
    """Return the secrets, each with the time when it was made."""
    return tuple(
        secret if secret.created_at else Secret(secret.reveal(), created_at=now, expires_at=secret.expires_at)
        for secret in secrets
    )


def rotated(secrets: Iterable[Secret], fresh: Secret, now: datetime, overlap: timedelta) -> list[Secret]:
    """Return the new secret, then the previous ones, which expire after the overlap at the latest."""
    end = now + overlap
    old = [
        Secret(secret.reveal(), created_at=secret.created_at, expires_at=min(end, secret.expires_at or end))
        for secret in valid_secrets(secrets, now)
        if secret != fresh
    ]
    return [*stamped([fresh], now), *valid_secrets(old, now)[:_MOST_OLD_SECRETS]]
