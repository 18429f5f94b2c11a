"""The reasons why an attempt fails or is cut short, as sentences that a customer may read."""

from __future__ import annotations

from typing import Final

import httpx

NOT_REACHABLE: Final = "destination not allowed or not reachable"
OWN_FAULT: Final = "the sender could not reach the internet"
BODY_BROKE_OFF: Final = "the body of the answer broke off"
BODY_TOO_SLOW: Final = "the body of the answer did not end in time and was cut"

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
    """Our own way out is barred, which says nothing about the endpoint; only the operator's log says how.

    `for_all` is false if it may be barred to this one address alone.
    """

    def __init__(self, detail: str, *, for_all: bool = True) -> None:
        super().__init__(OWN_FAULT)
        self.detail = detail
        self.for_all = for_all


class TLSFailed(AttemptError, httpx.ConnectError):
    """The TLS handshake failed, or the certificate is not acceptable."""


class TimedOut(AttemptError, httpx.TimeoutException):
    """A time limit passed before the headers of the answer were complete."""


class ConnectionEnded(AttemptError, httpx.ReadError):
    """The peer closed or reset the connection before the headers were complete."""


class BadAnswer(AttemptError, httpx.RemoteProtocolError):
    """The peer sent something that is not an HTTP/1.1 answer."""


class BadRequest(AttemptError, httpx.LocalProtocolError):
    """The request cannot be sent as it is."""


def timed_out(seconds: float, doing: str) -> TimedOut:
    """Return the failure for a limit of so many seconds that passed while doing something."""
    return TimedOut(f"timed out after {round(max(seconds, 0.0), 1):g} s {doing}")


def answer_too_long(limit: int) -> str:
    """Return the warning for an answer that was cut after `limit` bytes."""
    return f"the answer was longer than {limit // 1024} KiB and was cut"


def too_many_pieces(most: int) -> str:
    """Return the warning for an answer that was cut after `most` portions."""
    return f"the answer came in more than {most} pieces and was cut"


def status_fault(status: int) -> str | None:
    """Return what is wrong with a status, or None."""
    if status not in _STATUSES:
        return f"the answer has the impossible status {status:03d}"
    if status == _SWITCHING_PROTOCOLS:
        return "the answer switches protocols (status 101), which was not asked for"
    return None
