"""A worker that finds nothing to do asks rarely."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from unihooks.abc import Planned


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_an_event_that_cannot_be_planned_is_retried_less_and_less_often(new_dispatcher, host, monkeypatch):
    dispatcher = new_dispatcher()
    host.webhook()
    store, plan, times = dispatcher.settings.store, dispatcher.settings.store.plan, []
    loop = asyncio.get_running_loop()
    enough = asyncio.Event()

    def held(*args):
        # This is as if another transaction held its row.
        times.append(loop.time())
        if len(times) >= 8:
            loop.call_soon_threadsafe(enough.set)
        return Planned(more=True)

    monkeypatch.setattr(store, "plan", held)
    async with dispatcher.arunning():
        await dispatcher.aemit("chat", "message.received", {})
        await asyncio.wait_for(enough.wait(), 30)
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        # The pause begins at 20 ms and doubles up to 250 ms; the emit has caused the first look.
        assert pauses[-1] > 0.2
        monkeypatch.setattr(store, "plan", plan)
        await asyncio.to_thread(host.receiver.wait_for, 1, 30)
