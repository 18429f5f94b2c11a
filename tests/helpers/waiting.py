"""Wait until something has happened, for as long as a busy machine may need; a hang fails the test."""

from __future__ import annotations

import asyncio
import time

SECONDS = 20.0
_POLL_SECONDS = 0.01


def wait_for(condition, seconds=SECONDS):
    """Wait until `condition()` is true; return it, or fail."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(_POLL_SECONDS)
    return value


async def await_for(condition, seconds=SECONDS):
    """Wait as `wait_for` does, without blocking the event loop."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(_POLL_SECONDS)
    return value
