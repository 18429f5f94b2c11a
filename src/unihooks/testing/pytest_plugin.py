"""Fixtures for pytest; what they need is imported when a test first uses them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from unihooks._dispatcher import Dispatcher
    from unihooks.stores import MemoryStore
    from unihooks.testing import FakeClock, Receiver, RecordingDispatcher

_PYTEST_DJANGO = ("django", "pytest_django", "pytest_django.plugin")


@pytest.fixture
def unihooks_receiver() -> Iterator[Receiver]:
    """Yield a running HTTPS receiver."""
    from unihooks.testing import Receiver

    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def unihooks_clock() -> FakeClock:
    """Return a clock that moves only when a test says so."""
    from unihooks.testing import FakeClock

    return FakeClock()


@pytest.fixture
def unihooks_recorder() -> RecordingDispatcher:
    """Return a dispatcher that records events and sends nothing."""
    from unihooks.testing import RecordingDispatcher

    return RecordingDispatcher()


@pytest.fixture
def unihooks_store() -> MemoryStore:
    """Return an empty store in memory."""
    from unihooks.stores import MemoryStore

    return MemoryStore()


@pytest.fixture
def unihooks_dispatcher(
    unihooks_store: MemoryStore,
    unihooks_receiver: Receiver,
) -> Iterator[Dispatcher]:
    """Yield a dispatcher in memory that may send to `unihooks_receiver`."""
    from unihooks._dispatcher import Dispatcher

    with Dispatcher(
        unihooks_store,
        targets=unihooks_receiver.targets,
        ssl_context=unihooks_receiver.ssl_context,
    ) as dispatcher:
        yield dispatcher


@pytest.fixture
def unihooks_django(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let each test begin and end with no webhook and no event in the stores of `unihooks.integrations.django`.

    With pytest-django it brings its fixture `db`, which does as the test's mark `django_db` says.
    """
    if any(request.config.pluginmanager.has_plugin(name) for name in _PYTEST_DJANGO):
        request.getfixturevalue("db")
    # Imported by name, since the integrations are in a higher layer than these tools.
    reset_stores = import_module("unihooks.integrations._django_store").reset_stores
    reset_stores("__all__")
    yield
    reset_stores("__all__")
