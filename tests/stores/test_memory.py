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

    def test_the_change_token_tells_a_worker_of_what_came_through_another_dispatcher(self, scene):
        webhook = scene.inactive()
        seen = {scene.store.change_token()}
        scene.activate(webhook)
        seen.add(scene.store.change_token())
        delivery = scene.pending()
        seen.add(scene.store.change_token())
        scene.store.replay(delivery.tenant, delivery.id)
        seen.add(scene.store.change_token())
        assert len(seen) == 4
