"""The egress: from an address of this machine, or through a proxy, with the guard on in both."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys

import pytest
from waiting import wait_for

from unihooks import Egress, TargetPolicy
from unihooks.exceptions import InvalidArgument
from unihooks.testing import Receiver
from unihooks.testing._transport_contract import send
from unihooks.transport import NOT_REACHABLE, OWN_FAULT, HTTPTransport

LOOPBACK = ["127.0.0.0/8"]
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@contextlib.asynccontextmanager
async def listening(handle):
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def proxy_that_answers(answer, *, to=None):
    """Run a proxy that records its requests, responds as given, and leads to a port of this machine."""
    asked, passing = [], set()

    async def handle(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(answer)
        if to is not None:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", to)
            ways = [asyncio.create_task(pass_on(reader, up_writer)), asyncio.create_task(pass_on(up_reader, writer))]
            passing.update(ways)
            await asyncio.wait(ways)
        writer.close()

    async def pass_on(reader, writer):
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async with listening(handle) as port:
        yield Egress(proxy=f"http://127.0.0.1:{port}"), asked
    for way in passing:
        way.cancel()
    if passing:
        await asyncio.wait(passing)


@pytest.fixture(scope="module")
def real_proxy(tmp_path_factory):
    """Run a third-party proxy, with a user and a password."""
    folder = tmp_path_factory.mktemp("proxy")
    command = [
        *(sys.executable, "-W", "ignore", "-m", "proxy", "--hostname", "127.0.0.1", "--port", "0"),
        *("--port-file", str(folder / "port"), "--num-workers", "1", "--num-acceptors", "1", "--threadless"),
        *("--basic-auth", "hooks:s3cr:t", "--log-level", "ERROR", "--data-dir", str(folder)),
    ]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for(lambda: (folder / "port").exists() and (folder / "port").read_text().strip(), 30)
            yield f"127.0.0.1:{(folder / 'port').read_text().split()[0]}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()


# From an address.


async def test_requests_leave_from_the_bound_address(made):
    peers = []

    async def answer(reader, writer):
        peers.append(writer.get_extra_info("peername")[0])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with listening(answer) as port:
        transport = made(TargetPolicy(allow=LOOPBACK, allow_http=True), egress=Egress(bind="127.0.0.9"))
        outcome = await send(transport, f"http://127.0.0.1:{port}/ok")
    assert (outcome.status_code, peers) == (204, ["127.0.0.9"])


async def test_of_many_addresses_those_of_the_bound_family_are_dialled(hostile, made):
    targets = TargetPolicy(allow=[*LOOPBACK, "::1/128"], resolver=lambda host, port: ["::1", "127.0.0.1"])
    outcome = await send(made(targets, egress=Egress(bind="127.0.0.9")), hostile.url("ok"))
    assert outcome.status_code == 204


async def test_an_endpoint_without_an_address_of_the_bound_family_is_not_reachable(made, caplog):
    caplog.set_level(logging.INFO, "unihooks.transport")
    targets = TargetPolicy(allow=["::1/128"], resolver=lambda host, port: ["::1"])
    outcome = await send(made(targets, egress=Egress(bind="127.0.0.9")), "https://example.com/ok")
    assert (outcome.error, outcome.own_fault) == (NOT_REACHABLE, False)
    assert "no address of the family of egress.bind" in caplog.text


async def test_an_address_that_is_not_this_machines_is_refused_at_once():
    with pytest.raises(InvalidArgument, match=r"cannot send from 203\.0\.113\.7") as caught:
        HTTPTransport(TargetPolicy(), egress=Egress(bind="203.0.113.7"))
    assert caught.value.name == "bind"


async def test_an_address_that_this_machine_has_lost_is_no_fault_of_the_endpoint(hostile, made, monkeypatch, caplog):
    monkeypatch.setattr("unihooks.transport._http.check_bind", lambda egress: None)
    outcome = await send(made(hostile.targets, egress=Egress(bind="203.0.113.7")), hostile.url("ok"))
    assert (outcome.error, outcome.own_fault) == (OWN_FAULT, True)
    assert "cannot send from 203.0.113.7" in caplog.text


# Through a proxy.


@pytest.mark.slow
async def test_a_real_proxy_leads_to_the_endpoint_and_tls_ends_there(real_proxy):
    with Receiver() as receiver:
        egress = Egress(proxy=f"http://hooks:s3cr%3At@{real_proxy}")
        transport = HTTPTransport(receiver.targets, ssl_context=receiver.ssl_context, egress=egress)
        outcomes = [await send(transport, f"https://example.com:{receiver.port}/ok") for _ in range(2)]
        await transport.aclose()
        # The certificate is checked against the name, although the proxy got an address; and the connection is kept.
        assert [one.status_code for one in outcomes] == [204, 204]
        assert len(receiver.requests) == 2


@pytest.mark.slow
@pytest.mark.parametrize("user", ["", "hooks:wrong@"])
async def test_a_real_proxy_that_wants_another_password_is_no_fault_of_the_endpoint(real_proxy, user, caplog):
    with Receiver() as receiver:
        egress = Egress(proxy=f"http://{user}{real_proxy}")
        transport = HTTPTransport(receiver.targets, ssl_context=receiver.ssl_context, egress=egress)
        outcome = await send(transport, f"https://example.com:{receiver.port}/ok")
        await transport.aclose()
        assert receiver.requests == []
    assert (outcome.error, outcome.own_fault) == (OWN_FAULT, True)
    assert "requires another user or password" in caplog.text
    assert "wrong" not in caplog.text


async def test_a_proxy_gets_the_address_that_was_checked(hostile, made):
    async with proxy_that_answers(OPENED, to=hostile.port) as (egress, asked):
        targets = TargetPolicy(allow=LOOPBACK, resolver=lambda host, port: ["127.0.0.3"])
        outcome = await send(made(targets, egress=egress), f"https://localhost:{hostile.port}/ok")
    assert outcome.status_code == 204
    assert asked == [f"CONNECT 127.0.0.3:{hostile.port} HTTP/1.1\r\nHost: 127.0.0.3:{hostile.port}\r\n\r\n"]


async def test_an_ipv6_address_is_sent_to_the_proxy_in_brackets(made):
    async with proxy_that_answers(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as (egress, asked):
        await send(made(TargetPolicy(resolver=lambda host, port: ["2600::1"]), egress=egress), "https://example.com/ok")
    assert asked[0].startswith("CONNECT [2600::1]:443 HTTP/1.1\r\n")


async def test_the_guard_stays_on(made):
    async with proxy_that_answers(OPENED) as (egress, asked):
        transport = made(TargetPolicy(resolver=lambda host, port: ["10.0.0.1"]), egress=egress)
        outcomes = [await send(transport, url) for url in ("https://example.com/ok", "https://169.254.169.254/ok")]
    assert [one.error for one in outcomes] == [NOT_REACHABLE] * 2
    assert asked == []


@pytest.mark.parametrize("status", [502, 504])
async def test_a_proxy_that_cannot_reach_one_address_is_asked_for_the_next(made, status, caplog):
    caplog.set_level(logging.INFO, "unihooks.transport")
    async with proxy_that_answers(b"HTTP/1.1 %d No\r\n\r\n" % status) as (egress, asked):
        targets = TargetPolicy(resolver=lambda host, port: ["1.0.0.1", "1.0.0.2"])
        outcome = await send(made(targets, egress=egress), "https://example.com/ok")
    assert (outcome.error, outcome.own_fault) == (NOT_REACHABLE, False)
    assert [one.split()[1] for one in asked] == ["1.0.0.1:443", "1.0.0.2:443"]
    assert f"the proxy answered {status}" in caplog.text


@pytest.mark.parametrize(
    "answer,told",
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "refuses to connect there by a rule of its own (it answered 403)"),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "requires another user or password"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "answered CONNECT with 404"),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "answered CONNECT with 500"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "does not speak CONNECT"),
        (OPENED + b"220 mail.example.com", "does not speak CONNECT"),
        (b"", "closed the connection before it answered"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 20_000, "sent a response without an end"),
    ],
    ids=["rule", "password", "no proxy", "broken", "no http", "more", "nothing", "endless"],
)
async def test_a_proxys_own_fault_is_reported_only_to_the_operator(made, answer, told, caplog):
    async with proxy_that_answers(answer) as (egress, _):
        transport = made(TargetPolicy(resolver=lambda host, port: ["1.0.0.1"]), egress=egress)
        outcome = await send(transport, "https://example.com/ok")
    assert (outcome.error, outcome.own_fault, outcome.duration >= 0) == (OWN_FAULT, True, True)
    assert told in caplog.text


async def test_a_proxy_that_does_not_listen_is_reported_once_and_not_tried_by_each_attempt(made, caplog):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    targets = TargetPolicy(resolver=lambda host, port: ["1.0.0.1"])
    transport = made(targets, egress=Egress(proxy=f"http://127.0.0.1:{port}"))
    for _ in range(3):
        assert (await send(transport, "https://example.com/ok")).own_fault
    assert caplog.text.count("cannot be reached") == 1


@pytest.mark.parametrize("status, asks", [(403, 2), (407, 1)])
async def test_a_refusal_of_a_proxy_for_one_address_does_not_delay_others(made, status, asks, caplog):
    async with proxy_that_answers(b"HTTP/1.1 %d No\r\n\r\n" % status) as (egress, asked):
        transport = made(TargetPolicy(resolver=lambda host, port: ["1.0.0.1"]), egress=egress)
        for host in ("one", "two"):
            assert (await send(transport, f"https://{host}.example.com/ok")).own_fault
    assert len(asked) == asks
    assert caplog.text.count(f"it answered {status}") == 1


async def test_a_proxy_without_an_address_is_named(made, caplog, monkeypatch):
    def unknown(host, port):
        raise socket.gaierror("unknown")

    monkeypatch.setattr("unihooks.transport._dialing.system_addresses", unknown)
    transport = made(TargetPolicy(allow=LOOPBACK), egress=Egress(proxy="http://u:s3cr3t@proxy.internal:3128"))
    assert (await send(transport, "https://127.0.0.1/ok")).own_fault
    assert "the proxy proxy.internal port 3128 has no address" in caplog.text
    assert "s3cr3t" not in caplog.text


async def test_an_address_that_a_proxy_takes_too_long_to_reach_is_not_reachable(made):
    async def hang(reader, writer):
        await reader.read()
        writer.close()

    async with listening(hang) as port:
        targets = TargetPolicy(resolver=lambda host, port: ["1.0.0.1"])
        transport = made(targets, egress=Egress(proxy=f"http://127.0.0.1:{port}"), connect_timeout=0.3)
        outcome = await send(transport, "https://example.com/ok")
        await transport.aclose()
    assert (outcome.error, outcome.own_fault) == (NOT_REACHABLE, False)


async def test_proxies_of_the_environment_are_ignored(hostile, made, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await send(made(), hostile.url("ok"))).status_code == 204
