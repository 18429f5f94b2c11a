"""A receiver that misbehaves on purpose, each path in its own way."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import gzip
import os
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from unihooks._model.targets import TargetPolicy
from unihooks.testing._certificates import new_authority

if TYPE_CHECKING:
    import trustme

# Returns True if the connection continues with another request.
Trick = Callable[[socket.socket], bool]

_FLOOD: Final = b"x" * 8192
_DRIP_SECONDS: Final = 0.05
_HANG_SECONDS: Final = 30.0
_BOMB: Final = gzip.compress(bytes(64 * 1024 * 1024), compresslevel=9)
_CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_OPEN_ENDED: Final = b"HTTP/1.1 200 OK\r\n\r\n"


class Hostile:
    """A receiver on 127.0.0.1 that plays the trick that the path of a request names.

    `certificate` is `good`, `wrong-host`, `expired`, `unknown` (an authority that `ssl_context` does not trust),
    `silent` (TLS never responds), `plain` (no TLS at all), `eager` (like `ticketless`, but it responds before it is
    asked), `long` (good, followed by 40 others that serve nothing), `tls-1.2` (good, but old) or `ticketless` (good,
    but its sessions cannot be resumed). Use it as a context manager.
    """

    def __init__(self, certificate: str = "good") -> None:
        self.targets = TargetPolicy(allow=["127.0.0.0/8"], resolver=_loopback)
        self.ssl_context = _client_context()
        self.connections = 0
        self.was_reset = threading.Event()
        self.resumed: list[bool] = []
        self._certificate = certificate
        self._context = None if certificate in {"silent", "plain"} else _server_context(certificate)
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)

    def url(self, trick: str, host: str = "localhost") -> str:
        """Return the URL that plays this trick."""
        return f"https://{host}:{self.port}/{trick}"

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="unihooks-hostile", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.add(accepted)
            self._start(functools.partial(self._serve, accepted))

    def _serve(self, accepted: socket.socket) -> None:
        accepted.settimeout(_HANG_SECONDS)
        # Otherwise the second of two small writes waits until the client's delayed acknowledgement of the first.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with accepted, contextlib.suppress(OSError):
            if self._certificate == "silent":
                self._stopped.wait(_HANG_SECONDS)
            elif self._context is None:
                # Closing with unread data would send a reset.
                accepted.recv(65536)
                accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                accepted.recv(65536)
            else:
                self._serve_secured(accepted, self._context)

    def _serve_secured(self, accepted: socket.socket, context: ssl.SSLContext) -> None:
        with context.wrap_socket(accepted, server_side=True) as secured:
            # From now on only closing the wrapper ends a hanging connection.
            self._sockets.discard(accepted)
            self._sockets.add(secured)
            self.resumed.append(bool(secured.session_reused))
            if self._certificate == "eager":
                secured.sendall(_head(b"200 OK", _EMPTY))
            try:
                self._converse(secured)
            except ConnectionResetError:
                self.was_reset.set()
                raise

    def _converse(self, connection: socket.socket) -> None:
        while (path := read_request(connection)) is not None:
            if not TRICKS[path.removeprefix("/")](connection):
                return


def read_request(connection: socket.socket) -> str | None:
    """Read one request with its body; return its path, or None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
        if data.startswith(b"POST /never-read "):
            return "/never-read"
    head, _, body = data.partition(b"\r\n\r\n")
    left = _content_length(head) - len(body)
    while left > 0:
        left -= len(connection.recv(65536)) or left
    return head.split(b" ", 2)[1].partition(b"?")[0].decode("ascii")


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


def _go_on(connection: socket.socket) -> bool:  # noqa: ARG001 - the signature of a trick
    return True


def _leave(connection: socket.socket) -> bool:  # noqa: ARG001 - the signature of a trick
    return False


def _wait(connection: socket.socket) -> bool:
    connection.recv(1)
    return False


def _send_reset(connection: socket.socket) -> bool:
    # Closing with a linger time of zero sends RST instead of FIN.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def _send_garbage(connection: socket.socket) -> bool:
    # Sent below TLS: a record that cannot be decrypted.
    os.write(connection.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
    return _wait(connection)


def _say(data: bytes = b"", then: Trick = _leave) -> Trick:
    def play(connection: socket.socket) -> bool:
        connection.sendall(data)
        return then(connection)

    return play


def _flood(head: bytes, part: bytes, *, drips: bool = False) -> Trick:
    def play(connection: socket.socket) -> bool:
        connection.sendall(head)
        while True:
            time.sleep(_DRIP_SECONDS if drips else 0)
            connection.sendall(part)

    return play


def _late(data: bytes) -> Trick:
    def play(connection: socket.socket) -> bool:
        time.sleep(_DRIP_SECONDS)
        connection.sendall(data)
        return True

    return play


_keep = functools.partial(_say, then=_go_on)
_say_and_wait = functools.partial(_say, then=_wait)
_reset = functools.partial(_say, then=_send_reset)
_break_tls = functools.partial(_say, then=_send_garbage)
_drip = functools.partial(_flood, drips=True)


def _never_read(connection: socket.socket) -> bool:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    # Reads nothing until the connection is reset, or the receiver stops.
    poll = select.poll()
    poll.register(connection, 0)
    poll.poll(_HANG_SECONDS * 1000)
    # Below TLS, which cannot distinguish a reset from an end within a record.
    while os.read(connection.fileno(), 65536):
        pass
    return False


def _head(status: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"", b""])


