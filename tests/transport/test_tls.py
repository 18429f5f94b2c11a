"""TLS: which certificates are trusted, what errors say, and to which endpoint a session belongs."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import shutil
import ssl
import subprocess
import threading

import pytest
import trustme
from waiting import SECONDS, await_for

from unihooks._model.targets import TargetPolicy
from unihooks.testing._hostile import Hostile
from unihooks.testing._transport_contract import send
from unihooks.transport import HTTPTransport, _sessions
from unihooks.transport._dialing import Dialer
from unihooks.transport._tls import TLSConnection, default_context


@pytest.fixture
def late_requests(monkeypatch):
    """Make what the peer sends after the handshake arrive before the request is sent."""
    dial = Dialer.dial

    async def dial_and_wait(*args):
        connection = await dial(*args)
        await await_for(lambda: connection._incoming.pending)
        return connection

    monkeypatch.setattr(Dialer, "dial", dial_and_wait)


@pytest.mark.parametrize(
    "certificate,reason",
    [
        ("wrong-host", "TLS certificate is not valid for this host"),
        ("expired", "TLS certificate has expired"),
        ("unknown", "TLS certificate is issued by an authority that is not trusted"),
        ("silent", "timed out after 0.4 s during the TLS handshake"),
        ("plain", "the TLS handshake failed"),
    ],
)
async def test_reason_names_the_fault(certificate, reason):
    with Hostile(certificate) as hostile:
        transport = HTTPTransport(hostile.targets, ssl_context=hostile.ssl_context)
        outcome = await send(transport, hostile.url("ok"), seconds=0.4 if certificate == "silent" else SECONDS)
        await transport.aclose()
    assert outcome.error.startswith(reason)


async def reconnect(transport, hostile, **options):
    """Deliver over a new connection."""
    transport._pool.close()
    return await send(transport, hostile.url("ok", **options), endpoint_id="ep_1")


@pytest.fixture(params=["good", "tls-1.2"])
def resuming(request):
    with Hostile(request.param) as hostile:
        yield hostile


async def test_session_is_resumed_by_its_endpoint(resuming, made):
    transport = made(resuming.targets)
    for _ in range(4):
        assert (await reconnect(transport, resuming)).status_code == 204
    assert resuming.resumed == [False, True, True, True]


async def test_session_never_crosses_names(resuming, made):
    transport = made(resuming.targets)
    await reconnect(transport, resuming)
    outcome = await reconnect(transport, resuming, host="other.example.com")
    assert outcome.error == "TLS certificate is not valid for this host"
    assert True not in resuming.resumed


async def test_session_never_crosses_endpoints(resuming, made):
    transport = made(resuming.targets)
    for endpoint_id in ("a", "b"):
        await send(transport, resuming.url("ok"), endpoint_id=endpoint_id)
    assert resuming.resumed == [False, False]


async def test_session_ends_and_the_certificate_is_looked_at_again(resuming, made, monkeypatch):
    transport = made(resuming.targets)
    await reconnect(transport, resuming)
    monkeypatch.setattr(_sessions, "_SECONDS", -1.0)
    transport._dialer.sessions._kept.clear()
    for _ in range(2):
        assert (await reconnect(transport, resuming)).status_code == 204
    assert resuming.resumed == [False, False, False]


async def test_endpoint_without_session_resumption_is_asked_for_a_session_once(made, monkeypatch):
    asked = []
    monkeypatch.setattr(TLSConnection, "take_session", lambda _: asked.append(1))
    with Hostile("ticketless") as hostile:
        transport = made(hostile.targets)
        for _ in range(3):
            assert (await reconnect(transport, hostile)).status_code == 204
    assert len(asked) == 1
    assert hostile.resumed == [False, False, False]


async def test_tickets_that_come_before_the_first_request_do_no_harm(hostile, made, late_requests):
    transport = made()
    for _ in range(2):
        assert (await reconnect(transport, hostile)).status_code == 204
    assert hostile.resumed == [False, True]


async def test_response_before_the_request_is_not_accepted(made, late_requests):
    with Hostile("eager") as hostile:
        assert (await send(made(hostile.targets), hostile.url("silence"), seconds=SECONDS)).error


async def test_neither_connection_nor_session_is_kept_with_a_long_chain_of_certificates():
    with Hostile("long") as hostile:
        transport = HTTPTransport(hostile.targets, ssl_context=hostile.ssl_context)
        for _ in range(2):
            assert (await send(transport, hostile.url("ok"))).status_code == 204
        await transport.aclose()
    assert hostile.resumed == [False, False]


def test_receiver_cannot_choose_a_key_exchange_that_costs_a_second():
    assert not [cipher["name"] for cipher in default_context().get_ciphers() if cipher["kea"] == "kx-dhe"]


def test_default_context_verifies_and_speaks_http_1_1_only():
    context = default_context()
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"
    assert context.minimum_version.name == "TLSv1_2"


def test_default_context_writes_no_keys_into_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert default_context().keylog_filename is None
    assert not list(tmp_path.iterdir())


async def tls_server(issued):
    """Serve one response on each connection, with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    return server, f"https://localhost:{server.sockets[0].getsockname()[1]}/ok"


@pytest.mark.parametrize(
    "names,error", [((), "TLS certificate is not valid for this host"), (("localhost",), None)], ids=["alone", "beside"]
)
async def test_common_name_alone_is_not_accepted(made, names, error):
    authority, trusting = trustme.CA(), default_context()
    authority.configure_trust(trusting)
    targets = TargetPolicy(allow=["127.0.0.0/8"], resolver=lambda host, port: ["127.0.0.1"])
    server, url = await tls_server(authority.issue_cert(*names, common_name="localhost"))
    async with server, contextlib.aclosing(HTTPTransport(targets, ssl_context=trusting)) as transport:
        assert (await send(transport, url)).error == error


@pytest.fixture
def renegotiating(tmp_path):
    """Yield an authority and the port of a receiver that requests a new handshake after each request."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("this test needs the command openssl")
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "chain.pem")
    command = [openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", tmp_path / "chain.pem", "-tls1_2", "-state"]
    ports = queue.Queue()

    def converse(process):
        for line in process.stdout:
            if line.startswith(b"ACCEPT ") and b":" in line:
                ports.put(int(line.rpartition(b":")[2]))
            elif line.startswith(b"POST "):
                process.stdin.write(b"R\n")
            elif b"SSLv3/TLS write finished" in line:
                finished.append(line)
                if len(finished) > 1:
                    process.stdin.write(b"Q\n")

    finished = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, bufsize=0, **pipes) as process:
        reading = threading.Thread(target=converse, args=(process,))
        reading.start()
        yield authority, ports.get(timeout=SECONDS)
        process.kill()
        reading.join()
    assert len(finished) == 1


@pytest.mark.parametrize("new_context", [default_context, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)])
async def test_receiver_gets_no_second_handshake(renegotiating, new_context):
    authority, port = renegotiating
    trusting = new_context()
    authority.configure_trust(trusting)
    targets = TargetPolicy(allow=["127.0.0.0/8"], resolver=lambda host, port: ["127.0.0.1"])
    async with contextlib.aclosing(HTTPTransport(targets, ssl_context=trusting)) as transport:
        outcome = await send(transport, f"https://localhost:{port}/", seconds=SECONDS)
    assert outcome.error == "the TLS connection was renegotiated, which is refused"


async def test_aclose_ends_requests_in_flight(hostile, made):
    transport = made()
    asking = asyncio.create_task(send(transport, hostile.url("silence"), seconds=SECONDS))
    await await_for(lambda: transport._asking)
    await transport.aclose()
    assert (await asking).error
