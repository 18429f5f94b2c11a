"""Parse one HTTP/1.1 response, from bytes that arrive in any portions, without I/O.

Sources: RFC 9110, RFC 9112. The status counts as soon as it can be read and the head has ended. Anything else that is
wrong with the head is a fault: it is noted, and the connection carries no other request, because implementations
disagree on where a faulty response ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from unihooks._base.sentences import Kept
from unihooks.transport._chunks import TOKEN, BadChunk, ChunkReader
from unihooks.transport._errors import (
    BODY_BADLY_FRAMED,
    BODY_BROKE_OFF,
    CLOSED_EARLY,
    CLOSED_IN_HEADERS,
    HEADERS_TOO_LARGE,
    NO_STATUS_LINE,
    TOO_LONG,
    TOO_MANY_PIECES,
    BadResponse,
    status_fault,
)

MAX_BODY_BYTES: Final = 16 * 1024
MAX_WIRE_BYTES: Final = 128 * 1024
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_FIELDS: Final = 128
MAX_INTERIM: Final = 16
# Each portion of a body costs as much as a whole plain response, however few bytes it has.
MAX_PIECES: Final = 256

Headers = list[tuple[bytes, bytes]]

_VISIBLE = rb"[\t\x20-\x7e\x80-\xff]"
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})(?: " + _VISIBLE + rb"*+)?(?=\r\n)")
# Possessive quantifiers: without them a line of spaces before a NUL would take quadratic time.
_FIELD = re.compile(rb"\r\n(" + TOKEN + rb"):[ \t]*+(" + _VISIBLE + rb"*+)(?=\r\n)")

# The same for heads with faults.
_LOOSE_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9])[ \t]++([0-9]{3})(?=[ \t\r\n])")
_EMPTY_LINE = re.compile(rb"\n\r{0,2}\n")
_EMPTY_LINE_SIZE = 4
_NAME = re.compile(TOKEN)
_CONTROLS = bytes(range(9)) + bytes(range(10, 32)) + b"\x7f"
_CONTROLS_TO_SPACES = bytes.maketrans(_CONTROLS, b" " * len(_CONTROLS))

_LENGTH = re.compile(rb"[0-9]{1,18}")
_IDLE_TIME = re.compile(rb"\btimeout=([0-9]{1,6})\b", re.IGNORECASE)
_PREFIX = b"HTTP/1."
_FRAMING_NAME_SIZES = frozenset({len("connection"), len("content-length"), len("transfer-encoding")})
_FINAL = 200
_USUAL = range(_FINAL, 600)
_INTERIM = Kept("too-many-interim", "more than {most} interim (1xx) responses came before the final one")
_BAD_STATUS_LINE = Kept("bad-status-line", "the response has a malformed status line")
_BAD_HEADER_LINE = Kept("bad-header-line", "the response has a malformed header line")
_BAD_LENGTH = Kept("bad-content-length", "the response has a malformed Content-Length, or more than one")
_LENGTH_AND_CODING = Kept("length-and-coding", "the response has Content-Length beside Transfer-Encoding")
_OTHER_CODING = Kept("other-coding", "the response has a Transfer-Encoding other than chunked")
_LARGE_HEAD = Kept("large-headers", "the headers of the response are larger than {limit} KiB")
_MANY_HEADERS = Kept("many-headers", "the response has more than {most} headers")
_BARE_LINE_FEED = Kept("bare-line-feed", "the response has a line that does not end in CR LF")
_UNTIL_EOF = -1
_UNKNOWN = -2
_BODILESS = frozenset({204, 304})


class ResponseParser:
    """A response, while it arrives and afterwards.

    While the headers are incomplete, `feed` and `eof` raise BadResponse; then `status` is set. `fault` says what was
    wrong with the headers, `warning` why the body is incomplete. `done` means that the response has ended, `keep` that
    the connection may carry another request, for which the peer waits `idle_seconds`. `pieces` counts the portions in
    which it came. Call neither `feed` nor `eof` once the response is done or after an error.
    """

    __slots__ = (
        "_body", "_chunks", "_interim", "_left", "_pending", "_step", "_without_body",
        "done", "fault", "head_size", "headers", "idle_seconds", "keep", "pieces", "received", "status", "warning",
    )  # fmt: skip

    def __init__(self, *, without_body: bool = False) -> None:
        self.status: int | None = None
        self.headers: Headers = []
        self.head_size = 0
        self._body: bytes | bytearray = b""
        self.fault: str | None = None
        self.warning: str | None = None
        self.pieces = 0
        self.received = 0
        self.done = False
        self.keep = True
        self.idle_seconds: int | None = None
        self._without_body = without_body
        self._pending: bytes | bytearray = b""
        self._interim = 0
        self._left = 0
        self._chunks: ChunkReader | None = None
        # Unbound, since a bound method would make every parser a reference cycle.
        self._step: Callable[[ResponseParser, bytes], None] = ResponseParser._read_head

    @property
    def body(self) -> bytes:
        """Return the first 16 KiB of the body, neither decoded nor decompressed."""
        return bytes(self._body[:MAX_BODY_BYTES])

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        self.pieces += 1
        self.received += len(data)
        if self.received <= MAX_WIRE_BYTES:
            self._step(self, data)
            if not self.done and self.pieces > MAX_PIECES and self.status is not None:
                self.cut(TOO_MANY_PIECES(most=MAX_PIECES))
            return
        self._step(self, data[: MAX_WIRE_BYTES - self.received])
        self.received = MAX_WIRE_BYTES
        self.keep = False
        if not self.done:
            self._exceed()

    def eof(self) -> None:
        """End the response where the peer stopped sending."""
        self.keep = False
        if self.status is None:
            raise BadResponse(CLOSED_IN_HEADERS if self.received else CLOSED_EARLY)
        if self._step is not ResponseParser._read_until_eof:
            self.warning = BODY_BROKE_OFF
        self.done = True

    def cut(self, warning: str) -> None:
        """End a response whose headers are complete."""
        self.warning = warning
        self.keep = False
        self.done = True

    def _add(self, data: bytes) -> None:
        # Most bodies come in one piece; for many small pieces a list would take far more memory.
        if not self._body:
            self._body = data
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            self.cut(TOO_LONG(limit=MAX_BODY_BYTES // 1024))

    def _exceed(self) -> None:
        if self.status is None:
            raise BadResponse(HEADERS_TOO_LARGE)
        self.cut(
            TOO_MANY_PIECES(most=MAX_PIECES) if self.pieces > MAX_PIECES else TOO_LONG(limit=MAX_WIRE_BYTES // 1024)
        )

    def _read_head(self, data: bytes) -> None:
        if known := len(self._pending):
            # Searched before it is copied, or a head in single bytes would take quadratic time.
            self._pending += data
            if not _EMPTY_LINE.search(self._pending, max(known - _EMPTY_LINE_SIZE + 1, 0)):
                _check_start(self._pending)
                return
            data = bytes(self._pending)
        while (rest := self._take_head(data)) is not None:
            data = rest
            if self.status is not None:
                self._pending = b""
                self._begin_body(data)
                return
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise BadResponse(_INTERIM(most=MAX_INTERIM))
        data = data.lstrip(b"\r\n")
        _check_start(data)
        self._pending = bytearray(data)

    def _take_head(self, data: bytes) -> bytes | None:
        """Take one head and return what follows it, or None if it is incomplete."""
        end = data.find(b"\r\n\r\n")
        line = _STATUS_LINE.match(data)
        fields = None if line is None or end < 0 else parse_fields(data, line.end(), end + 2)
        if line is None or fields is None or end > MAX_HEAD_BYTES:
            return self._take_faulty_head(data)
        self._take_status(line, fields, end)
        return data[end + 4 :]

    def _take_faulty_head(self, data: bytes) -> bytes | None:
        head = data.lstrip(b"\r\n")
        if len(head) < len(data):
            self._note(_BAD_STATUS_LINE)
        end = _EMPTY_LINE.search(head)
        if end is None:
            return None
        line = _LOOSE_STATUS_LINE.match(head)
        if line is None:
            raise BadResponse(NO_STATUS_LINE)
        lines = head[: end.start()].split(b"\n", MAX_FIELDS + 1)
        fields, is_malformed = parse_loosely(lines[1 : MAX_FIELDS + 1])
        self._note(_BAD_HEADER_LINE if is_malformed else _fault_of(lines, end.start()))
        self._take_status(line, fields, end.start())
        if len(lines) > MAX_FIELDS + 1 and self._left == _UNTIL_EOF:
            self._left = _UNKNOWN
        return head[end.end() :]

    def _note(self, fault: str) -> None:
        self.fault = self.fault or fault

    def _take_status(self, line: re.Match[bytes], fields: Headers, size: int) -> None:
        status = int(line[2])
        if status not in _USUAL:
            if fault := status_fault(status):
                raise BadResponse(fault)
            if status < _FINAL:
                return  # an interim response never has a body
        self._read_framing(fields, old=line[1] == b"0")
        self.status = status
        self.headers = fields
        self.head_size = size

    def _read_framing(self, headers: Headers, *, old: bool) -> None:
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            if len(name) in _FRAMING_NAME_SIZES:
                key = name.lower()
                found[key] = found[key] + b"," + value if key in found else value
        self.keep = not old and b"close" not in found.get(b"connection", b"").lower()
        if b"keep-alive" in found and (match := _IDLE_TIME.search(found[b"keep-alive"])):
            self.idle_seconds = int(match[1])
        length, coding = found.get(b"content-length"), found.get(b"transfer-encoding")
        self._left = _UNTIL_EOF if length is None else self._length(length)
        if coding is not None:
            self._take_coding(coding, length)
        if self.fault is not None:
            self.keep = False

    def _length(self, value: bytes) -> int:
        if _LENGTH.fullmatch(value):
            return int(value)
        self._note(_BAD_LENGTH)
        # The shortest, so that nobody waits for bytes that never come.
        possible = [int(one) for part in value.split(b",") if _LENGTH.fullmatch(one := part.strip())]
        return min(possible, default=_UNKNOWN)

    def _take_coding(self, coding: bytes, length: bytes | None) -> None:
        if length is not None:
            self._note(_LENGTH_AND_CODING)
        if coding.lower() != b"chunked":
            self._note(_OTHER_CODING)
        if b"chunked" in [one.strip() for one in coding.lower().split(b",")]:
            self._chunks = ChunkReader()

    def _begin_body(self, data: bytes) -> None:
        if self._without_body or self.status in _BODILESS:
            # A 204 that announces a body may indeed send one, so nothing more is read from this connection.
            if self.status != 304 and not self._without_body and (self._left > 0 or self._chunks):  # noqa: PLR2004
                self.keep = False
            self._left = 0
            self._step = ResponseParser._read_sized
        elif self._chunks is not None:
            self._step = ResponseParser._read_chunks
        elif self._left == _UNKNOWN:
            # Waiting for more could take until the deadline.
            self._left = len(data)
            self._step = ResponseParser._read_sized
        elif self._left >= 0:
            self._step = ResponseParser._read_sized
        else:
            self.keep = False
            self._step = ResponseParser._read_until_eof
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
        if left == 0:
            self.done = True

    def _read_until_eof(self, data: bytes) -> None:
        self._add(data)

    def _read_chunks(self, data: bytes) -> None:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101
        try:
            rest = chunks.feed(data, self._add, MAX_PIECES - self.pieces)
        except BadChunk:
            self.cut(BODY_BADLY_FRAMED)
            return
        self.pieces += chunks.taken
        if chunks.done:
            self.done = True
            if rest:
                self.keep = False


def _check_start(data: bytes | bytearray) -> None:
    if data[: len(_PREFIX)] != _PREFIX[: len(data)]:
        raise BadResponse(NO_STATUS_LINE)


def _fault_of(lines: Sequence[bytes], size: int) -> str:
    if size > MAX_HEAD_BYTES:
        return _LARGE_HEAD(limit=MAX_HEAD_BYTES // 1024)
    if len(lines) > MAX_FIELDS + 1:
        return _MANY_HEADERS(most=MAX_FIELDS)
    if not all(line.endswith(b"\r") for line in lines):
        return _BARE_LINE_FEED
    return _BAD_STATUS_LINE


def parse_fields(data: bytes, start: int, end: int) -> Headers | None:
    """Return the header fields of data[start:end], which begins and ends with CR LF; None if they have a fault."""
    lines = data.count(b"\n", start, end) - 1
    if lines > MAX_FIELDS or data.find(b"\n", start) != start + 1:
        return None
    fields: Headers = _FIELD.findall(data, start, end)
    if len(fields) != lines:
        return None
    if data.find(b" \r\n", start, end) >= 0 or data.find(b"\t\r\n", start, end) >= 0:
        return [(name, value.rstrip(b" \t")) for name, value in fields]
    return fields


def parse_loosely(lines: Iterable[bytes]) -> tuple[Headers, bool]:
    """Return the header fields of lines as most clients read them, and whether any line is malformed.

    Control characters become spaces. A folded line continues the one before it. A line without a name is left out.
    """
    fields: Headers = []
    is_malformed = False
    for line in lines:
        text = line.removesuffix(b"\r")
        visible = text.translate(_CONTROLS_TO_SPACES)
        name, colon, value = visible.partition(b":")
        is_folded = text[:1] in {b" ", b"\t"}
        is_malformed |= visible != text or not (colon and _NAME.fullmatch(name))
        if is_folded and fields:
            name, value = fields[-1][0], b" ".join([fields.pop()[1], (name + colon + value).strip(b" \t")])
        elif not colon or not name.strip():
            continue
        fields.append((name.strip(), value.strip(b" \t")))
    return fields, is_malformed
