"""Build the HTTP request of an attempt from a destination and a delivery."""

from __future__ import annotations

import json
from importlib.metadata import version

import httpx
from attrs import field, frozen

from unihooks._headers import HeaderSet
from unihooks._secrets import Secret
from unihooks._signing import Signer, valid_secrets
from unihooks._times import SECOND, from_us, to_us

USER_AGENT = f"unihooks/{version('unihooks')}"
REDACTED = "***"

RawHeaders = list[tuple[bytes, bytes]]


@frozen(kw_only=True)
class Destination:
    """Be where and how to send at this moment; `open` is False while deliveries are to be held."""

    endpoint_id: str
    webhook_id: str
    tenant: str
    url: str
    headers: HeaderSet
    secrets: tuple[Secret, ...]
    open: bool
    stamp: int


@frozen(kw_only=True)
class PreparedDestination:
    """Be a destination with all that does not change between attempts made ready.

    `expires_at` is when a secret in it expires (microseconds), None if none does.
    """

    destination: Destination
    url: httpx.URL
    shown_url: str
    first: RawHeaders
    last: RawHeaders = field(repr=False)  # with the values of custom headers
    signer: Signer = field(repr=False)
    shown: str
    expires_at: int | None


@frozen
class Message:
    """Be what an attempt sends: the event's identity and the body's bytes."""

    event_id: str
    product: str
    event_type: str
    body: bytes


def prepare(destination: Destination, now: int) -> PreparedDestination:
    """Make a destination ready for many attempts; `now` decides which secrets are valid."""
    url = httpx.URL(destination.url)
    secrets = valid_secrets(destination.secrets, from_us(now))
    host = url.netloc
    first = [(b"host", host), (b"content-type", b"application/json"), (b"user-agent", USER_AGENT.encode())]
    webhook = (b"unihooks-webhook", destination.webhook_id.encode())
    custom = [(name.encode(), value.encode()) for name, value in destination.headers.revealed()]
    shown = [(name.decode(), value.decode()) for name, value in [*first, webhook]]
    shown += [(name, REDACTED) for name, _ in destination.headers.items()]
    return PreparedDestination(
        destination=destination,
        url=url,
        shown_url=destination.url,
        first=first,
        last=[webhook, *custom],
        signer=Signer(secrets),
        shown=json.dumps(shown)[:-1],
        expires_at=_first_expiry(secrets),
    )


def build_request(
    prepared: PreparedDestination, message: Message, *, now: int, deadline: float
) -> tuple[httpx.Request, str]:
    """Return the signed request of one attempt and its headers as JSON text for the log.

    `now` is microseconds since 1970, `deadline` a time of the monotonic clock in seconds.
    """
    timestamp = now // SECOND
    signature = prepared.signer.sign(message.event_id, timestamp, message.body)
    headers = [
        *prepared.first,
        (b"content-length", b"%d" % len(message.body)),
        (b"webhook-id", message.event_id.encode()),
        (b"webhook-timestamp", b"%d" % timestamp),
        (b"webhook-signature", signature.encode()),
        (b"unihooks-product", message.product.encode()),
        (b"unihooks-event", message.event_type.encode()),
        *prepared.last,
    ]
    request = httpx.Request(
        "POST",
        prepared.url,
        headers=headers,
        stream=httpx.ByteStream(message.body),
        extensions={"unihooks": {"endpoint_id": prepared.destination.endpoint_id, "deadline": deadline}},
    )
    # All of these are plain visible ASCII without quotes or backslashes: no JSON encoder is needed.
    shown = (
        f'{prepared.shown}, ["content-length", "{len(message.body)}"], ["webhook-id", "{message.event_id}"], '
        f'["webhook-timestamp", "{timestamp}"], ["webhook-signature", "{signature}"], '
        f'["unihooks-product", "{message.product}"], ["unihooks-event", "{message.event_type}"]]'
    )
    return request, shown


def _first_expiry(secrets: list[Secret] | tuple[Secret, ...]) -> int | None:
    times = [to_us(secret.expires_at) for secret in secrets if secret.expires_at is not None]
    return min(times, default=None)
