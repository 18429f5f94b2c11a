"""The rules for every transport: it withstands hostile receivers and keeps one deadline."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from time import monotonic

import httpx
import pytest

from unihooks._model.targets import TargetPolicy
from unihooks.testing._hostile import CUTS, FAILURES, FAULTS, ODDITIES, Hostile
from unihooks.transport import Exchange, HTTPTransport, exchange

_DEADLINE = 0.4
# The transport waits for a hanging body to the deadline, but its headers must have arrived by then.
_HEADERS = 2.0
# On a busy machine a response may take its time.
_PATIENCE = 10.0
# An exchange that ends this many seconds after its deadline hangs: a busy machine alone delays nothing so long.
_HANG = 10.0
_MEBIBYTE = 1024 * 1024


class TransportContract:
    """The tests of a transport against a hostile receiver; subclass it and override `make_transport`.

    For example::

        class TestMyTransport(TransportContract):
            def make_transport(self, targets, ssl_context):
                return MyTransport(verify=ssl_context)

    The tests are asynchronous and run by anyio's pytest plugin on asyncio.
    """

    pytestmark = pytest.mark.anyio

    def make_transport(self, targets: TargetPolicy, ssl_context: ssl.SSLContext) -> httpx.AsyncBaseTransport:
        """Return the transport to test, which may send to `targets` and trusts `ssl_context`."""
        return HTTPTransport(targets, ssl_context=ssl_context)

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio."""
        return "asyncio"

    @pytest.fixture
    def hostile(self) -> Iterator[Hostile]:
        """Yield a running hostile receiver."""
        with Hostile() as hostile:
            yield hostile

    @pytest.fixture
    async def transport(self, hostile: Hostile) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """Yield the transport, after one successful request to the receiver."""
        async with self._made(hostile) as transport:
            assert (await send(transport, hostile.url("ok"))).status_code == 204
            yield transport

    @pytest.mark.parametrize("trick", FAILURES)
    async def test_a_malformed_response_is_an_error_with_a_reason(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile, trick: str
    ) -> None:
        """A malformed response fails its own attempt, and no other."""
        assert_failed(await self._outcome(transport, hostile, trick))

    @pytest.mark.parametrize("trick", FAULTS)
    async def test_fault_in_the_headers_fails_no_other_attempt(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile, trick: str
    ) -> None:
        """Such a response may be refused; if it is read, its status counts."""
        outcome = await self._outcome(transport, hostile, trick, _HEADERS)
        assert outcome.error or outcome.status_code == 200

    @pytest.mark.parametrize("trick", CUTS)
    async def test_headers_decide_whatever_the_body_does(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile, trick: str
    ) -> None:
        """A bad body is a warning, not a failure."""
        outcome = await self._outcome(transport, hostile, trick, _HEADERS)
        assert (outcome.status_code, outcome.error) == (200, None)
        assert outcome.warnings
        assert len(outcome.body) <= 16 * 1024

    @pytest.mark.parametrize("trick", ODDITIES)
    async def test_odd_but_correct_responses_are_read(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile, trick: str
    ) -> None:
        """A response that the standard allows counts by its status, without a warning."""
        outcome = await self._outcome(transport, hostile, trick, _PATIENCE)
        assert (outcome.status_code, outcome.error) == (ODDITIES[trick][0], None)
        assert trick in {"bomb", "two-answers"} or not outcome.warnings

    async def test_compressed_body_is_kept_as_it_came(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile
    ) -> None:
        """Nothing is decompressed, since 64 KiB could become 64 MiB."""
        outcome = await send(transport, hostile.url("bomb"), seconds=_PATIENCE)
        assert outcome.body.startswith(b"\x1f\x8b")
        assert len(outcome.body) == 16 * 1024

    async def test_second_response_is_not_taken_for_the_next_delivery(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile
    ) -> None:
        """A receiver cannot make a delivery succeed in advance."""
        for trick in ("two-answers", "error"):
            assert (await send(transport, hostile.url(trick), seconds=_PATIENCE)).status_code == 500

    @pytest.mark.parametrize("certificate", ["wrong-host", "expired", "unknown", "silent", "plain"])
    async def test_no_request_goes_out_before_tls_is_verified(self, certificate: str) -> None:
        """A wrong certificate, or none, fails the attempt."""
        with Hostile(certificate) as hostile:
            async with self._made(hostile) as transport:
                assert_failed(await send(transport, hostile.url("ok"), seconds=_DEADLINE))

    async def test_peer_that_never_reads_is_given_up_at_the_deadline(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile
    ) -> None:
        """A request that cannot be sent ends in time."""
        outcome = await send(transport, hostile.url("never-read"), body=bytes(16 * _MEBIBYTE))
        assert_failed(outcome)
        await self._assert_unharmed(transport, hostile)

    async def test_request_that_was_given_up_is_not_sent_on(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile
    ) -> None:
        """The connection is reset: after a regular close the kernel would continue to send its buffer."""
        assert_failed(await send(transport, hostile.url("never-read"), body=bytes(_MEBIBYTE // 4)))
        assert await asyncio.to_thread(hostile.was_reset.wait, _PATIENCE)

    async def test_closed_port_is_an_error(self, transport: httpx.AsyncBaseTransport) -> None:
        """A refused connection fails the attempt."""
        with Hostile() as gone:
            url = gone.url("ok")
        assert_failed(await send(transport, url))

    async def test_error_holds_no_secret(self, transport: httpx.AsyncBaseTransport, hostile: Hostile) -> None:
        """No error contains the query or a header."""
        outcome = await send(transport, hostile.url("junk") + "?token=s3cr3t", headers={"authorization": "s3cr3t"})
        assert "s3cr3t" not in str(outcome.error)

    @contextlib.asynccontextmanager
    async def _made(self, hostile: Hostile) -> AsyncIterator[httpx.AsyncBaseTransport]:
        transport = self.make_transport(hostile.targets, hostile.ssl_context)
        try:
            yield transport
        finally:
            await transport.aclose()

    async def _outcome(
        self, transport: httpx.AsyncBaseTransport, hostile: Hostile, trick: str, seconds: float | None = None
    ) -> Exchange:
        """Return the outcome of an attempt, after a check that the next one is unharmed."""
        with small_memory():
            outcome = await send(transport, hostile.url(trick), seconds=seconds)
        await self._assert_unharmed(transport, hostile)
        return outcome

    async def _assert_unharmed(self, transport: httpx.AsyncBaseTransport, hostile: Hostile) -> None:
        outcome = await send(transport, hostile.url("ok"))
        assert (outcome.status_code, outcome.error, outcome.warnings) == (204, None, ())


async def send(
    transport: httpx.AsyncBaseTransport,
    url: str,
    *,
    seconds: float | None = None,
    body: bytes = b'{"hello": "world"}',
    headers: dict[str, str] | None = None,
    endpoint_id: str = "ep_1",
) -> Exchange:
    """Make one attempt as a worker does, and check that it ends by itself after its deadline."""
    if seconds is None:
        # The transport waits for a hanging response to the deadline.
        seconds = _PATIENCE if "/ok" in url else _DEADLINE
    deadline = monotonic() + seconds
    marks = {"endpoint_id": endpoint_id, "deadline": deadline}
    request = httpx.Request("POST", url, content=body, headers=headers, extensions={"unihooks": marks})
    async with asyncio.timeout(seconds + _HANG):
        return await exchange(transport, request, deadline=deadline)


def assert_failed(outcome: Exchange) -> None:
    """Check that an attempt failed with a reason that a customer may read."""
    assert outcome.status_code is None
    assert outcome.error
    assert "127.0.0.1" not in outcome.error
    assert "\n" not in outcome.error


@contextlib.contextmanager
def small_memory() -> Iterator[None]:
    """Check that a receiver cannot make us hold a mebibyte."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < _MEBIBYTE
