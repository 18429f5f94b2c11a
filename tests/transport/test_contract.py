"""Our own transport keeps the contract, on asyncio and on uvloop."""

from __future__ import annotations

import pytest

from unihooks.testing import TransportContract
from unihooks.transport import HTTPTransport


class TestHTTPTransport(TransportContract):
    @pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
    def anyio_backend(self, request):
        return "asyncio", {"use_uvloop": request.param}

    def make_transport(self, targets, ssl_context):
        return HTTPTransport(targets, ssl_context=ssl_context)
