"""The reasons for which an attempt fails, each with a sentence that a customer may read."""

from __future__ import annotations

from typing import Final

import httpx

NOT_REACHABLE: Final = "destination not allowed or not reachable"


class AttemptError(httpx.TransportError):
    """Be the root of all failures of our transport; the text holds no secret and no address."""


class NotReachable(AttemptError, httpx.ConnectError):
    """The destination is refused, unknown or closed; which of them only the operator learns."""

    def __init__(self, detail: str) -> None:
        super().__init__(NOT_REACHABLE)
        self.detail = detail


class TLSFailed(AttemptError, httpx.ConnectError):
    """The TLS handshake failed or the certificate is not acceptable."""


class TimedOut(AttemptError, httpx.TimeoutException):
    """A time limit passed before the headers of the answer were complete."""


class ConnectionEnded(AttemptError, httpx.ReadError):
    """The peer closed or reset the connection before the headers were complete."""


class BadAnswer(AttemptError, httpx.RemoteProtocolError):
    """The peer sent something that is not an HTTP/1.1 answer."""


class BadRequest(AttemptError, httpx.LocalProtocolError):
    """The request cannot be sent as it is."""


def timed_out(seconds: float, doing: str) -> TimedOut:
    """Return the failure for a time limit of so many seconds, naming what was going on."""
    return TimedOut(f"timed out after {round(max(seconds, 0.0), 1):g} s {doing}")