_EMPTY: Final = b"Content-Length: 0"

# Malformed responses: an error and no status.
FAILURES: Final[dict[str, Trick]] = {
    "close-at-once": _say(),
    "close-in-headers": _say(b"HTTP/1.1 200 OK\r\nContent-"),
    "reset-at-once": _reset(b""),
    "reset-in-headers": _reset(b"HTTP/1.1 200 OK\r\nContent-"),
    "broken-tls": _break_tls(b""),
    "broken-tls-in-headers": _break_tls(b"HTTP/1.1 200 OK\r\nContent-"),
    "silence": _wait,
    "dripping-headers": _drip(b"HTTP/1.1 200 OK\r\n", b"X"),
    "endless-headers": _flood(b"HTTP/1.1 200 OK\r\n", b"X-Flood: yes\r\n" * 512),
    "endless-header-line": _flood(b"HTTP/1.1 200 OK\r\nX: ", _FLOOD),
    "interim-flood": _flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 64),
    "interim-drip": _drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "junk": _say_and_wait(b"\x00\xff\x16\x03SSH-2.0-nonsense\r\n\r\n"),
    "html-only": _say_and_wait(b"<html>hello</html>\r\n\r\n"),
    "status-999": _say_and_wait(_head(b"999 Denied", _EMPTY)),
    "status-99": _say_and_wait(_head(b"99 Odd", _EMPTY)),
    "status-101": _say_and_wait(_head(b"101 Switching Protocols", b"Upgrade: h2c", b"Connection: upgrade")),
}

