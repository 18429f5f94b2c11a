"""A TLS connection whose buffers are shared by all connections.

asyncio's own TLS takes about 290 KiB per connection, this about 30.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Final

from unihooks._base.sentences import Kept
from unihooks.transport._connections import MAX_OVERHEAD_BYTES, PLAIN_BYTES, PORTIONS_AT_ONCE, Connection, Scratch
from unihooks.transport._errors import (
    BODY_BROKE_OFF,
    CLOSED_IN_HANDSHAKE,
    RESPONSE_CUT,
    RESPONSE_TOO_LARGE,
    AttemptError,
    TLSFailed,
)
from unihooks.transport._parser import MAX_WIRE_BYTES, ResponseParser

_MAX_WIRE: Final = MAX_WIRE_BYTES + MAX_OVERHEAD_BYTES

# Certificates and tickets take several times their size in OpenSSL's memory, for as long as the connection or its
# session lives. Above this limit neither is kept.
_MAX_KEPT_BYTES: Final = 16 * 1024

# Each handshake that a receiver demands costs a millisecond. TLS 1.3 has none, but key updates, which are limited to
# this many per response.
_MAX_REPLIES: Final = {"TLSv1.3": 4}

_UNTRUSTED: Final = Kept("certificate-untrusted", "TLS certificate is issued by an authority that is not trusted")
# https://www.openssl.org/docs/man3.0/man3/X509_verify_cert_error_string.html
_CERTIFICATE_FAULTS: Final = {
    9: Kept("certificate-not-yet", "TLS certificate is not valid yet"),
    10: Kept("certificate-expired", "TLS certificate has expired"),
    18: Kept("certificate-self-signed", "TLS certificate is self-signed"),
    **dict.fromkeys((19, 20, 21), _UNTRUSTED),
    23: Kept("certificate-revoked", "TLS certificate has been revoked"),
    62: Kept("certificate-other-host", "TLS certificate is not valid for this host"),
    64: Kept("certificate-other-address", "TLS certificate is not valid for this address"),
}
_OTHER_FAULT: Final = Kept("certificate-unacceptable", "TLS certificate is not acceptable (error {number})")
_HANDSHAKE_FAILED: Final = Kept("handshake-failed", "the TLS handshake failed ({detail})")
_HANDSHAKE_TOO_LONG: Final = Kept("handshake-too-long", "the TLS handshake is too long")
_BROKE: Final = Kept("tls-broke", "the TLS connection broke before the headers were complete ({detail})")
_RENEGOTIATED: Final = Kept("tls-renegotiated", "the TLS connection was renegotiated, which is refused")


def default_context() -> ssl.SSLContext:
    """Return a context that trusts what the system trusts; making one takes about 25 ms, so share it."""
    # `ssl.create_default_context` would write the keys of all connections into the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # The standard has left this out since 2011: a common name is free text.
    context.hostname_checks_common_name = False
    # With DHE the server chooses the group, and a group of 10,000 bits costs a second of CPU.
    context.set_ciphers(":".join(cipher["name"] for cipher in context.get_ciphers() if cipher["kea"] != "kx-dhe"))
    context.set_alpn_protocols(["http/1.1"])
    return context


class TLSConnection(Connection):
    """A connection whose bytes go through OpenSSL's memory BIOs."""

    __slots__ = ("_asked", "_incoming", "_outgoing", "_ready", "_replies", "_ssl", "_wire")

    _ssl: ssl.SSLObject

    def __init__(self, loop: asyncio.AbstractEventLoop, scratch: Scratch) -> None:
        super().__init__(loop, scratch)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ready: asyncio.Future[None] | None = None
        self._asked = False
        self._replies = 0
        self._wire = 0

    def shake_hands(self, context: ssl.SSLContext, name: str, session: ssl.SSLSession | None) -> asyncio.Future[None]:
        """Start the handshake; the future ends with it, or with TLSFailed."""
        # Not made earlier: for an address that does not respond it would never be used.
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        ready = self._loop.create_future()
        self._ready = ready
        if self.closed:
            self._refuse(CLOSED_IN_HANDSHAKE)
        else:
            self._go_on(ready)
        return ready

    def security(self) -> tuple[str | None, int | None]:
        """Return the version of TLS, such as "TLSv1.3", and when the peer's certificate ends (seconds since 1970)."""
        end = (self._ssl.getpeercert() or {}).get("notAfter")
        return self._ssl.version(), ssl.cert_time_to_seconds(end) if isinstance(end, str) else None

    def take_session(self) -> ssl.SSLSession | None:
        """Return the session once, after the first response, if it was not itself resumed."""
        # Tickets come with or before the first response. A resumed connection has no new session, and asking costs
        # time.
        if not self.session_due:
            return None
        self.session_due = False
        return self._ssl.session

    def ask(self, data: bytes, parser: ResponseParser, started: float, deadline: float) -> asyncio.Future[None]:
        """Send a request; the future ends when the parser is done, or with an AttemptError."""
        if self._asked:
            self._wire = self._replies = 0
        else:
            self._asked = True
            # Tickets may have arrived already. Anything else was not requested, and closes the connection.
            self._decrypt()
        return super().ask(data, parser, started, deadline)

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that were read; called by the event loop."""
        if self.closed:
            return
        self._wire += nbytes
        self._incoming.write(self._scratch.wire_view[:nbytes])
        if self._ready is not None:
            self._go_on(self._ready)
        elif self._parser is not None:
            self._decrypt()
        elif self._asked or self._wire > MAX_OVERHEAD_BYTES:
            self.close()
        self._portions += 1
        if self._portions > PORTIONS_AT_ONCE:
            self._read_later()

    def _go_on(self, ready: asyncio.Future[None]) -> None:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            if self._wire > MAX_OVERHEAD_BYTES:
                self._refuse(_HANDSHAKE_TOO_LONG)
            return
        except ssl.SSLError as exc:
            self._flush()
            self._refuse(_fault(exc))
            return
        self._flush()
        self._ready = None
        self.session_due = not self._ssl.session_reused
        if not ready.done():
            ready.set_result(None)

    def _refuse(self, sentence: str) -> None:
        ready, self._ready = self._ready, None
        if ready is not None and not ready.done():
            ready.set_exception(TLSFailed(sentence))
        self.close()

    def _send(self, data: bytes) -> None:
        try:
            self._ssl.write(data)
        except ssl.SSLError as exc:
            self._end(exc)
            return
        super()._send(self._outgoing.read())

    def _decrypt(self) -> None:
        incoming, scratch, read = self._incoming, self._scratch, self._ssl.read
        try:
            # Bytes that follow the end of the response close the connection.
            while incoming.pending:
                # Given a buffer, it returns the count, although typeshed says otherwise.
                count: int = read(PLAIN_BYTES, scratch.plain)  # type: ignore[assignment]
                if not count:
                    self._end(None)
                    return
                self._feed(bytes(scratch.plain_view[:count]))
                if self.closed:
                    return
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as exc:
            self._break(exc)
            return
        if self._outgoing.pending:
            self._reply()
        if self._wire > _MAX_WIRE and self._parser is not None:
            self._give_up(AttemptError(RESPONSE_TOO_LARGE), RESPONSE_CUT)

    def _reply(self) -> None:
        self._replies += 1
        if self._replies <= _MAX_REPLIES.get(self._ssl.version() or "", 0):
            self._flush()
        else:
            self._give_up(TLSFailed(_RENEGOTIATED), BODY_BROKE_OFF)

    def _give_up(self, error: AttemptError, warning: str) -> None:
        if self._parser is None or self._parser.status is None:
            self._fail(error)
        else:
            self._parser.cut(warning)
            self._finish()

    def _break(self, exc: ssl.SSLError) -> None:
        if self._parser is not None and self._parser.status is None:
            self._fail(TLSFailed(_BROKE(detail=_reason(exc))))
        else:
            self._end(exc)

    def _finish(self) -> None:
        parser = self._parser
        if parser is not None and self._wire - parser.received > _MAX_KEPT_BYTES:
            parser.keep = self.session_due = False
        super()._finish()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._write(self._outgoing.read())

    def _end(self, exc: BaseException | None) -> None:
        if self._ready is not None:
            self._refuse(CLOSED_IN_HANDSHAKE)
        else:
            super()._end(exc)


def _fault(exc: ssl.SSLError) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        fault = _CERTIFICATE_FAULTS.get(exc.verify_code)
        return fault or _OTHER_FAULT(number=exc.verify_code)
    return _HANDSHAKE_FAILED(detail=_reason(exc))


def _reason(exc: ssl.SSLError) -> str:
    # `reason` is one of OpenSSL's own constants, never text from the peer.
    return exc.reason or type(exc).__name__
