"""Sign and verify messages as Standard Webhooks 1.0.0 specifies."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from unihooks._base.times import SECOND, to_us
from unihooks._message.headers import pairs_of
from unihooks._message.secrets import (
    PRIVATE_PREFIX,
    PUBLIC_PREFIX,
    SECRET_PREFIX,
    Secret,
    check_signing_secret,
    decode_key,
    ed25519,
    encoded,
)
from unihooks.exceptions import InvalidPayload, InvalidWebhook, VerificationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

MAX_SIGNATURES = 32

Secrets = str | Secret | Iterable[str | Secret]
Headers = Mapping[Any, Any] | Iterable[tuple[str | bytes, str | bytes]]

_MESSAGE_ID = re.compile(r"[!-\-/-~]{1,255}")  # visible ASCII without the dot
_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,10}")
_SEED_LENGTH = 32
_ALL_HEADERS = "pass all headers of the request as they came"


@attrs.frozen
class VerifiedMessage:
    """A message whose signature and age have been checked.

    `timestamp` is when the sender signed it, in UTC; `body` is the signed bytes.
    """

    id: str
    timestamp: datetime
    body: bytes


class Signer:
    """A signer of many messages with the same secrets, which are decoded once.

    Each secret makes one signature, in the order given; equal signatures are
    merged. Expired secrets sign too: leave them out with `valid_secrets`.

    >>> signer = Signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """

    __slots__ = ("_keys",)

    def __init__(self, secrets: Secrets) -> None:
        listed = _listed(secrets)
        for secret in listed:
            check_signing_secret(secret)
        self._keys = [_key(secret) for secret in listed]

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """Return the `webhook-signature` value; `timestamp` is in Unix seconds."""
        if not _MESSAGE_ID.fullmatch(message_id):
            sentence = "a message id must be 1 to 255 visible ASCII characters without a dot"
            raise InvalidPayload(sentence, name="message_id")
        content = _content(message_id, timestamp, body)
        if len(self._keys) == 1:
            return self._keys[0].sign(content)
        return " ".join(dict.fromkeys(key.sign(content) for key in self._keys))


def sign(message_id: str, timestamp: int | datetime, body: bytes | str, secrets: Secrets) -> str:
    """Return the `webhook-signature` value of a message.

    Args:
        message_id: The `webhook-id`: visible ASCII without a dot.
        timestamp: The `webhook-timestamp`: Unix seconds or an aware datetime.
        body: Exactly what is sent; text is encoded as UTF-8.
        secrets: One or several `whsec_...` or, with the extra `crypto`, `whsk_...`.

    Raises:
        InvalidWebhook: A secret cannot sign.
        InvalidPayload: The id, timestamp or body is malformed.

    >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', secret)
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    if not isinstance(message_id, str):
        raise InvalidPayload("a message id must be a str", name="message_id")
    return Signer(secrets).sign(str.__str__(message_id), _seconds(timestamp), _bytes(body))


def verification_key(secret: str | Secret) -> str:
    """Return the key that a receiver verifies with: a `whsec_...` unchanged, the public key of a `whsk_...`.

    >>> verification_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
    """
    key = _key(secret)
    if isinstance(key, _Ed25519Key):
        return PUBLIC_PREFIX + base64.b64encode(key.public.public_bytes_raw()).decode()
    return secret.reveal() if isinstance(secret, Secret) else secret


def verify(
    headers: Headers, body: bytes | str, secrets: Secrets, tolerance: float = 300, *, now: datetime | None = None
) -> VerifiedMessage:
    """Return the message if one of its signatures was made with one of the secrets.

    Args:
        headers: Those of the request, as a mapping or as pairs, text or bytes; the case of names does not matter.
        body: The raw body, before any parsing.
        secrets: One or several `whsec_...` or, with the extra `crypto`, `whpk_...` or `whsk_...`.
        tolerance: Seconds that the message may be older or newer than `now`.
        now: The time to compare with, an aware datetime; by default the present.

    Raises:
        VerificationError: The message is not authentic or not fresh.
        InvalidWebhook: A secret is malformed.
        InvalidHeader: `headers` is neither a mapping nor pairs.

    >>> from datetime import UTC, datetime
    >>> secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    >>> moment = datetime(2030, 1, 1, tzinfo=UTC)
    >>> headers = {
    ...     "Webhook-Id": "evt_1",
    ...     "Webhook-Timestamp": str(int(moment.timestamp())),
    ...     "Webhook-Signature": sign("evt_1", moment, b"{}", secret),
    ... }
    >>> verify(headers, b"{}", secret, now=moment).id
    'evt_1'
    >>> verify(headers, b"{...}", secret, now=moment)
    Traceback (most recent call last):
    unihooks.exceptions.VerificationError: no signature matches; check the secret, and pass the raw body
    """
    keys, raw = [_key(secret) for secret in _listed(secrets)], _bytes(body)
    _check_options(tolerance, now)
    found = _message_headers(headers)
    message_id = _checked(found, ID_HEADER, _MESSAGE_ID)
    timestamp = int(_checked(found, TIMESTAMP_HEADER, _TIMESTAMP))
    _check_age(timestamp, tolerance, now or datetime.now(UTC))
    content = _content(message_id, timestamp, raw)
    signatures = _signatures(found)
    if not any(key.fits(signatures, content) for key in keys):
        raise VerificationError("no signature matches; check the secret, and pass the raw body", name=SIGNATURE_HEADER)
    return VerifiedMessage(message_id, datetime.fromtimestamp(timestamp, UTC), raw)


