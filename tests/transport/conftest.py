"""Fixtures for the tests of the transport."""

from __future__ import annotations

import contextlib

import pytest

from unihooks.testing._hostile import Hostile
from unihooks.transport import HTTPTransport


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def hostile():
    with Hostile() as hostile:
        yield hostile


@pytest.fixture
async def made(hostile):
    """Yield a function that makes transports to the hostile receiver, and close them afterwards."""
    async with contextlib.AsyncExitStack() as stack:

        def make(targets=None, **options):
            transport = HTTPTransport(targets or hostile.targets, ssl_context=hostile.ssl_context, **options)
            stack.push_async_callback(transport.aclose)
            return transport

        yield make
