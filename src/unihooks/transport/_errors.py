"""The reasons why an attempt fails or is cut short, as sentences that a customer may read."""

from __future__ import annotations

from typing import Final

import httpx

from unihooks._base.sentences import Kept

NOT_REACHABLE: Final = Kept("not-reachable", "destination not allowed or not reachable")
OWN_FAULT: Final = Kept("own-fault", "the sender could not reach the internet")
BODY_BROKE_OFF: Final = Kept("body-broke-off", "the body of the response broke off")
BODY_BROKE_OFF_BY: Final = Kept("body-broke-off-by", "the body of the response broke off ({kind})")
BODY_TOO_SLOW: Final = Kept("body-too-slow", "the body of the response did not end in time and was cut")
BODY_BADLY_FRAMED: Final = Kept("body-badly-framed", "the body of the response is badly framed and was cut")
CLOSED_EARLY: Final = Kept("closed-early", "the connection was closed before the response arrived")
CLOSED_IN_HEADERS: Final = Kept("closed-in-headers", "the connection was closed before the headers were complete")
RESET_EARLY: Final = Kept("reset-early", "the connection was reset before the response arrived")
RESET_IN_HEADERS: Final = Kept("reset-in-headers", "the connection was reset before the headers were complete")
CLOSED_IN_HANDSHAKE: Final = Kept("closed-in-handshake", "the connection was closed during the TLS handshake")
NO_RESPONSE: Final = Kept("no-answer", "the transport gave no response")
TRANSPORT_FAILED: Final = Kept("transport-failed", "the transport failed ({kind})")
RESPONSE_TOO_LARGE: Final = Kept("answer-too-large", "the response is too large")
RESPONSE_CUT: Final = Kept("answer-cut", "the response was too long and was cut")
HEADERS_TOO_LARGE: Final = Kept("headers-too-large", "the headers of the response are too large")
NO_STATUS_LINE: Final = Kept("no-status-line", "the response does not begin with an HTTP/1.1 status line")

_SWITCHING_PROTOCOLS: Final = 101
_STATUSES: Final = range(100, 600)


class AttemptError(httpx.TransportError):
    """The root of all failures of our transport; their texts contain no secret and no address."""


class NotReachable(AttemptError, httpx.ConnectError):
    """The destination is refused, unknown or closed; only the operator's log says which."""

    def __init__(self, detail: str) -> None:
        super().__init__(NOT_REACHABLE)
        self.detail = detail


class EgressFailed(AttemptError, httpx.ProxyError):
    """A failure of our own egress, which says nothing about the endpoint; only the operator's log says which.

    `for_all` is false if it may affect this one address alone.
    """

    def __init__(self, detail: str, *, for_all: bool = True) -> None:
        super().__init__(OWN_FAULT)
        self.detail = detail
        self.for_all = for_all


class TLSFailed(AttemptError, httpx.ConnectError):
    """The TLS handshake failed, or the certificate is not acceptable."""


class TimedOut(AttemptError, httpx.TimeoutException):
    """A time limit passed before the headers of the response were complete."""


class ConnectionEnded(AttemptError, httpx.ReadError):
    """The peer closed or reset the connection before the headers were complete."""


class BadResponse(AttemptError, httpx.RemoteProtocolError):
    """The peer sent something that is not an HTTP/1.1 response."""


class BadRequest(AttemptError, httpx.LocalProtocolError):
    """The request cannot be sent as it is."""


BEFORE_REQUEST: Final = Kept("timed-out-before", "timed out after {seconds:g} s before the request was sent")
DURING_HANDSHAKE: Final = Kept("timed-out-in-handshake", "timed out after {seconds:g} s during the TLS handshake")
SENDING: Final = Kept("timed-out-sending", "timed out after {seconds:g} s sending the request")
WAITING: Final = Kept("timed-out-waiting", "timed out after {seconds:g} s waiting for the response")
TOO_LONG: Final = Kept("answer-too-long", "the response was longer than {limit} KiB and was cut")
TOO_MANY_PIECES: Final = Kept("too-many-pieces", "the response came in more than {most} pieces and was cut")
_IMPOSSIBLE_STATUS: Final = Kept("impossible-status", "the response has the impossible status {status:03d}")
_SWITCHES: Final = Kept("protocol-switched", "the response switches protocols (status 101), which was not requested")


def timed_out(seconds: float, doing: Kept) -> TimedOut:
    """Return the failure for a limit of this many seconds that passed while doing something."""
    return TimedOut(doing(seconds=round(max(seconds, 0.0), 1)))


def status_fault(status: int) -> str | None:
    """Return the fault of a status, or None."""
    if status not in _STATUSES:
        return _IMPOSSIBLE_STATUS(status=status)
    if status == _SWITCHING_PROTOCOLS:
        return _SWITCHES
    return None
