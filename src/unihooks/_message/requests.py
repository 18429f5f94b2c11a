"""Build the HTTP request of an attempt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import version
from typing import Any, NamedTuple

import httpx
from attrs import field, frozen

from unihooks._base.times import SECOND, from_us, to_us
from unihooks._message.headers import HeaderSet
from unihooks._message.redaction import Redactor
from unihooks._message.secrets import MASK, Secret
from unihooks._message.signing import Signer, valid_secrets
from unihooks._message.wire_names import DEFAULT_NAMES, WireNames

USER_AGENT = f"unihooks/{version('unihooks')}"
# A URL that httpx would send as it is. Having httpx parse it takes as long as all other preparation of a destination.
_PLAIN_URL = re.compile(
    r"(?P<scheme>https?)://(?P<netloc>(?P<host>(?:[a-z0-9_-]+\.)*[a-z_][a-z0-9_-]*)(?::(?P<port>[1-9][0-9]{0,4}))?)"
    r"(?P<path>/(?!.*/\.)[!$-;=@-Z_a-z~]*(?:\?[!$-;=?-Z_a-z~]*)?)"
)
DEFAULT_PORTS = {"https": 443, "http": 80}


class Route(NamedTuple):
    """The server to connect to, and the endpoint whose requests alone may share the connection."""

    endpoint_id: str | None
    scheme: str
    host: str
    port: int

    @classmethod
    def to(cls, url: httpx.URL, endpoint_id: str | None = None) -> Route:
        """Return the route to a URL."""
        return cls(endpoint_id, url.scheme, url.raw_host.decode(), url.port or DEFAULT_PORTS.get(url.scheme, 443))


@frozen(kw_only=True)
class Destination:
    """The place to send to and how to send there, at this moment; `open` is False while deliveries are held.

    `policy` is the webhook's `DeliveryPolicy`, None if everything is left to the dispatcher.
    """

    endpoint_id: str
    webhook_id: str
    tenant: str
    url: str
    headers: HeaderSet
    secrets: tuple[Secret, ...]
    open: bool
    config_version: int
    policy: Any = None


@frozen(kw_only=True)
class PreparedDestination:
    """A destination, with everything that its attempts share already computed.

    `address` is its URL as it is sent. The names of the host's headers begin with `prefix`. `start` and `end` are the
    parts of the head before and after what changes from attempt to attempt. `shown` is the beginning of the headers as
    JSON text, for the log. `expires_at` is when the first of its secrets expires (microseconds), or None.
    """

    destination: Destination
    address: str
    route: Route
    prefix: str
    start: str
    end: str = field(repr=False)  # with the values of custom headers
    signer: Signer = field(repr=False)
    shown: str
    expires_at: int | None

    @cached_property
    def url(self) -> httpx.URL:
        """Return the URL for transports other than ours, which alone need it."""
        return httpx.URL(self.address)

    @cached_property
    def hidden(self) -> Redactor:
        """Return the redactor of the secrets and header values that a receiver may echo."""
        values = [value for _, value in self.destination.headers.revealed()]
        # A receiver may echo only what follows whsec_.
        return Redactor(values, [secret.reveal().partition("_")[2] for secret in self.destination.secrets])


class Message(NamedTuple):
    """The content of an attempt: the event's id, product and type, the bytes of the body, and the subject, if any."""

    event_id: str
    product: str
    event_type: str
    body: bytes
    subject: str | None = None


