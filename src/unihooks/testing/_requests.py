"""The requests that a receiver receives, and how it reads them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import httpx

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unihooks._message.secrets import Secret
    from unihooks._message.signing import VerifiedMessage


@attrs.frozen(kw_only=True)
class ReceivedRequest:
    """One request as it arrived.

    `path` includes the query. `headers` is a case-insensitive mapping that keeps repeated names (`httpx.Headers`).
    `connection` is the number of the connection, from 1: equal numbers mean that it was reused.
    """

    method: str
    path: str
    headers: httpx.Headers
    body: bytes
    received_at: datetime
    connection: int

    def json(self) -> Any:
        """Return the parsed body."""
        return json.loads(self.body)

    def verify(
        self, secrets: str | Secret | Sequence[str | Secret], *, tolerance: float = 300, now: datetime | None = None
    ) -> VerifiedMessage:
        """Check the signature as a customer would, or raise `VerificationError`.

        Pass `now=clock.now` for what was signed by a `FakeClock`.
        """
        from unihooks._message.signing import verify

        return verify(self.headers, self.body, secrets, tolerance=tolerance, now=now)


async def read_request(reader: asyncio.StreamReader, connection: int) -> ReceivedRequest | None:
    """Return the next request on a connection, or None if there is no other."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = request_line.split(" ", 2)
    headers = httpx.Headers([_header(line) for line in lines])
    return ReceivedRequest(
        method=method,
        path=path,
        headers=headers,
        body=await _read_body(reader, headers),
        received_at=datetime.now(UTC),
        connection=connection,
    )


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip(" \t")


async def _read_body(reader: asyncio.StreamReader, headers: httpx.Headers) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join([chunk async for chunk in _chunks(reader)])
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def _chunks(reader: asyncio.StreamReader) -> Any:
    while size := int((await reader.readline()).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readline()).strip():
        pass
