"""A process that was frozen notices on waking that its lease has ended."""

from __future__ import annotations

import time

import httpx
import pytest

from unihooks.testing import Receiver
from unihooks.transport import HTTPTransport, exchange


class Foreign(httpx.AsyncBaseTransport):
    def __init__(self, inner: HTTPTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)


@pytest.mark.parametrize("is_foreign", [False, True], ids=["ours", "foreign"])
async def test_request_whose_deadline_has_passed_is_not_sent_not_even_over_a_kept_connection(is_foreign):
    async with Receiver() as receiver:
        ours = HTTPTransport(receiver.targets, ssl_context=receiver.ssl_context)
        transport = Foreign(ours) if is_foreign else ours

        async def send(deadline: float) -> int | str | None:
            marks = {"endpoint_id": "ep_1", "deadline": deadline}
            request = httpx.Request("POST", receiver.url, content=b"{}", extensions={"unihooks": marks})
            answer = await exchange(transport, request, deadline=deadline)
            return answer.status_code or answer.error

        assert await send(time.monotonic() + 5) == 204
        assert "before the request was sent" in str(await send(time.monotonic()))
        assert await send(time.monotonic() + 5) == 204
        assert len(receiver.requests) == 2
        await ours.aclose()
