from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from unihooks import Endpoint
from unihooks._delivery.destinations import Destinations
from unihooks.abc import Claimed
from unihooks.exceptions import StoreError


class Desk:
    """A real store that counts how often destinations are looked up in it."""

    def __init__(self, store):
        self.calls = Counter()
        self.store = store
        self.destinations = Destinations(store, self.offload)

    async def offload(self, function, *args):
        [verb] = [one for one in ("config_versions", "destinations") if function == getattr(self.store, one)]
        self.calls[verb] += 1
        return await asyncio.to_thread(function, *args)

    def claimed(self, webhook, position=0):
        config_version = self.store.config_versions([webhook.tenant])[webhook.tenant]
        endpoint_id = webhook.endpoints[position].id
        return Claimed(
            webhook.tenant, "dlv_1", "evt_1", webhook.id, endpoint_id, "chat", "x", b"", 0, 0, 1, config_version
        )

    async def url(self, claimed):
        prepared = self.destinations.known(claimed) or await self.destinations.find(claimed)
        return prepared and prepared.destination.url


@pytest.fixture
def desk(host):
    return Desk(host.dispatcher.settings.store)


async def test_a_destination_is_read_once_while_nothing_changes(host, desk):
    webhook = host.webhook()
    claimed = desk.claimed(webhook)
    assert desk.destinations.known(claimed) is None
    for _ in range(3):
        assert await desk.url(claimed) == webhook.endpoints[0].url
    assert desk.calls == {"destinations": 1}


async def test_simultaneous_look_ups_are_read_together(host, desk):
    webhook = host.webhook(*(f"/{number}" for number in range(20)))
    claimed = [desk.claimed(webhook, number) for number in range(20)]
    assert await asyncio.gather(*map(desk.url, claimed * 2)) == [one.url for one in webhook.endpoints] * 2
    assert desk.calls["destinations"] <= 2


async def test_many_that_wait_do_not_go_on_in_the_same_turn(host, desk):
    webhook = host.webhook(*(f"/{number}" for number in range(50)))
    waiting = [asyncio.create_task(desk.url(desk.claimed(webhook, number))) for number in range(50)]
    together, done = [], 0
    while done < 50:
        await asyncio.sleep(0)
        together.append(sum(task.done() for task in waiting) - done)
        done += together[-1]
    assert max(together) <= 16


async def test_a_newer_config_version_with_a_claim_shows_a_change_at_once(host, desk):
    webhook = host.webhook("/old")
    await desk.url(desk.claimed(webhook))
    moved = Endpoint(host.receiver.url_for("/new"), id=webhook.endpoints[0].id)
    host.dispatcher.webhooks.update(webhook.id, endpoints=[moved])
    claimed = desk.claimed(webhook)
    desk.destinations.note([claimed])
    assert desk.destinations.known(claimed) is None
    assert await desk.url(claimed) == moved.url


async def test_the_config_version_is_looked_at_again_when_it_is_old(host, desk, monkeypatch):
    webhook = host.webhook("/old")
    claimed = desk.claimed(webhook)
    await desk.url(claimed)
    monkeypatch.setattr("unihooks._delivery.destinations._FRESH_SECONDS", -1)
    assert await desk.url(claimed) == webhook.endpoints[0].url
    # Nothing had changed, so only the version of the configuration was read.
    assert desk.calls == {"config_versions": 1, "destinations": 1}

    moved = Endpoint(host.receiver.url_for("/new"), id=webhook.endpoints[0].id)
    host.dispatcher.webhooks.update(webhook.id, endpoints=[moved])
    assert await desk.url(claimed) == moved.url


async def test_an_older_config_version_does_not_undo_a_newer_one(host, desk):
    webhook = host.webhook()
    old = desk.claimed(webhook)
    host.dispatcher.webhooks.update(webhook.id, name="newer")
    await desk.url(desk.claimed(webhook))
    desk.destinations.note([old])
    assert desk.destinations.known(old) is not None


async def test_a_destination_is_prepared_again_when_a_secret_expires(host, desk):
    webhook = host.webhook()
    host.dispatcher.webhooks.rotate_secret(webhook.id, overlap=60)
    claimed = desk.claimed(webhook)
    await desk.url(claimed)
    host.clock.advance(60)
    assert desk.destinations.known(claimed) is None
    prepared = await desk.destinations.find(claimed)
    assert prepared.expires_at is None


async def test_an_endpoint_that_is_gone_has_no_destination(host, desk):
    webhook = host.webhook()
    claimed = desk.claimed(webhook)
    await desk.url(claimed)
    host.dispatcher.webhooks.delete(webhook.id)
    desk.destinations.note([desk.claimed(webhook)])
    assert await desk.url(claimed) is None


async def test_an_error_of_the_store_is_raised_to_all_waiters(host, desk, monkeypatch):
    webhook = host.webhook()
    claimed = desk.claimed(webhook)

    def fail(_endpoint_ids):
        raise StoreError("the disk is gone")

    monkeypatch.setattr(desk.store, "destinations", fail)
    outcomes = await asyncio.gather(*(desk.destinations.find(claimed) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in outcomes] == [StoreError] * 3
    monkeypatch.undo()
    assert await desk.url(claimed) == webhook.endpoints[0].url


async def test_one_that_waits_may_be_cancelled(host, desk):
    webhook = host.webhook()
    claimed = desk.claimed(webhook)
    waiting = [asyncio.create_task(desk.destinations.find(claimed)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert outcomes[1].destination.url == webhook.endpoints[0].url


async def test_only_so_much_is_remembered(host, desk, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.destinations._KEPT", 2)
    webhooks = [host.webhook(f"/{tenant}", tenant=tenant) for tenant in "abcd"]
    claimed = [desk.claimed(webhook) for webhook in webhooks]
    for one, webhook in zip(claimed * 2, webhooks * 2, strict=True):
        assert await desk.url(one) == webhook.endpoints[0].url
    assert len(desk.destinations._prepared) <= 2
    assert len(desk.destinations._versions) <= 2
    # These are more at once than are remembered.
    urls = await asyncio.gather(*map(desk.url, claimed))
    assert set(urls) <= {None, *(webhook.endpoints[0].url for webhook in webhooks)}
