"""Tools for testing webhooks; each is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unihooks.testing._answers import Answer
    from unihooks.testing._clock import FakeClock
    from unihooks.testing._receiver import Receiver
    from unihooks.testing._recording import RecordingDispatcher
    from unihooks.testing._requests import ReceivedRequest
    from unihooks.testing._store_contract import StoreContract
    from unihooks.testing._transport_contract import TransportContract

__all__ = [
    "Answer",
    "FakeClock",
    "ReceivedRequest",
    "Receiver",
    "RecordingDispatcher",
    "StoreContract",
    "TransportContract",
]

_HOMES = {
    "Answer": "_answers",
    "FakeClock": "_clock",
    "ReceivedRequest": "_requests",
    "Receiver": "_receiver",
    "RecordingDispatcher": "_recording",
    "StoreContract": "_store_contract",
    "TransportContract": "_transport_contract",
}


def __getattr__(name: str) -> object:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return __all__
