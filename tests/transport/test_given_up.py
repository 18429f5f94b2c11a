"""An abandoned request does not arrive afterwards, and a connection that is no longer needed is closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import pytest
from waiting import SECONDS, await_for

from unihooks._model.targets import TargetPolicy
from unihooks.testing._certificates import Certificates
from unihooks.testing._transport_contract import send
from unihooks.transport import HTTPTransport

# More than the receiver's kernel buffers unread, less than the sender's keeps.
BODY = bytes(512 * 1024)
SMALL = 16 * 1024


class Deaf:
    """A receiver that reads nothing until it is allowed to, and then everything; it may respond before."""

    def __init__(self, scheme, answer=b""):
        self.certificates = Certificates()
        self._context = self.certificates.server_context() if scheme == "https" else None
        self._scheme = scheme
        self._answer = answer
        self.targets = TargetPolicy(allow_http=True, allow=["127.0.0.0/8"], resolver=lambda *_: ["127.0.0.1"])
        self.is_open = threading.Event()
        self.may_read = threading.Event()
        self.received = 0
        self.ended = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._listener = socket.socket()
        # Accepted connections have buffers just as small.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.may_read.set()
        self._listener.close()
        self._thread.join(SECONDS)

    @property
    def url(self):
        return f"{self._scheme}://localhost:{self._listener.getsockname()[1]}/"

    def _serve(self):
        connection, _ = self._listener.accept()
        connection.settimeout(SECONDS)
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        # Up to this point, OpenSSL consumes a reset when it sends its tickets.
        self.is_open.set()
        if self._answer:
            # Anything that arrives before the request would be no response to it.
            self.received += len(connection.recv(1))
            connection.sendall(self._answer)
        # TLS cannot distinguish a reset from an end within a record.
        with socket.socket(fileno=connection.detach()) as connection, contextlib.suppress(TimeoutError):
            connection.settimeout(SECONDS)
            self.may_read.wait(SECONDS)
            try:
                while part := connection.recv(65_536):
                    self.received += len(part)
                self.ended = "in order"
            except ConnectionResetError:
                self.ended = "reset"


@pytest.fixture
def new_transport():
    @contextlib.asynccontextmanager
    async def made(receiver):
        transport = HTTPTransport(receiver.targets, ssl_context=receiver.certificates.client_context())
        try:
            yield transport
        finally:
            await transport.aclose()

    return made


async def until_deadline(transport, receiver):
    outcome = await send(transport, receiver.url, seconds=0.4, body=BODY)
    assert outcome.error.startswith("timed out")


async def until_cancelled(transport, receiver):
    task = asyncio.create_task(send(transport, receiver.url, seconds=SECONDS, body=BODY))
    await await_for(lambda: transport._asking and receiver.is_open.is_set())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def until_closed(transport, receiver):
    task = asyncio.create_task(send(transport, receiver.url, seconds=SECONDS, body=BODY))
    await await_for(lambda: transport._asking and receiver.is_open.is_set())
    await transport.aclose()
    assert (await task).error


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("give_up", [until_deadline, until_cancelled, until_closed])
async def test_request_that_is_given_up_is_reset_and_never_arrives_whole(new_transport, scheme, give_up):
    with Deaf(scheme) as receiver:
        async with new_transport(receiver) as transport:
            await give_up(transport, receiver)
            # The event loop closes the socket in one of its next turns.
            for _ in range(3):
                await asyncio.sleep(0)
            receiver.may_read.set()
            await await_for(lambda: receiver.ended)
    assert receiver.ended == "reset"
    assert receiver.received < len(BODY)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n" + bytes(17 * 1024), id="too long"),
        pytest.param(b"no answer\r\n\r\n", id="malformed"),
    ],
)
async def test_request_whose_response_is_cut_or_refused_is_reset(new_transport, scheme, answer):
    with Deaf(scheme, answer) as receiver:
        async with new_transport(receiver) as transport:
            outcome = await send(transport, receiver.url, seconds=SECONDS, body=BODY)
            assert outcome.error or outcome.warnings
            receiver.may_read.set()
            await await_for(lambda: receiver.ended)
    assert receiver.ended == "reset"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
async def test_connection_with_a_complete_response_is_closed_in_order(new_transport, scheme, kept):
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n%b\r\n" % (b"" if kept else b"connection: close\r\n")
    with Deaf(scheme) as receiver:
        receiver._answer = answer
        async with new_transport(receiver) as transport:
            outcome = await send(transport, receiver.url, seconds=SECONDS, body=b"{}")
            assert (outcome.status_code, outcome.warnings) == (200, ())
            assert len(transport._pool) == (1 if kept else 0)
        receiver.may_read.set()
        await await_for(lambda: receiver.ended)
    assert receiver.ended == "in order"
