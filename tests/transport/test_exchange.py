"""One attempt over any transport ends in time and reports its outcome."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from waiting import SECONDS

from unihooks.testing._transport_contract import send
from unihooks.transport import AttemptError, exchange

URL = "https://hooks.example.com/?token=s3cr3t"


class Foreign(httpx.AsyncBaseTransport):
    def __init__(self, answer):
        self.answer = answer

    async def handle_async_request(self, request):
        return await self.answer(request)


async def attempt(answer, seconds=SECONDS):
    request = httpx.Request("POST", URL, content=b"{}")
    async with asyncio.timeout(seconds + SECONDS):
        return await exchange(Foreign(answer), request, deadline=time.monotonic() + seconds)


def streamed(*parts, status=200, headers=(), error=None, hang=False):
    class Stream(httpx.AsyncByteStream):
        async def __aiter__(self):
            for part in parts:
                yield part
            if hang:
                await asyncio.Event().wait()
            if error:
                raise error

    async def answer(request):
        return httpx.Response(status, headers=list(headers), stream=Stream())

    return answer


async def test_response_of_a_foreign_transport_is_accepted():
    outcome = await attempt(streamed(b"he", b"llo", status=201, headers=[(b"A", b"b")]))
    assert (outcome.status_code, outcome.body, outcome.headers) == (201, b"hello", [(b"A", b"b")])
    assert (outcome.error, outcome.warnings) == (None, ())


async def test_mock_transport_of_httpx_works():
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"a": 1}))
    outcome = await exchange(transport, httpx.Request("POST", URL), deadline=time.monotonic() + SECONDS)
    assert outcome.body == b'{"a":1}'


@pytest.mark.parametrize("stubborn", [0, 1, 5])
async def test_transport_that_swallows_cancellations_cannot_hold_up_an_attempt(stubborn):
    released = asyncio.Event()

    async def answer(request):
        left = stubborn
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                left -= 1
                if left < 0:
                    raise

    outcome = await attempt(answer, seconds=0.2)
    released.set()
    assert outcome.error == "timed out after 0.2 s waiting for the response"
    assert outcome.status_code is None


async def test_body_that_hangs_is_cut_with_a_warning():
    outcome = await attempt(streamed(b"hello", hang=True), seconds=1)
    assert (outcome.status_code, outcome.body, outcome.error) == (200, b"hello", None)
    assert outcome.warnings == ("the body of the response did not end in time and was cut",)


async def test_body_that_fails_is_a_warning():
    outcome = await attempt(streamed(b"hello", error=httpx.ReadError("s3cr3t")))
    assert (outcome.status_code, outcome.body) == (200, b"hello")
    assert outcome.warnings == ("the body of the response broke off (ReadError)",)


async def test_body_that_is_too_long_is_cut():
    outcome = await attempt(streamed(bytes(1024 * 1024)))
    assert (len(outcome.body), outcome.dear) == (16 * 1024, False)
    assert outcome.warnings == ("the response was longer than 16 KiB and was cut",)


async def test_body_in_too_many_pieces_is_cut():
    outcome = await attempt(streamed(*[b"x"] * 200_000))
    assert (len(outcome.body), outcome.dear) == (257, True)
    assert outcome.warnings == ("the response came in more than 256 pieces and was cut",)


@pytest.mark.parametrize("status", [99, 101, 600, 999])
async def test_impossible_status_is_an_error(status):
    outcome = await attempt(streamed(status=status))
    assert outcome.status_code is None
    assert str(status) in outcome.error


async def test_headers_are_capped_in_number_and_size():
    outcome = await attempt(streamed(headers=[(b"A" * 2000, b"b")] + [(b"A", b"b" * 2000)] * 99))
    assert len(outcome.headers) == 50
    assert all(len(name) + len(value) <= 1024 for name, value in outcome.headers)


@pytest.mark.parametrize(
    "error", [RuntimeError("s3cr3t"), httpx.ConnectError("s3cr3t"), ExceptionGroup("s3cr3t", [ValueError("s3cr3t")])]
)
async def test_exception_of_a_foreign_transport_is_named_without_its_text(error, caplog):
    async def answer(request):
        raise error

    caplog.set_level("DEBUG")
    outcome = await attempt(answer)
    assert outcome.error == f"the transport failed ({type(error).__name__})"
    assert "s3cr3t" not in caplog.text


class Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, Odd])
async def test_whatever_a_transport_raises_is_a_failed_attempt(error):
    async def answer(request):
        raise error

    assert (await attempt(answer)).error == f"the transport failed ({error.__name__})"


@pytest.mark.parametrize("error", [SystemExit, Odd])
async def test_whatever_a_body_raises_leaves_the_status(error):
    assert (await attempt(streamed(b"a", error=error))).status_code == 200


async def test_cancellation_from_within_a_transport_is_an_error():
    async def answer(request):
        raise asyncio.CancelledError

    assert (await attempt(answer)).error == "the transport failed (CancelledError)"


async def test_clear_reason_is_kept_when_our_transport_is_wrapped():
    async def answer(request):
        raise AttemptError("a clear reason")

    assert (await attempt(answer)).error == "a clear reason"


async def test_transport_that_gives_nonsense_is_an_error():
    async def answer(request):
        return None

    assert (await attempt(answer)).error.startswith("the transport failed (")


async def test_cancelling_an_attempt_cancels_the_transport():
    begun, ended = asyncio.Event(), []

    async def answer(request):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = asyncio.create_task(attempt(answer))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


async def test_deadline_in_the_past_is_a_time_out(hostile, made):
    request = httpx.Request("POST", hostile.url("silence"), content=b"{}")
    async with asyncio.timeout(SECONDS):
        assert (await exchange(made(), request, deadline=time.monotonic() - 1)).error


async def test_response_of_our_own_transport_is_capped_too(hostile, made):
    request = httpx.Request("POST", hostile.url("bomb"), content=b"{}")
    outcome = await exchange(made(), request, deadline=time.monotonic() + SECONDS)
    assert outcome.status_code == 200
    assert len(outcome.body) == 16 * 1024


@pytest.mark.parametrize(
    "trick,reason",
    [
        ("close-at-once", "the connection was closed before the response arrived"),
        ("close-in-headers", "the connection was closed before the headers were complete"),
        ("endless-headers", "the headers of the response are too large"),
        ("status-999", "the response has the impossible status 999"),
        (
            "broken-tls",
            "the TLS connection broke before the headers were complete (DECRYPTION_FAILED_OR_BAD_RECORD_MAC)",
        ),
        ("junk", "the response does not begin with an HTTP/1.1 status line"),
    ],
)
async def test_reason_of_our_own_transport_is_clear(hostile, made, trick, reason):
    assert (await send(made(), hostile.url(trick), seconds=SECONDS)).error == reason


@pytest.mark.parametrize("trick", ["silence", "dripping-headers"])
async def test_missing_response_is_a_time_out(hostile, made, trick):
    transport = made()
    # The connection exists already, so that connecting takes no time.
    assert (await send(transport, hostile.url("ok"))).status_code == 204
    outcome = await send(transport, hostile.url(trick), seconds=1)
    assert outcome.error == "timed out after 1 s waiting for the response"


async def test_peer_that_does_not_read_is_named_so(hostile, made):
    transport = made()
    assert (await send(transport, hostile.url("ok"))).status_code == 204
    outcome = await send(transport, hostile.url("never-read"), seconds=1, body=bytes(16 * 1024 * 1024))
    assert outcome.error == "timed out after 1 s sending the request"
