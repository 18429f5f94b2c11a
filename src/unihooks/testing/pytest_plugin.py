"""Fixtures for pytest; everything is imported when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from unihooks._dispatcher import Dispatcher
    from unihooks.stores import MemoryStore
    from unihooks.testing import FakeClock, Receiver, RecordingDispatcher


@pytest.fixture
def unihooks_receiver() -> Iterator[Receiver]:
    """Give a running HTTPS receiver."""
    from unihooks.testing import Receiver

    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def unihooks_clock() -> FakeClock:
    """Give a clock that moves only when told to."""
    from unihooks.testing import FakeClock

    return FakeClock()


@pytest.fixture
def unihooks_recorder() -> RecordingDispatcher:
    """Give a dispatcher that records events and sends nothing."""
    from unihooks.testing import RecordingDispatcher

    return RecordingDispatcher()


@pytest.fixture
def unihooks_store() -> MemoryStore:
    """Give an empty store in memory."""
    from unihooks.stores import MemoryStore

    return MemoryStore()


@pytest.fixture
def unihooks_dispatcher(
    unihooks_store: MemoryStore,
    unihooks_receiver: Receiver,
) -> Iterator[Dispatcher]:
    """Give a dispatcher in memory that may send to `unihooks_receiver`."""
    from unihooks._dispatcher import Dispatcher

    with Dispatcher(
        unihooks_store,
        targets=unihooks_receiver.targets,
        ssl_context=unihooks_receiver.ssl_context,
    ) as dispatcher:
        yield dispatcher
