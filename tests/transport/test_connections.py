"""Connections: to which endpoint they belong, when they are reused, and when not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import httpx
import pytest
from waiting import SECONDS, await_for

from unihooks.testing._hostile import Hostile
from unihooks.testing._transport_contract import send
from unihooks.transport import exchange
from unihooks.transport._pool import idle_that_fit
from unihooks.transport._tls import TLSConnection

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


async def test_connection_is_used_again_by_its_endpoint(hostile, made):
    transport = made()
    for _ in range(3):
        assert (await send(transport, hostile.url("ok"))).status_code == 204
    assert hostile.connections == 1


async def test_connection_is_never_used_by_another_endpoint(hostile, made):
    transport = made()
    for endpoint_id in ("a", "b", "a", "b"):
        await send(transport, hostile.url("ok"), endpoint_id=endpoint_id)
    assert hostile.connections == 2


async def test_connection_is_never_used_for_another_origin(hostile, made):
    transport = made()
    with Hostile() as other:
        await send(transport, hostile.url("ok"))
        await send(transport, other.url("ok"))
        assert (hostile.connections, other.connections) == (1, 1)


@pytest.mark.parametrize(
    "trick", ["two-answers", "http-1.0", "until-close", "ok-then-close", "short-body", "bad-chunk-end"]
)
async def test_connection_is_not_kept_when_anything_is_left_unclear(hostile, made, trick):
    transport = made()
    await send(transport, hostile.url(trick), seconds=SECONDS)
    await await_for(lambda: len(transport._pool) == 0)


async def test_byte_that_arrives_while_idle_closes_the_connection(hostile, made):
    transport = made()
    assert (await send(transport, hostile.url("ok-then-more"))).status_code == 204
    await await_for(lambda: len(transport._pool) == 0)
    assert (await send(transport, hostile.url("error"), seconds=SECONDS)).status_code == 500


async def test_idle_connections_are_limited_in_number(hostile, made):
    transport = made(max_idle=3, max_idle_per_endpoint=2)
    sends = [send(transport, hostile.url("ok"), endpoint_id=f"ep_{number % 4}") for number in range(16)]
    await asyncio.gather(*sends)
    assert len(transport._pool) == 3


async def test_idle_connections_of_one_endpoint_are_limited_in_number(hostile, made):
    transport = made(max_idle_per_endpoint=2)
    await asyncio.gather(*[send(transport, hostile.url("ok")) for _ in range(8)])
    assert len(transport._pool) == 2


def test_idle_connections_leave_the_host_files_to_open(monkeypatch):
    resource = pytest.importorskip("resource")
    for files, idle in [(1024, 256), (1_000_000, 10_000), (resource.RLIM_INFINITY, 10_000)]:
        monkeypatch.setattr(resource, "getrlimit", lambda which, files=files: (files, files))
        assert idle_that_fit() == idle


async def test_idle_connections_are_closed_when_the_process_may_open_no_more_files(hostile, made, caplog):
    resource = pytest.importorskip("resource")
    transport = made()
    for number in range(3):
        await send(transport, hostile.url("ok"), endpoint_id=f"idle_{number}")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as next_one:
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_one.fileno(), files[1]))
        try:
            outcome = await send(transport, hostile.url("ok"), endpoint_id="another")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, files)
    assert outcome.status_code == 204
    assert len(transport._pool) == 1
    assert "ulimit -n" in caplog.text


async def test_idle_connection_is_closed_after_its_time(hostile, made):
    transport = made(idle_seconds=0.1)
    await send(transport, hostile.url("ok"))
    await await_for(lambda: len(transport._pool) == 0)


async def test_idle_connection_is_closed_before_its_peer_does_so(hostile, made):
    transport = made()
    before = time.monotonic()
    await send(transport, hostile.url("keep-alive"), seconds=SECONDS)
    transport._pool.sweep(before + 3.9)
    assert len(transport._pool) == 1
    transport._pool.sweep(time.monotonic() + 4.0)
    assert len(transport._pool) == 0


async def test_idle_connection_is_not_kept_for_longer_because_its_peer_waits_longer(hostile, made):
    transport = made(idle_seconds=2.0)
    await send(transport, hostile.url("keep-alive"), seconds=SECONDS)
    transport._pool.sweep(time.monotonic() + 2.0)
    assert len(transport._pool) == 0


def aged(transport, seconds):
    """Make the idle connections of a transport older by this many seconds."""
    for connection in transport._pool._idle:
        connection.ends_at -= seconds
        connection.idle_until = min(connection.idle_until, connection.ends_at)


async def test_busy_connection_is_replaced_within_five_minutes(hostile, made):
    transport = made()
    await send(transport, hostile.url("ok"))
    aged(transport, 200)
    await send(transport, hostile.url("ok"))
    assert hostile.connections == 1
    aged(transport, 100)
    await send(transport, hostile.url("ok"))
    await send(transport, hostile.url("ok"))
    assert hostile.connections == 2


async def test_idle_connection_is_not_kept_beyond_its_five_minutes(hostile, made):
    transport = made()
    await send(transport, hostile.url("ok"))
    aged(transport, 200)
    transport._pool.sweep(time.monotonic() + 100)
    assert len(transport._pool) == 0


@pytest.mark.parametrize("status,kept", [(200, 1), (404, 1), (429, 1), (421, 0), (500, 0), (502, 0), (503, 0)])
async def test_connection_is_not_kept_after_a_response_of_a_server_being_replaced(plain, status, kept):
    server, url, _ = await plain_server([b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status])
    async with server:
        assert (await send(plain, url, body=b"", seconds=SECONDS)).status_code == status
        assert len(plain._pool) == kept
        await plain.aclose()


@pytest.mark.parametrize("trick", ["silence", "dripping-body"])
async def test_connection_that_times_out_takes_the_idle_ones_of_its_endpoint_with_it(hostile, made, trick):
    transport = made()
    for endpoint_id in ("a", "b"):
        await asyncio.gather(*[send(transport, hostile.url("ok"), endpoint_id=endpoint_id) for _ in range(4)])
    assert len(transport._pool) == 8
    await send(transport, hostile.url(trick), endpoint_id="a")
    assert {connection.key[0] for connection in transport._pool._idle} == {"b"}
    before = hostile.connections
    assert (await send(transport, hostile.url("ok"), endpoint_id="a")).status_code == 204
    assert hostile.connections == before + 1


async def test_connection_of_a_cancelled_attempt_is_not_reused(hostile, made):
    transport = made()
    await send(transport, hostile.url("ok"))
    task = asyncio.create_task(send(transport, hostile.url("silence"), seconds=SECONDS))
    await await_for(lambda: transport._asking)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(transport._pool) == 0
    assert not transport._asking
    assert (await send(transport, hostile.url("ok"))).status_code == 204


async def plain_server(*scripts):
    """Serve plain HTTP: each connection follows its own script of responses, then closes at the next request.

    It closes after an answer that is not whole, too.
    """
    opened = []

    async def serve(reader, writer):
        opened.append(writer)
        for answer in scripts[min(len(opened), len(scripts)) - 1]:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            if not answer.endswith(b"\r\n\r\n"):
                writer.close()
                return
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", opened


@pytest.fixture
def plain(made):
    from unihooks._model.targets import TargetPolicy

    return made(TargetPolicy(allow_http=True, allow=["127.0.0.0/8"]))


async def test_reused_connection_that_closes_before_a_response_is_replaced_once(plain):
    server, url, opened = await plain_server([NO_CONTENT], [NO_CONTENT])
    async with server:
        for _ in range(2):
            assert (await send(plain, url, body=b"", seconds=SECONDS)).status_code == 204
        assert len(opened) == 2
        await plain.aclose()


async def test_fresh_connection_that_closes_before_a_response_is_an_error(plain):
    server, url, opened = await plain_server([])
    async with server:
        outcome = await send(plain, url, body=b"", seconds=SECONDS)
        assert outcome.error == "the connection was closed before the response arrived"
        assert len(opened) == 1
        await plain.aclose()


async def test_reused_connection_that_closes_within_a_response_is_not_replaced(plain):
    server, url, opened = await plain_server([NO_CONTENT, b"HTTP/1.1 2"])
    async with server:
        await send(plain, url, body=b"", seconds=SECONDS)
        outcome = await send(plain, url, body=b"", seconds=SECONDS)
        assert outcome.error == "the connection was closed before the headers were complete"
        assert len(opened) == 1


async def test_headers_go_out_as_given_and_in_their_order(plain):
    received = []

    async def serve(reader, writer):
        received.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(NO_CONTENT)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a%20b?c=d"
        headers = [(b"Host", b"x"), (b"webhook-ID", b"1"), (b"content-length", b"0"), (b"X-b", b"\xff")]
        request = httpx.Request("POST", url, headers=headers, stream=httpx.ByteStream(b""))
        assert (await exchange(plain, request, deadline=time.monotonic() + SECONDS)).status_code == 204
    assert received == [
        b"POST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nwebhook-ID: 1\r\ncontent-length: 0\r\nX-b: \xff\r\n\r\n"
    ]


@pytest.mark.parametrize("value", [b"a\r\nX: y", b"a\nX: y", b"a\0"])
async def test_header_cannot_smuggle_another_one(plain, value):
    request = httpx.Request("POST", "http://127.0.0.1:8000/", headers=[(b"X", value)], stream=httpx.ByteStream(b""))
    outcome = await exchange(plain, request, deadline=time.monotonic() + SECONDS)
    assert outcome.error == "the request has a control character in a header; remove it"


async def test_any_httpx_client_can_use_the_transport(hostile, made):
    async with httpx.AsyncClient(transport=made()) as client:
        assert (await client.get(hostile.url("chunked"))).text == "hello"
        assert (await client.head(hostile.url("ok"))).status_code == 204
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(hostile.url("short-body"))
        with pytest.raises(httpx.TransportError):
            await client.get(hostile.url("junk"))

    async def parts():
        yield b"hello"
        yield b" world"

    async with httpx.AsyncClient(transport=made()) as client:
        response = await client.post(hostile.url("ok"), content=parts(), headers={"content-length": "11"})
        assert response.status_code == 204


async def test_requests_that_are_late_together_are_ended_a_few_at_a_time_first_the_latest(made):
    transport, ended, sweeps = made(), [], []

    class Late:
        key = None

        def __init__(self, deadline):
            self.deadline = deadline

        def expire(self):
            ended.append(self.deadline)
            transport._asking.discard(self)

    transport._asking.update(map(Late, range(200)))
    while transport._sweep() is not None:
        sweeps.append(len(ended) - sum(sweeps))
    assert max(sweeps) <= 6
    assert len(sweeps) <= 100
    assert ended == list(range(200))


async def test_those_that_are_not_late_are_not_ended(made):
    transport = made()

    class Asking:
        deadline = time.monotonic() + 1000

    asking = Asking()
    transport._asking.add(asking)
    assert transport._sweep() is not None
    transport._asking.discard(asking)


async def test_a_response_in_many_pieces_is_read_at_intervals(hostile, made, monkeypatch):
    portions = []
    took = TLSConnection.buffer_updated

    def count(connection, nbytes):
        portions.append(nbytes)
        took(connection, nbytes)

    monkeypatch.setattr(TLSConnection, "buffer_updated", count)
    monkeypatch.setattr("unihooks.testing._hostile._DRIP_SECONDS", 0.002)
    outcome = await send(made(), hostile.url("dripping-chunks"), seconds=SECONDS)
    assert outcome.status_code == 200
    assert outcome.warnings == ("the response came in more than 256 pieces and was cut",)
    # Three reads of the handshake, 16 immediate ones, and those of the pieces collected meanwhile.
    assert len(portions) < 60
