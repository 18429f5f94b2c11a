"""Secrets that only `reveal` shows, and the making and checking of signing secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Any

from unihooks.exceptions import InvalidWebhook, UnihooksError

MASK = "***"

SECRET_PREFIX = "whsec_"  # noqa: S105 - a marker, not a secret
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"

_KEY_LENGTHS = {
    SECRET_PREFIX: (range(24, 65), "base64 of 24 to 64 random bytes"),
    PRIVATE_PREFIX: ((32, 64), "base64 of a 32-byte seed or of seed and public key"),
    PUBLIC_PREFIX: ((32,), "base64 of a 32-byte public key"),
}
KINDS = {SECRET_PREFIX: "v1", PRIVATE_PREFIX: "v1a"}
"""What the signatures of a secret begin with, by the prefix of the secret."""

_HASH_KEY = secrets.token_bytes(32)


class Secret:
    """A text that only `reveal` shows, not repr, str, format, JSON or a pickle.

    Two secrets are equal if their texts are; times do not count. A pickled secret comes back redacted: it shows `***`
    and its `reveal` raises. Copies within the process keep the text.

    >>> secret = Secret("s3cr3t")
    >>> print(f"{secret} {secret!r}")
    *** Secret(***)
    >>> secret.reveal()
    's3cr3t'
    """

    __slots__ = ("_created_at", "_expires_at", "_value")

    def __init__(self, value: str, *, expires_at: datetime | None = None, created_at: datetime | None = None) -> None:
        if not isinstance(value, str):
            raise InvalidWebhook("a secret must be a str", name="secret")
        self._value = str.__str__(value)
        self._expires_at = _utc(expires_at, "expires_at")
        self._created_at = _utc(created_at, "created_at")

    @staticmethod
    def generate(kind: str = "v1") -> Secret:
        """Make a signing secret: "v1" signs with HMAC-SHA256 and, with the extra `crypto`, "v1a" with Ed25519.

        >>> signature_kind(Secret.generate())
        'v1'
        """
        if kind not in KINDS.values():
            raise InvalidWebhook("kind must be 'v1' or 'v1a'", name="kind")
        if kind == "v1":
            return Secret(SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())
        key = ed25519().Ed25519PrivateKey.generate()
        raw = key.private_bytes_raw() + key.public_key().public_bytes_raw()
        return Secret(PRIVATE_PREFIX + base64.b64encode(raw).decode())

    @property
    def expires_at(self) -> datetime | None:
        """The time in UTC from which it is no longer valid; None means that it never expires."""
        return self._expires_at

    @property
    def created_at(self) -> datetime | None:
        """The time in UTC at which it was made, or None if that is not known."""
        return self._created_at

    def reveal(self) -> str:
        """Return the text."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(encoded(self._value), encoded(other._value))

    def __hash__(self) -> int:
        return hash(hmac.digest(_HASH_KEY, encoded(self._value), hashlib.sha256))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __getstate__(self) -> None:
        return None

    def __reduce__(self) -> tuple[object, ...]:
        return _Redacted, (self._expires_at, self._created_at)


class _Redacted(Secret):
    """The form of a secret that was pickled: without its text, and equal to nothing but itself."""

    __slots__ = ()

    def __init__(self, expires_at: datetime | None, created_at: datetime | None) -> None:
        super().__init__(MASK, expires_at=expires_at, created_at=created_at)

    def reveal(self) -> str:
        """Raise, because the text is gone."""
        raise UnihooksError("this secret was redacted when it was pickled; load it from the store again", name="secret")

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__


def check_signing_secret(secret: str | Secret) -> None:
    """Raise `InvalidWebhook` unless messages can be signed with this secret.

    >>> check_signing_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> check_signing_secret("whsec_short")
    Traceback (most recent call last):
    unihooks.exceptions.InvalidWebhook: a whsec_ secret must continue with padded \
base64 of 24 to 64 random bytes
    """
    prefix, _ = decode_key(secret)
    if prefix == PUBLIC_PREFIX:
        sentence = f"a {PUBLIC_PREFIX} key can only verify; sign with its {PRIVATE_PREFIX} key"
        raise InvalidWebhook(sentence, name="secret")


def signature_kind(secret: Secret) -> str:
    """Return which signatures a signing secret makes: "v1" or "v1a"."""
    return KINDS[decode_key(secret)[0]]


def ed25519() -> Any:
    """Return the module for Ed25519 keys, or raise `InvalidWebhook` where the extra is not installed."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as exc:
        install = 'install it with: pip install "unihooks[crypto]"'
        sentence = f"{PRIVATE_PREFIX} and {PUBLIC_PREFIX} keys need cryptography; {install}"
        raise InvalidWebhook(sentence, name="crypto") from exc
    return ed25519


def decode_key(secret: str | Secret) -> tuple[str, bytes]:
    r"""Return prefix and raw key of a `whsec_`, `whsk_` or `whpk_` text.

    >>> decode_key("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX")[1][:4]
    b'\x00\x01\x02\x03'
    """
    text: Any = secret.reveal() if isinstance(secret, Secret) else secret
    prefix = next((one for one in _KEY_LENGTHS if isinstance(text, str) and text.startswith(one)), None)
    if prefix is None:
        sentence = f"a signing secret must be text that starts with {SECRET_PREFIX} or {PRIVATE_PREFIX}"
        raise InvalidWebhook(sentence, name="secret")
    lengths, form = _KEY_LENGTHS[prefix]
    key = text[len(prefix) :]
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError:
        raw = b""
    # Before Python 3.13, b64decode accepts surplus padding.
    if len(raw) not in lengths or len(key) % 4:
        raise InvalidWebhook(f"a {prefix} secret must continue with padded {form}", name="secret")
    return prefix, raw


def _utc(time: object, name: str) -> datetime | None:
    if time is None:
        return None
    if isinstance(time, datetime) and time.utcoffset() is not None:
        return time.astimezone(UTC)
    raise InvalidWebhook(f"{name} must be a datetime with a time zone", name=name)


def encoded(value: str) -> bytes:
    """Return any text as bytes, even with lone surrogates."""
    return value.encode("utf-8", "surrogatepass")
