"""Parse one HTTP/1.1 answer strictly, from bytes that arrive in any portions, without I/O.

Sources: RFC 9110, RFC 9112. Where these allow a recipient to be lenient (bare
line feeds, folded lines, repeated Content-Length, Content-Length beside
Transfer-Encoding), this parser refuses, because such leniency is what makes
two parsers disagree about where an answer ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from unihooks.transport._chunks import BadChunk, ChunkReader
from unihooks.transport._errors import BODY_BROKE_OFF, BadAnswer, answer_too_long, status_fault

MAX_WIRE_BYTES: Final = 128 * 1024
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_FIELDS: Final = 128
MAX_INTERIM: Final = 16

Headers = list[tuple[bytes, bytes]]

_VISIBLE = rb"[\t\x20-\x7e\x80-\xff]"
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: " + _VISIBLE + rb"*+)?(?=\r\n)")
# Possessive quantifiers: without them a line of spaces before a NUL would take quadratic time.
_FIELD = re.compile(rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+(" + _VISIBLE + rb"*+)(?=\r\n)")
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_IDLE_TIME = re.compile(rb"\btimeout=([0-9]{1,6})\b", re.IGNORECASE)
_PREFIX = b"HTTP/1."
_FRAMING_NAME_SIZES = frozenset({len("connection"), len("content-length"), len("transfer-encoding")})
_FINAL = 200
_BODILESS = frozenset({204, 304})


class AnswerParser:
    """An answer, while it arrives and afterwards.

    While the headers are incomplete, `feed` and `eof` raise BadAnswer; then
    `status` is set, and faults only end the answer with a `warning`. `done`
    means that the answer has ended, `keep` that the connection may carry
    another request, for which the peer waits `idle_seconds`. Call neither
    `feed` nor `eof` once the answer is done or after an error.
    """

    __slots__ = (
        "_body", "_chunks", "_interim", "_left", "_limit", "_pending", "_step", "_without_body",
        "done", "head_size", "headers", "idle_seconds", "keep", "received", "status", "warning",
    )  # fmt: skip

    def __init__(self, *, without_body: bool = False, limit: int = MAX_WIRE_BYTES) -> None:
        self.status: int | None = None
        self.headers: Headers = []
        self.head_size = 0
        self._body: bytes | bytearray = b""
        self.warning: str | None = None
        self.received = 0
        self.done = False
        self.keep = True
        self.idle_seconds: int | None = None
        self._without_body = without_body
        self._limit = limit
        self._pending = b""
        self._interim = 0
        self._left = 0
        self._chunks: ChunkReader | None = None
        # Unbound, since a bound method would make every answer a reference cycle.
        self._step: Callable[[AnswerParser, bytes], None] = AnswerParser._read_head

    @property
    def body(self) -> bytes:
        """Return what arrived of the body, neither decoded nor decompressed."""
        return bytes(self._body)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        room = self._limit - self.received
        if len(data) <= room:
            self.received += len(data)
            self._step(self, data)
            return
        self.received += room
        self._step(self, data[:room])
        if not self.done:
            self._exceed()
        self.keep = False

    def eof(self) -> None:
        """End the answer where the peer stopped sending."""
        self.keep = False
        if self.status is None:
            what = "headers were complete" if self.received else "answer came"
            raise BadAnswer(f"the connection was closed before the {what}")
        if self._step is not AnswerParser._read_until_eof:
            self.warning = BODY_BROKE_OFF
        self.done = True

    def cut(self, warning: str) -> None:
        """End an answer whose headers are complete."""
        self.warning = warning
        self.keep = False
        self.done = True

    def _add(self, data: bytes) -> None:
        # Most bodies come in one piece; for many small pieces a list would take far more memory.
        if not self._body:
            self._body = data
            return
        if isinstance(self._body, bytes):
            self._body = bytearray(self._body)
        self._body += data

    def _exceed(self) -> None:
        if self.status is None:
            raise BadAnswer("the headers of the answer are too large")
        self.cut(answer_too_long(self._limit))

    def _read_head(self, data: bytes) -> None:
        known = len(self._pending)
        if known:
            data = self._pending + data
        while True:
            end = data.find(b"\r\n\r\n", max(known - 3, 0))
            if end < 0 or end > MAX_HEAD_BYTES:
                self._check_unfinished(data, known)
                self._pending = data
                return
            status = self._parse_head(data, end + 2)
            data = data[end + 4 :]
            known = 0
            if status >= _FINAL:
                break
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadAnswer(f"more than {MAX_INTERIM} interim (1xx) answers came before the answer")
        self._pending = b""
        self.status = status
        self.head_size = end
        self._begin_body(data)

    def _check_unfinished(self, data: bytes, known: int) -> None:
        if len(data) > MAX_HEAD_BYTES:
            message = "the headers of the answer are too large"
        elif data[: len(_PREFIX)] != _PREFIX[: len(data)]:
            message = "the answer does not begin with an HTTP/1.1 status line"
        elif _BARE_LINE_FEED.search(data, max(known - 1, 0)):
            message = "the answer has a line that does not end in CR LF"
        else:
            return
        raise BadAnswer(message)

    def _parse_head(self, data: bytes, end: int) -> int:
        line = _STATUS_LINE.match(data)
        if line is None:
            raise BadAnswer("the answer does not begin with an HTTP/1.1 status line")
        status = int(line[2])
        if fault := status_fault(status):
            raise BadAnswer(fault)
        self.headers = parse_fields(data, line.end(), end)
        self._read_framing(self.headers, old=line[1] == b"0")
        if status < _FINAL and (self._left >= 0 or self._chunks is not None):
            raise BadAnswer("an interim (1xx) answer has a body")
        return status

    def _read_framing(self, headers: Headers, *, old: bool) -> None:
        length: bytes | None = None
        coding: bytes | None = None
        self.keep = not old
        for name, value in headers:
            if len(name) not in _FRAMING_NAME_SIZES:
                continue
            key = name.lower()
            if key == b"content-length":
                length = _first(length, value, "Content-Length")
            elif key == b"transfer-encoding":
                coding = _first(coding, value, "Transfer-Encoding")
            elif key == b"connection" and b"close" in value.lower():
                self.keep = False
            elif key == b"keep-alive" and (match := _IDLE_TIME.search(value)):
                self.idle_seconds = int(match[1])
        self._left = -1 if length is None else _parse_length(length)
        self._chunks = None if coding is None else _chunk_reader(coding, length)

    def _begin_body(self, data: bytes) -> None:
        if self._without_body or self.status in _BODILESS:
            # A 204 that announces a body may really send one, so nothing more is read from this connection.
            if self.status != 304 and not self._without_body and (self._left > 0 or self._chunks):  # noqa: PLR2004
                self.keep = False
            self._left = 0
            self._step = AnswerParser._read_sized
        elif self._chunks is not None:
            self._step = AnswerParser._read_chunks
        elif self._left >= 0:
            self._step = AnswerParser._read_sized
        else:
            self.keep = False
            self._step = AnswerParser._read_until_eof
        if data or self._left == 0:
            self._step(self, data)

    def _read_sized(self, data: bytes) -> None:
        left = self._left - len(data)
        if left < 0:
            self.keep = False
            data = data[: self._left]
            left = 0
        self._left = left
        self._add(data)
        self.done = left == 0

    def _read_until_eof(self, data: bytes) -> None:
        self._add(data)

    def _read_chunks(self, data: bytes) -> None:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101
        try:
            rest = chunks.feed(data, self._add)
        except BadChunk:
            self.cut("the body of the answer is badly framed and was cut")
            return
        if chunks.done:
            self.done = True
            if rest:
                self.keep = False


def parse_fields(data: bytes, start: int, end: int) -> Headers:
    """Return the header fields of data[start:end], which begins and ends with CR LF."""
    lines = data.count(b"\n", start, end) - 1
    if lines > MAX_FIELDS:
        raise BadAnswer(f"the answer has more than {MAX_FIELDS} headers")
    fields: Headers = _FIELD.findall(data, start, end)
    if len(fields) != lines or data.find(b"\n", start) != start + 1:
        raise BadAnswer("the answer has a malformed header line")
    if data.find(b" \r\n", start, end) >= 0 or data.find(b"\t\r\n", start, end) >= 0:
        return [(name, value.rstrip(b" \t")) for name, value in fields]
    return fields


def _first(known: bytes | None, value: bytes, name: str) -> bytes:
    if known is not None:
        raise BadAnswer(f"the answer has more than one {name}")
    return value


def _parse_length(value: bytes) -> int:
    if not _LENGTH.fullmatch(value):
        raise BadAnswer("the answer has a malformed Content-Length")
    return int(value)


def _chunk_reader(coding: bytes, length: bytes | None) -> ChunkReader:
    if length is not None:
        raise BadAnswer("the answer has Content-Length beside Transfer-Encoding")
    if coding.lower() != b"chunked":
        raise BadAnswer("the answer has a Transfer-Encoding other than chunked")
    return ChunkReader()