class RenderedRequest(httpx.Request):
    """A POST whose head is already rendered, so that our transport does not have to.

    To any other transport it is an ordinary `httpx.Request`.
    """

    def __init__(
        self, prepared: PreparedDestination, message: Message, timestamp: int, signature: str, deadline: float
    ) -> None:
        # httpx's own initialiser would parse the headers again, which makes a request cost five times as much. So it is
        # not called; a test compares the attributes here with those that it sets.
        self.method = "POST"
        self.prepared = prepared
        event_id, product, event_type, self.body, subject = message
        prefix = prepared.prefix
        end = prepared.end if subject is None else f"{prefix}-subject: {subject}\r\n{prepared.end}"
        self.head = (
            f"{prepared.start}content-length: {len(self.body)}\r\n"
            f"webhook-id: {event_id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {signature}\r\n"
            f"{prefix}-product: {product}\r\n{prefix}-event: {event_type}\r\n{end}"
        ).encode("ascii")
        self._shown = prepared.shown, message, timestamp, signature
        self._deadline = deadline

    def shown(self) -> str:
        """Return the headers as JSON text for the log, without the values of custom headers."""
        first, (event_id, product, event_type, body, subject), timestamp, signature = self._shown
        prefix = self.prepared.prefix
        last = "" if subject is None else f', ["{prefix}-subject", {json.dumps(subject)}]'
        # All other headers are visible ASCII without quotes or backslashes, so they need no JSON encoder.
        return (
            f'{first}, ["content-length", "{len(body)}"], ["webhook-id", "{event_id}"], '
            f'["webhook-timestamp", "{timestamp}"], ["webhook-signature", "{signature}"], '
            f'["{prefix}-product", "{product}"], ["{prefix}-event", "{event_type}"]{last}]'
        )

    @cached_property
    def url(self) -> httpx.URL:  # type: ignore[override]
        """Return the URL."""
        return self.prepared.url

    @cached_property
    def stream(self) -> httpx.ByteStream:  # type: ignore[override]
        """Return the body."""
        return httpx.ByteStream(self.body)

    @cached_property
    def extensions(self) -> dict[str, Any]:  # type: ignore[override]
        """Return what a transport of the host's may want to know."""
        return {"unihooks": {"endpoint_id": self.prepared.route.endpoint_id, "deadline": self._deadline}}

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override]
        """Return the headers, parsed from the head."""
        lines = self.head[:-4].split(b"\r\n")[1:]
        return httpx.Headers([(name, value) for name, _, value in (line.partition(b": ") for line in lines)])

    @property
    def content(self) -> bytes:
        """Return the body, which a transport of the host's may read before `stream`."""
        return self.body


def prepare(destination: Destination, now: int, names: WireNames = DEFAULT_NAMES) -> PreparedDestination:
    """Prepare a destination for many attempts; `now` decides which secrets are valid."""
    parts = _parts_of(destination)
    secrets = valid_secrets(destination.secrets, from_us(now))
    first = {"host": parts.netloc, "content-type": "application/json", "user-agent": names.sender or USER_AGENT}
    webhook = (f"{names.prefix}-webhook", destination.webhook_id)
    shown = [*first.items(), webhook, *((name, MASK) for name in destination.headers)]
    expiries = [to_us(secret.expires_at) for secret in secrets if secret.expires_at is not None]
    return PreparedDestination(
        destination=destination,
        address=parts.address,
        route=parts.route,
        prefix=names.prefix,
        start=f"POST {parts.path} HTTP/1.1\r\n{_lines(first.items())}",
        end=f"{_lines([webhook, *destination.headers.revealed()])}\r\n",
        signer=Signer(secrets),
        shown=json.dumps(shown)[:-1],
        expires_at=min(expiries, default=None),
    )


class _Parts(NamedTuple):
    """A URL as httpx sends it; `path` has the query."""

    route: Route
    address: str
    netloc: str
    path: str


def _parts_of(destination: Destination) -> _Parts:
    plain = _PLAIN_URL.fullmatch(destination.url)
    if plain is None or plain["port"] == str(DEFAULT_PORTS[plain["scheme"]]):
        url = httpx.URL(destination.url)
        route = Route.to(url, destination.endpoint_id)
        return _Parts(route, str(url), url.netloc.decode(), url.raw_path.decode())
    scheme, host, port = plain["scheme"], plain["host"], int(plain["port"] or DEFAULT_PORTS[plain["scheme"]])
    route = Route(destination.endpoint_id, scheme, host, port)
    return _Parts(route, destination.url, plain["netloc"], plain["path"])


def build_request(prepared: PreparedDestination, message: Message, *, now: int, deadline: float) -> RenderedRequest:
    """Return the signed request of one attempt.

    `now` is microseconds since 1970, `deadline` a time of the monotonic clock in seconds.
    """
    timestamp = now // SECOND
    signature = prepared.signer.sign(message.event_id, timestamp, message.body)
    return RenderedRequest(prepared, message, timestamp, signature, deadline)


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])
