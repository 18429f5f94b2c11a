"""Put a request into the bytes that go over the wire."""

from __future__ import annotations

import httpx

from unihooks.transport._errors import BadRequest


def render_head(request: httpx.Request) -> bytes:
    """Return the request line and the headers, exactly as given and in their order."""
    headers = request.headers.raw
    line = b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)
    head = b"\r\n".join([line, *map(b": ".join, headers), b"", b""])
    expected = len(headers) + 2
    if head.count(b"\n") != expected or head.count(b"\r") != expected or b"\0" in head:
        message = "the request has a control character in a header"
        raise BadRequest(message)
    return head


async def read_body(request: httpx.Request) -> bytes:
    """Return the whole body, framed as chunks if the headers say so."""
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)
    if not isinstance(stream, httpx.AsyncByteStream):
        message = "the body of the request is not an asynchronous stream"
        raise BadRequest(message)
    body = b"".join([part async for part in stream])
    if request.headers.get("transfer-encoding", "").lower() != "chunked":
        return body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + b"0\r\n\r\n"
