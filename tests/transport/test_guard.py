"""The guard: only allowed addresses are dialled, and only the operator learns why not."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import httpx
import pytest
from waiting import SECONDS, await_for

from unihooks import Egress
from unihooks._message.requests import Route
from unihooks._model.targets import TargetPolicy
from unihooks.testing import Receiver
from unihooks.testing._transport_contract import send
from unihooks.transport import NOT_REACHABLE, HTTPTransport
from unihooks.transport._connections import Connection
from unihooks.transport._dialing import Dialer
from unihooks.transport._errors import NotReachable
from unihooks.transport._lookups import Lookups, system_addresses

LOOPBACK = ["127.0.0.0/8"]


def policy(resolver, **options):
    return TargetPolicy(allow=LOOPBACK, resolver=resolver, **options)


async def test_one_refused_address_refuses_all(hostile, made):
    transport = made(policy(lambda host, port: ["127.0.0.1", "10.0.0.1"]))
    outcome = await send(transport, hostile.url("ok"))
    assert outcome.error == NOT_REACHABLE
    assert hostile.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://169.254.169.254/",
    ],
)
async def test_literal_address_is_checked_likewise(made, url):
    transport = made(TargetPolicy(resolver=lambda host, port: ["127.0.0.1"]))
    assert (await send(transport, url)).error == NOT_REACHABLE


async def test_plain_http_is_refused_unless_it_is_allowed(made):
    refusing = made(policy(lambda host, port: ["127.0.0.1"]))
    assert (await send(refusing, "http://localhost:8000/")).error == NOT_REACHABLE


async def test_plain_http_is_sent_if_it_is_allowed(made):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport = made(policy(None, allow_http=True))
        outcome = await send(transport, f"http://127.0.0.1:{port}/", seconds=SECONDS)
    assert outcome.status_code == 204


def fail(host, port):
    raise RuntimeError("s3cr3t")


@pytest.mark.parametrize(
    "resolver", [fail, lambda host, port: [], lambda host, port: ["nonsense"]], ids=["raises", "nothing", "junk"]
)
async def test_name_without_addresses_is_not_reachable(hostile, made, resolver):
    assert (await send(made(policy(resolver)), hostile.url("ok"))).error == NOT_REACHABLE


async def test_look_up_that_hangs_ends_at_the_deadline(hostile, made):
    release = threading.Event()
    transport = made(policy(lambda host, port: release.wait() and ["127.0.0.1"]), connect_timeout=600)
    outcome = await send(transport, hostile.url("ok"), seconds=0.3)
    release.set()
    assert outcome.error == NOT_REACHABLE


async def test_look_up_that_hangs_ends_at_the_connect_timeout(hostile, made):
    release = threading.Event()
    transport = made(policy(lambda host, port: release.wait() and ["127.0.0.1"]), connect_timeout=0.1)
    async with asyncio.timeout(SECONDS):
        outcome = await send(transport, hostile.url("ok"), seconds=600)
    release.set()
    assert outcome.error == NOT_REACHABLE


async def test_one_look_up_is_in_flight_for_each_endpoint(hostile, made):
    looked, release = [], threading.Event()

    def look(host, port):
        looked.append(host)
        return release.wait() and ["127.0.0.1"]

    transport = made(policy(look))
    sends = [
        asyncio.ensure_future(send(transport, hostile.url("ok"), endpoint_id=f"ep_{number % 2}"))
        for number in range(10)
    ]
    # All ten look-ups are requested before the threads have run.
    await await_for(lambda: len(looked) == 2)
    release.set()
    assert {outcome.status_code for outcome in await asyncio.gather(*sends)} == {204}
    assert len(looked) == 2


async def test_next_address_is_tried_when_one_is_closed(hostile, made):
    transport = made(policy(lambda host, port: ["127.0.0.2", "127.0.0.1"]))
    assert (await send(transport, hostile.url("ok"))).status_code == 204


async def test_name_with_many_addresses_does_not_make_us_knock_at_all_of_them(hostile, made):
    closed = [f"127.0.0.{number}" for number in range(2, 200)]
    transport = made(policy(lambda host, port: [*closed, "127.0.0.1"]))
    assert (await send(transport, hostile.url("ok"))).error == NOT_REACHABLE
    assert hostile.connections == 0


@pytest.mark.parametrize(
    "others", [[f"::1:{number}" for number in range(1, 20)], [f"127.0.0.{number}" for number in range(2, 9)]]
)
async def test_working_address_is_dialled_whatever_the_number_of_dead_ones_of_the_other_family(made, hostile, others):
    targets = TargetPolicy(allow=[*LOOPBACK, "::/64"], resolver=lambda host, port: [*others, "127.0.0.1"])
    assert (await send(made(targets), hostile.url("ok"))).status_code == 204


async def test_addresses_of_both_families_are_dialled_in_turn(made, hostile, monkeypatch):
    dialled = []

    async def refuse(self, address, target, seconds):
        dialled.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(Dialer, "_connect", refuse)
    found = [*(f"::1:{number}" for number in range(1, 8)), *(f"127.0.0.{number}" for number in range(1, 8))]
    transport = made(TargetPolicy(allow=[*LOOPBACK, "::/64"], resolver=lambda host, port: found))
    await send(transport, hostile.url("ok"))
    assert dialled == ["::1:1", "127.0.0.1", "::1:2", "127.0.0.2", "::1:3", "127.0.0.3", "::1:4", "127.0.0.4"]


async def test_next_attempt_continues_with_the_addresses_that_were_not_dialled(made, hostile):
    closed = [f"127.0.0.{number}" for number in range(2, 18)]
    # Each drain has a transport of its own.
    transports = [made(policy(lambda host, port: [*closed, "127.0.0.1"])) for _ in range(3)]
    outcomes = [await send(transport, hostile.url("ok")) for transport in transports]
    assert [outcome.status_code for outcome in outcomes] == [None, None, 204]


async def test_peer_that_is_not_the_checked_address_is_refused(hostile, made, monkeypatch):
    monkeypatch.setattr(Connection, "peer", lambda connection: "127.0.0.9")
    assert (await send(made(), hostile.url("ok"))).error == NOT_REACHABLE


async def test_certificate_is_checked_against_the_name_not_the_address():
    async with Receiver() as receiver:
        transport = HTTPTransport(receiver.targets, ssl_context=receiver.ssl_context)
        outcome = await send(transport, f"https://hooks.example.com:{receiver.port}/")
        await transport.aclose()
    assert outcome.status_code == 204


@pytest.mark.parametrize(
    "url", ["https://localhost:1024/?token=s3cr3t", "https://10.0.0.1/?token=s3cr3t"], ids=["closed", "refused"]
)
async def test_operator_reads_the_reason_that_the_customer_does_not(made, caplog, url):
    caplog.set_level(logging.DEBUG)
    outcome = await send(made(), url, endpoint_id="ep_7", headers={"authorization": "s3cr3t"})
    assert outcome.error == NOT_REACHABLE
    record = next(record for record in caplog.records if record.name == "unihooks.transport")
    assert "ep_7" in record.getMessage()
    assert "s3cr3t" not in caplog.text


async def test_dead_names_do_not_hold_up_the_living():
    release = threading.Event()
    lookups = Lookups(
        lambda host, port: release.wait() if host == "dead" else ["192.0.2.1"], asyncio.get_running_loop()
    )
    suspects = [f"dead-{number}" for number in range(100)]
    lookups._suspects.update(dict.fromkeys(suspects))
    hanging = [asyncio.ensure_future(lookups.addresses(name, "dead", 443, SECONDS)) for name in suspects]
    assert await asyncio.wait_for(lookups.addresses("ep", "alive", 443, SECONDS), SECONDS) == ["192.0.2.1"]
    release.set()
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    lookups.close()


async def test_only_the_first_look_up_waits_until_its_thread_runs(monkeypatch):
    start, starters, release = threading.Thread.start, [], threading.Event()
    monkeypatch.setattr(
        threading.Thread, "start", lambda thread: (starters.append(threading.get_ident()), start(thread))
    )
    lookups = Lookups(lambda host, port: release.wait() and [host], asyncio.get_running_loop())
    hanging = [asyncio.ensure_future(lookups.addresses(number, "name", 443, SECONDS)) for number in range(20)]
    await asyncio.sleep(0)
    release.set()
    assert await asyncio.gather(*hanging) == [["name"]] * 20
    assert starters.count(threading.get_ident()) == 1
    lookups.close()


async def test_attempts_that_begin_together_do_not_end_together():
    release, ended = threading.Event(), []
    randoms = iter([0.0, 1.0])
    dialer = Dialer(
        policy(lambda host, port: release.wait()),
        None,
        0.5,
        asyncio.get_running_loop(),
        lambda: None,
        random=lambda: next(randoms),
        egress=Egress(),
    )

    async def dial(name):
        url = f"https://{name}.example.com/"
        with pytest.raises(NotReachable):
            await dialer.dial(Route.to(httpx.URL(url), name), url, time.monotonic() + SECONDS)
        ended.append(name)

    await asyncio.gather(dial("first"), dial("second"))
    assert ended == ["second", "first"]
    release.set()
    dialer.close()


async def test_names_that_hang_for_the_first_time_do_not_hold_up_others_either():
    release = threading.Event()

    def look(host, port):
        return release.wait() if host == "dead" else ["192.0.2.1"]

    lookups = Lookups(look, asyncio.get_running_loop())
    hanging = [asyncio.ensure_future(lookups.addresses(number, "dead", 443, SECONDS)) for number in range(200)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(lookups.addresses("ep", "alive", 443, SECONDS), SECONDS) == ["192.0.2.1"]
    release.set()
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    lookups.close()


def test_system_gives_each_address_once():
    assert "127.0.0.1" in system_addresses("localhost", 443)
    assert len(set(system_addresses("localhost", 443))) == len(system_addresses("localhost", 443))


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_whatever_a_resolver_raises_the_name_is_looked_up_again(hostile, made, error):
    failed = []

    def resolver(host, port):
        if not failed:
            failed.append(host)
            raise error
        return ["127.0.0.1"]

    transport = made(policy(resolver), connect_timeout=600)
    async with asyncio.timeout(SECONDS):
        assert (await send(transport, hostile.url("ok"), seconds=600)).error == NOT_REACHABLE
    assert (await send(transport, hostile.url("ok"))).status_code == 204


async def test_a_resolver_may_give_any_iterable_and_nonsense_is_no_address(hostile, made):
    assert (await send(made(policy(lambda host, port: iter(["127.0.0.1"]))), hostile.url("ok"))).status_code == 204
    assert (await send(made(policy(lambda host, port: 5)), hostile.url("ok"))).error == NOT_REACHABLE
