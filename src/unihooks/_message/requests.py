"""Build the HTTP request of an attempt from a destination and a delivery."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple

import httpx
from attrs import field, frozen

from unihooks._base.times import SECOND, from_us, to_us
from unihooks._message.headers import HeaderSet
from unihooks._message.secrets import Secret
from unihooks._message.signing import Signer, valid_secrets

USER_AGENT = f"unihooks/{version('unihooks')}"
REDACTED = "***"
# Shorter values would blot out parts of answers by chance.
_LEAST_HIDDEN = 6


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
    config_version: int


@frozen(kw_only=True)
class PreparedDestination:
    """Be a destination with all that does not change between attempts made ready.

    `start` and `end` are the parts of the head around what changes. `shown` is
    the beginning of the headers' JSON text. `hidden` is what no log may show of
    an answer. `expires_at` is when a secret in it expires (microseconds), None
    if none does.
    """

    destination: Destination
    url: httpx.URL
    connection: tuple[str, str, bytes, int | None]
    start: str
    end: str = field(repr=False)  # with the values of custom headers
    signer: Signer = field(repr=False)
    shown: str
    hidden: tuple[bytes, ...] = field(repr=False)
    expires_at: int | None

    def redacted(self, text: bytes) -> bytes:
        """Return what a receiver answered without custom headers' values and signing secrets, which some echo."""
        for value in self.hidden if text else ():
            if value in text:
                text = text.replace(value, REDACTED.encode())
        return text

    def redacted_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> Sequence[tuple[bytes, bytes]]:
        """Return the headers of an answer likewise."""
        if not headers:
            return headers
        whole = b"\n".join([part for header in headers for part in header])
        if self.redacted(whole) is whole:
            return headers
        return [(self.redacted(name), self.redacted(value)) for name, value in headers]


class Message(NamedTuple):
    """Be what an attempt sends: the event's identity and the body's bytes."""

    event_id: str
    product: str
    event_type: str
    body: bytes


class RenderedRequest(httpx.Request):
    """Be a POST whose head is rendered already, which spares a transport of ours most of the work.

    Any other transport can treat it as what it is, an `httpx.Request`.
    `connection` says which connections may carry it: endpoint and origin.
    """

    def __init__(
        self, prepared: PreparedDestination, message: Message, timestamp: int, signature: str, deadline: float
    ) -> None:
        # httpx's own initialiser would take the headers apart once more.
        self.method = "POST"
        self.url = prepared.url
        self.connection = prepared.connection
        event_id, product, event_type, self.body = message
        self.head = (
            f"{prepared.start}content-length: {len(self.body)}\r\n"
            f"webhook-id: {event_id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
            f"unihooks-product: {product}\r\nunihooks-event: {event_type}\r\n{prepared.end}"
        ).encode("ascii")
        self._shown = prepared.shown, message, timestamp, signature
        self._deadline = deadline

    def shown(self) -> str:
        """Return the headers as JSON text for the log, without the values of custom ones."""
        first, (event_id, product, event_type, body), timestamp, signature = self._shown
        # All of these are plain visible ASCII without quotes or backslashes: no JSON encoder is needed.
        return (
            f'{first}, ["content-length", "{len(body)}"], ["webhook-id", "{event_id}"], '
            f'["webhook-timestamp", "{timestamp}"], ["webhook-signature", "{signature}"], '
            f'["unihooks-product", "{product}"], ["unihooks-event", "{event_type}"]]'
        )

    @cached_property
    def stream(self) -> httpx.ByteStream:  # type: ignore[override]
        """Return the body."""
        return httpx.ByteStream(self.body)

    @cached_property
    def extensions(self) -> dict[str, Any]:  # type: ignore[override]
        """Return what a transport of the host's may want to know."""
        return {"unihooks": {"endpoint_id": self.connection[0], "deadline": self._deadline}}

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]
        """Return the headers, taken from the head."""
        lines = self.head[:-4].split(b"\r\n")[1:]
        return httpx.Headers([(name, value) for name, _, value in (line.partition(b": ") for line in lines)])

    @property
    def content(self) -> bytes:
        """Return the body, which a host's transport may read before it is streamed."""
        return self.body


def prepare(destination: Destination, now: int) -> PreparedDestination:
    """Make a destination ready for many attempts; `now` decides which secrets are valid."""
    url = httpx.URL(destination.url)
    secrets = valid_secrets(destination.secrets, from_us(now))
    first = {"host": url.netloc.decode(), "content-type": "application/json", "user-agent": USER_AGENT}
    webhook = ("unihooks-webhook", destination.webhook_id)
    shown = [*first.items(), webhook, *((name, REDACTED) for name in destination.headers)]
    return PreparedDestination(
        destination=destination,
        url=url,
        connection=(destination.endpoint_id, url.scheme, url.raw_host, url.port),
        start=f"POST {url.raw_path.decode()} HTTP/1.1\r\n{_lines(first.items())}",
        end=f"{_lines([webhook, *destination.headers.revealed()])}\r\n",
        signer=Signer(secrets),
        shown=json.dumps(shown)[:-1],
        hidden=_hidden(destination),
        expires_at=_first_expiry(secrets),
    )


def build_request(prepared: PreparedDestination, message: Message, *, now: int, deadline: float) -> RenderedRequest:
    """Return the signed request of one attempt.

    `now` is microseconds since 1970, `deadline` a time of the monotonic clock in seconds.
    """
    timestamp = now // SECOND
    signature = prepared.signer.sign(message.event_id, timestamp, message.body)
    return RenderedRequest(prepared, message, timestamp, signature, deadline)


def _hidden(destination: Destination) -> tuple[bytes, ...]:
    values = {value for _, value in destination.headers.revealed()}
    # Of "Bearer s3cr3t" a receiver may echo the second word alone, of a signing secret what follows whsec_.
    words = {value.rpartition(" ")[2] for value in values}
    words |= {secret.reveal().partition("_")[2] for secret in destination.secrets}
    found = [one.encode("ascii") for one in values | words if len(one) >= _LEAST_HIDDEN]
    return tuple(sorted(found, key=len, reverse=True))


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])


def _first_expiry(secrets: list[Secret] | tuple[Secret, ...]) -> int | None:
    times = [to_us(secret.expires_at) for secret in secrets if secret.expires_at is not None]
    return min(times, default=None)