# A readable status, which decides, and a fault in the headers, which is a warning.
FAULTS: Final[dict[str, Trick]] = {
    "9000-headers": _say(_head(b"200 OK", *[b"X-%d: yes" % number for number in range(9000)], _EMPTY)),
    "line-feeds-only": _say_and_wait(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    "one-line-feed": _say_and_wait(b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n"),
    "folded-header": _say_and_wait(_head(b"200 OK", b"X: a", b" b", _EMPTY)),
    "two-lengths": _say_and_wait(_head(b"200 OK", _EMPTY, b"Content-Length: 5") + b"hello"),
    "equal-lengths": _say_and_wait(_head(b"200 OK", _EMPTY, _EMPTY)),
    "length-beside-chunked": _say_and_wait(_head(b"200 OK", _EMPTY, b"Transfer-Encoding: chunked") + b"0\r\n\r\n"),
    "malformed-length": _say_and_wait(_head(b"200 OK", b"Content-Length: +5") + b"hello"),
    "unknown-coding": _say_and_wait(_head(b"200 OK", b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n"),
    "nul-in-header": _say_and_wait(_head(b"200 OK", b"X: a\0b", _EMPTY)),
    "space-before-colon": _say_and_wait(_head(b"200 OK", b"Content-Length : 0")),
    "no-length": _say_and_wait(_head(b"200 OK", b"Content-Length: ") + b"hello"),
    "negative-length": _say_and_wait(_head(b"200 OK", b"Content-Length: -1") + b"hello"),
    "listed-lengths": _say_and_wait(_head(b"200 OK", b"Content-Length: 5, 5") + b"hello"),
    "chunked-twice": _say_and_wait(_head(b"200 OK", *[b"Transfer-Encoding: chunked"] * 2) + b"0\r\n\r\n"),
    "identity-coding": _say(_head(b"200 OK", b"Transfer-Encoding: identity") + b"hello"),
    "control-character": _say_and_wait(_head(b"200 OK", b"Set-Cookie: a=\x01b", _EMPTY)),
    "empty-name": _say_and_wait(_head(b"200 OK", b": x", _EMPTY)),
    "no-colon": _say_and_wait(_head(b"200 OK", b"Foo", _EMPTY)),
    "odd-name": _say_and_wait(_head(b"200 OK", b"X-Gr\xf6\xdfe: 1", _EMPTY)),
    "long-line": _say_and_wait(_head(b"200 OK", b"X: " + b"a" * 40_000, _EMPTY)),
    "faulty-interim": _say_and_wait(b"HTTP/1.1 103 Early\nLink </x>\n\n" + _head(b"200 OK", _EMPTY)),
    "line-before": _say_and_wait(b"\r\n" + _head(b"200 OK", _EMPTY)),
    "odd-status-line": _say_and_wait(_head(b" 200  O\x01K", _EMPTY)),
}

# Complete headers, which decide, and a bad body, which is truncated with a warning.
CUTS: Final[dict[str, Trick]] = {
    "endless-body": _flood(_OPEN_ENDED, _FLOOD),
    "endless-chunks": _flood(_CHUNKED, b"2000\r\n" + _FLOOD + b"\r\n"),
    "endless-small-chunks": _flood(_CHUNKED, b"1\r\nx\r\n" * 1024),
    "endless-chunk-extension": _flood(_CHUNKED + b"5;", _FLOOD),
    "endless-chunk-extensions": _flood(_CHUNKED, (b"1;a=" + b"x" * 1024 + b"\r\ny\r\n") * 8),
    "endless-trailers": _flood(_CHUNKED + b"0\r\n", b"X-Flood: yes\r\n" * 512),
    "huge-length": _flood(_head(b"200 OK", b"Content-Length: 999999999999"), _FLOOD),
    "dripping-body": _drip(_head(b"200 OK", b"Content-Length: 1000000"), b"x"),
    "dripping-chunks": _drip(_CHUNKED, b"1\r\nx\r\n"),
    "missing-body": _say_and_wait(_head(b"200 OK", b"Content-Length: 5")),
    "short-body": _say(_head(b"200 OK", b"Content-Length: 5") + b"he"),
    "short-chunks": _say(_CHUNKED + b"5\r\nhe"),
    "reset-in-body": _reset(_head(b"200 OK", b"Content-Length: 5") + b"he"),
    "reset-before-close": _reset(_OPEN_ENDED + b"he"),
    "broken-tls-in-body": _break_tls(_OPEN_ENDED + b"he"),
    "bad-chunk-size": _say_and_wait(_CHUNKED + b"five\r\nhello\r\n0\r\n\r\n"),
    "bad-chunk-end": _say_and_wait(_CHUNKED + b"5\r\nhelloworld\r\n0\r\n\r\n"),
    "bad-trailer": _say_and_wait(_CHUNKED + b"0\r\nnonsense\r\n\r\n"),
}

# Odd but correct responses, each with the expected status.
ODDITIES: Final[dict[str, tuple[int, Trick]]] = {
    "ok": (204, _keep(_head(b"204 No Content"))),
    "ok-then-close": (204, _say(_head(b"204 No Content"))),
    "error": (500, _keep(_head(b"500 Oops", _EMPTY))),
    "no-reason": (200, _keep(_head(b"200 ", _EMPTY))),
    "no-space-after-status": (200, _keep(_head(b"200", _EMPTY))),
    "http-1.0": (200, _say(b"HTTP/1.0 200 OK\r\n\r\nhello")),
    "until-close": (200, _say(_OPEN_ENDED + b"hello")),
    "interim-with-length": (200, _keep(_head(b"103 Early Hints", _EMPTY) + _head(b"200 OK", _EMPTY))),
    "interim-once": (200, _keep(_head(b"100 Continue") + _head(b"200 OK", _EMPTY))),
    "chunked": (200, _keep(_CHUNKED + b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n")),
    "redirect": (302, _keep(_head(b"302 Found", b"Location: /ok", _EMPTY))),
    "bomb": (200, _keep(_head(b"200 OK", b"Content-Encoding: gzip", b"Content-Length: %d" % len(_BOMB)) + _BOMB)),
    "two-answers": (500, _keep(_head(b"500 Oops", _EMPTY) + _head(b"200 OK", _EMPTY))),
    "keep-alive": (200, _keep(_head(b"200 OK", b"Keep-Alive: max=100, timeout=5", _EMPTY))),
    "cookie": (200, _keep(_head(b"200 OK", b"Set-Cookie: a=b", _EMPTY))),
}

TRICKS: Final[dict[str, Trick]] = {
    **FAILURES,
    **FAULTS,
    **CUTS,
    **{name: trick for name, (_, trick) in ODDITIES.items()},
    "never-read": _never_read,
    "ok-then-more": _say(_head(b"204 No Content"), _late(_head(b"200 OK", _EMPTY))),
}


def _loopback(host: str, port: int) -> list[str]:  # noqa: ARG001 - the signature of a resolver
    return ["127.0.0.1"]


@functools.cache
def _authority(kind: str) -> trustme.CA:  # noqa: ARG001 - the key of the cache
    return new_authority()


@functools.cache
def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _authority("trusted").configure_trust(context)
    return context


@functools.cache
def _server_context(certificate: str) -> ssl.SSLContext:
    authority = _authority("unknown" if certificate == "unknown" else "trusted")
    name = "other.example.com" if certificate == "wrong-host" else "localhost"
    until = dt.datetime(2020, 1, 2, tzinfo=dt.UTC) if certificate == "expired" else None
    since = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) if certificate == "expired" else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue_cert(name, not_before=since, not_after=until)
    chain = issued.private_key_and_cert_chain_pem.bytes()
    chain += authority.cert_pem.bytes() * (40 if certificate == "long" else 0)
    with type(authority.cert_pem)(chain).tempfile() as path:
        context.load_cert_chain(path)
    if certificate == "tls-1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if certificate in {"ticketless", "eager"}:
        context.num_tickets = 0
    return context
