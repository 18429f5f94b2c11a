"""Send one request to a URL that a stranger chose, and read what comes back."""

from __future__ import annotations

from unihooks.transport._egress import check_bind
from unihooks.transport._errors import NOT_REACHABLE, OWN_FAULT, AttemptError, TimedOut, TLSFailed
from unihooks.transport._exchange import MAX_HEADER_BYTES, Exchange, exchange
from unihooks.transport._http import HTTPTransport
from unihooks.transport._parser import MAX_BODY_BYTES
from unihooks.transport._tls import default_context

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_HEADER_BYTES",
    "NOT_REACHABLE",
    "OWN_FAULT",
    "AttemptError",
    "Exchange",
    "HTTPTransport",
    "TLSFailed",
    "TimedOut",
    "check_bind",
    "default_context",
    "exchange",
]