def valid_secrets(secrets: Iterable[Secret], now: datetime) -> list[Secret]:
    """Return the secrets that have not expired at `now`, in their order."""
    return [s for s in secrets if s.expires_at is None or s.expires_at > now]


@attrs.frozen(repr=False)
class _HmacKey:
    """A key that makes and verifies `v1` signatures."""

    raw: bytes
    _keyed: hmac.HMAC = attrs.field(init=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_keyed", hmac.new(self.raw, digestmod="sha256"))

    def sign(self, content: bytes) -> str:
        # A copy has already hashed the key. `hmac.digest` would hash it again, and release the interpreter's lock.
        keyed = self._keyed.copy()
        keyed.update(content)
        return "v1," + binascii.b2a_base64(keyed.digest(), newline=False).decode("ascii")

    def fits(self, signatures: Iterable[str], content: bytes) -> bool:
        expected = self.sign(content).encode()
        return any(hmac.compare_digest(expected, encoded(given)) for given in signatures)


@attrs.frozen(repr=False, eq=False)
class _Ed25519Key:
    """A key that verifies `v1a` signatures and, with its private part, makes them."""

    public: Ed25519PublicKey
    private: Ed25519PrivateKey | None = None

    def sign(self, content: bytes) -> str:
        assert self.private is not None  # noqa: S101 - Signer refuses a key that cannot sign
        return "v1a," + base64.b64encode(self.private.sign(content)).decode()

    def fits(self, signatures: Iterable[str], content: bytes) -> bool:
        return any(self._fits(s[4:], content) for s in signatures if s.startswith("v1a,"))

    def _fits(self, encoded: str, content: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self.public.verify(base64.b64decode(encoded, validate=True), content)
        except (InvalidSignature, ValueError):
            return False
        return True


def _listed(secrets: object) -> list[Any]:
    if isinstance(secrets, str | Secret):
        return [secrets]
    # A missing environment variable gives None, which must be refused like an empty list.
    listed = list(secrets) if isinstance(secrets, Iterable) else []
    if not listed:
        raise InvalidWebhook("there is no secret; pass at least one text such as 'whsec_...'", name="secrets")
    return listed


def _key(secret: str | Secret) -> _HmacKey | _Ed25519Key:
    prefix, raw = decode_key(secret)
    return _HmacKey(raw) if prefix == SECRET_PREFIX else _ed25519_key(prefix, raw)


def _ed25519_key(prefix: str, raw: bytes) -> _Ed25519Key:
    keys = ed25519()
    if prefix == PUBLIC_PREFIX:
        return _Ed25519Key(keys.Ed25519PublicKey.from_public_bytes(raw))
    private = keys.Ed25519PrivateKey.from_private_bytes(raw[:_SEED_LENGTH])
    public = private.public_key()
    if raw[_SEED_LENGTH:] not in {b"", public.public_bytes_raw()}:
        sentence = (
            f"the public half of the {PRIVATE_PREFIX} key does not match its private half; paste the whole key again"
        )
        raise InvalidWebhook(sentence, name="secret")
    return _Ed25519Key(public, private)


def _content(message_id: str, timestamp: int, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode("ascii") + body


def _seconds(timestamp: object) -> int:
    if isinstance(timestamp, datetime) and timestamp.utcoffset() is not None:
        timestamp = to_us(timestamp) // SECOND
    if isinstance(timestamp, int) and _TIMESTAMP.fullmatch(str(timestamp)):
        return timestamp
    raise InvalidPayload("a timestamp must be an int of Unix seconds or a datetime with a time zone", name="timestamp")


def _bytes(body: object) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    if isinstance(body, str):
        return encoded(body)
    raise InvalidPayload("a body must be bytes or text, exactly as it was sent, not parsed", name="body")


def _message_headers(headers: Headers) -> dict[str, str]:
    """Return the three headers that matter; refuse one that is given twice, since it is ambiguous."""
    found: dict[str, str] = {}
    for name, value in pairs_of(headers):
        key = _text(name).lower()
        if key not in {ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER}:
            continue
        if key in found:
            raise VerificationError(f"the header {key} is given twice; treat the request as not authentic", name=key)
        found[key] = _text(value)
    return found


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _checked(found: Mapping[str, str], name: str, form: re.Pattern[str]) -> str:
    value = found.get(name, "")
    if not form.fullmatch(value):
        raise VerificationError(f"the header {name} is missing or malformed; {_ALL_HEADERS}", name=name)
    return value


def _check_options(tolerance: object, now: object) -> None:
    if not isinstance(tolerance, int | float) or isinstance(tolerance, bool):
        raise TypeError(f"tolerance must be a number of seconds, such as 300, not {type(tolerance).__name__}")
    if now is not None and not (isinstance(now, datetime) and now.utcoffset() is not None):
        raise TypeError("now must be a datetime with a time zone, such as datetime.now(UTC), or None")


def _check_age(timestamp: int, tolerance: float, now: datetime) -> None:
    if not abs(now.timestamp() - timestamp) <= tolerance:  # written this way, NaN is refused
        sentence = "the message is too old or too new; check the clock or the tolerance"
        raise VerificationError(sentence, name=TIMESTAMP_HEADER)


def _signatures(found: Mapping[str, str]) -> Sequence[str]:
    signatures = found.get(SIGNATURE_HEADER, "").split()
    if not 1 <= len(signatures) <= MAX_SIGNATURES:
        sentence = f"the header {SIGNATURE_HEADER} is missing, empty or too long; {_ALL_HEADERS}"
        raise VerificationError(sentence, name=SIGNATURE_HEADER)
    return signatures
