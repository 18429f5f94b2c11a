"""Our own transport keeps the contract, on asyncio and on uvloop."""

from __future__ import annotations

import pytest
from waiting import SECONDS

from unihooks.testing import TransportContract
from unihooks.testing._hostile import FAULTS
from unihooks.testing._transport_contract import send
from unihooks.transport import HTTPTransport


class TestHTTPTransport(TransportContract):
    @pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
    def anyio_backend(self, request):
        return "asyncio", {"use_uvloop": request.param}

    def make_transport(self, targets, ssl_context):
        return HTTPTransport(targets, ssl_context=ssl_context)

    @pytest.mark.parametrize("trick", FAULTS)
    async def test_fault_beside_the_status_is_a_warning_and_closes_the_connection(self, transport, hostile, trick):
        before = hostile.connections
        outcome = await send(transport, hostile.url(trick), seconds=SECONDS)
        assert (outcome.status_code, outcome.error, len(outcome.warnings)) == (200, None, 1)
        await send(transport, hostile.url("ok"))
        assert hostile.connections == before + 1
