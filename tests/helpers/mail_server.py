"""A mail server on this machine that keeps what it is sent, for tests of code that writes e-mail."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


class _Conversation(socketserver.StreamRequestHandler):
    """One client's conversation, as far as RFC 5321 asks of every server; each message goes to the server's `mails`."""

    def handle(self) -> None:
        self._say(220, "ready")
        while line := self.rfile.readline().decode("ascii").strip():
            verb = line.split()[0].upper()
            if verb == "QUIT":
                self._say(221, "bye")
                return
            if verb == "DATA":
                self._say(354, "go on")
                self._receive()
            elif verb in {"EHLO", "HELO", "MAIL", "RCPT", "RSET", "NOOP"}:
                self._say(250, "ok")
            else:
                self._say(502, "unknown")

    def _receive(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line.removeprefix(b"."))
        self.server.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[attr-defined]
        self._say(250, "kept")

    def _say(self, code: int, text: str) -> None:
        self.wfile.write(f"{code} {text}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    """What listens on a free port of this machine; `address` is its host and port."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: list[EmailMessage | Any] = []

    @property
    def address(self) -> tuple[str, int]:
        """Return its host and port."""
        return "127.0.0.1", self.server_address[1]


@contextmanager
def serving() -> Iterator[MailServer]:
    """Run a mail server while the block runs."""
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
