"""Parse a chunked body strictly, from bytes that arrive in any portions, without I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_LINE_BYTES: Final = 4096

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;" + TOKEN + rb"(?:=(?:" + TOKEN + rb"|" + _QUOTED + rb"))?)*+")
# Most chunks come whole and without extensions, and can be read in one step.
_PLAIN = re.compile(rb"([0-9A-Fa-f]{1,4})\r\n")
_TRAILER = re.compile(TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+")

_NEED_MORE = -1


class BadChunk(Exception):
    """The framing of the body violates RFC 9112 section 7.1."""


class ChunkReader:
    """The position in a chunked body; `taken` counts the chunks and trailers that the last `feed` began."""

    __slots__ = ("_in_trailers", "_left", "_pending", "done", "taken")

    def __init__(self) -> None:
        self.done = False
        self.taken = 0
        # Bytes left of the current chunk, with its CR LF; 0 means that a size line comes next.
        self._left = 0
        self._in_trailers = False
        self._pending = b""

    def feed(self, data: bytes, add: Callable[[bytes], None], most: int) -> bytes:
        """Pass the payload in `data` to `add`, but stop after too many chunks and trailers.

        Return what follows the body once the body has ended.
        """
        self.taken = 0
        if self._pending:
            data = self._pending + data
            self._pending = b""
        at = 0
        while not self.done and self.taken <= most:
            if not (self._left or self._in_trailers) and (size := _PLAIN.match(data, at)):
                start, end = size.end(), size.end() + int(size[1], 16)
                if start < end and data[end : end + 2] == b"\r\n":
                    add(data[start:end])
                    self.taken += 1
                    at = end + 2
                    continue
            step = self._take_data(data, at, add) if self._left else self._take_line(data, at)
            if step == _NEED_MORE:
                self._pending = data[at:]
                return b""
            at = step
        return data[at:]

    def _take_data(self, data: bytes, at: int, add: Callable[[bytes], None]) -> int:
        payload = data[at : at + max(self._left - 2, 0)]
        if payload:
            add(payload)
            self._left -= len(payload)
            return at + len(payload)
        if self._left > 2:  # noqa: PLR2004
            return _NEED_MORE
        mark = data[at : at + 2]
        if mark != b"\r\n"[: len(mark)]:
            raise BadChunk
        if len(mark) < 2:  # noqa: PLR2004
            return _NEED_MORE
        self._left = 0
        return at + 2

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at, at + MAX_LINE_BYTES)
        if end < 0:
            if len(data) - at > MAX_LINE_BYTES:
                raise BadChunk
            return _NEED_MORE
        line = data[at:end]
        self.taken += 1
        if self._in_trailers:
            self._take_trailer(line)
        else:
            self._take_size(line)
        return end + 2

    def _take_size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadChunk
        size = int(match[1], 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
        elif not _TRAILER.fullmatch(line):
            raise BadChunk
