"""The store in memory keeps the contract."""

from __future__ import annotations

import pytest

from unihooks.stores import MemoryStore
from unihooks.testing import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self):
        store = MemoryStore()
        yield store
        store.close()

    async def test_no_connection_leads_to_memory(self, scene):
        event = scene.event()
        with pytest.raises(TypeError, match="emit without `connection`"):
            await scene.store.aemit_on(object(), event)

    def test_a_claim_does_not_walk_closed_lanes(self, scene):
        webhook = scene.active(*[f"https://{n}.example.com/" for n in range(50)])
        scene.emit()
        scene.plan()
        scene.deactivate(webhook)
        assert scene.store._tables.open_lanes == {}
