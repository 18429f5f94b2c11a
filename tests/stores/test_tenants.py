"""After a tenant is erased, no row of any table mentions it, whatever ended the process in between."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import psycopg
import pytest
from processes import line_of
from waiting import wait_for

from unihooks import Dispatcher, EventSubscription, PayloadMapping, Webhook
from unihooks._management import operations

SECRETIVE = "Aardvark"
KILLED = """
import json, sys
from unihooks import Dispatcher, stores
from unihooks._management import operations
kind, options, tenant = sys.argv[1:]
operations._BATCH, operations._PAUSE_SECONDS = 1, 0.02
store = getattr(stores, kind)(**json.loads(options))
print("ready", flush=True)
Dispatcher(store).erase_tenant(tenant)
"""


def rows_of(place):
    """Return the rows of all tables as texts."""
    kind, options = place
    if kind.__name__ == "SQLiteStore":
        with sqlite3.connect(options["path"]) as connection:
            lines = list(connection.iterdump())
        connection.close()
        return [one for one in lines if one.startswith("INSERT")]
    with psycopg.connect(options["dsn"]) as connection:
        tables = connection.execute(
            "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s", [options["schema"]]
        ).fetchall()
        return [row[0] for (table,) in tables for row in connection.execute(f"SELECT t::text FROM {table} AS t")]


def fill(dispatcher, receiver, tenant, events=3):
    """Give a tenant a webhook and deliveries, all with content."""
    receiver.always(503)
    webhook = dispatcher.webhooks.add(
        Webhook(
            name=SECRETIVE,
            endpoints=[receiver.url_for(f"/{SECRETIVE}"), receiver.url_for(f"/{SECRETIVE}/2")],
            subscriptions=[EventSubscription("shop", "*")],
            mapping=PayloadMapping(rename={"name": SECRETIVE}),
            headers={"authorization": SECRETIVE},
            ordered=True,
        ),
        tenant=tenant,
    )
    dispatcher.webhooks.activate(webhook.id, tenant=tenant)
    dispatcher.emit_many([("shop", "order.paid", {"name": SECRETIVE, "n": n}) for n in range(events)], tenant=tenant)
    once = {"idempotency_key": SECRETIVE, "subject": SECRETIVE}
    dispatcher.emit("shop", "order.paid", {"name": SECRETIVE}, tenant=tenant, **once)
    dispatcher.drain()
    [*_, delivery] = dispatcher.log.deliveries(tenant=tenant)
    dispatcher.log.replay(delivery.id, tenant=tenant)
    dispatcher.webhooks.update(webhook.id, tenant=tenant, endpoints=[receiver.url_for("/other")])
    dispatcher.emit("shop", "order.paid", {"name": SECRETIVE}, tenant=tenant)
    return webhook


def assert_nothing_is_left(place, tenant, *ids):
    told = [row for row in rows_of(place) if any(text in row for text in (tenant, SECRETIVE, *ids))]
    assert told == []


def test_no_row_tells_of_an_erased_tenant(place, open_dispatcher, receiver):
    dispatcher = open_dispatcher()
    webhook = fill(dispatcher, receiver, "acme corp")
    parts = [webhook.id, *(one.id for one in webhook.endpoints)]
    assert any("acme corp" in row for row in rows_of(place))
    assert dispatcher.erase_tenant("acme corp") == 5
    assert_nothing_is_left(place, "acme corp", *parts)


async def test_erasing_a_tenant_has_a_twin(open_dispatcher, receiver):
    dispatcher = open_dispatcher()
    fill(dispatcher, receiver, "acme")
    assert await dispatcher.aerase_tenant("acme") == 5
    assert (await dispatcher.ausage("acme")).events_24h == 0


def test_erasing_a_tenant_is_resumed_after_a_kill(place, open_dispatcher, receiver, tmp_path):
    dispatcher = open_dispatcher()
    webhook = fill(dispatcher, receiver, "acme corp", events=20)
    fill(dispatcher, receiver, "other")
    kind, options = place
    script = tmp_path / "erase.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), kind.__name__, json.dumps(options), "acme corp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert line_of(process.stdout) == "ready\n"
        try:
            wait_for(lambda: not dispatcher.usage("acme corp").webhooks)
        finally:
            process.kill()
    left = dispatcher.usage("acme corp")
    assert (left.webhooks, left.events_24h) == (0, 22)
    assert dispatcher.erase_tenant("acme corp") == 22
    told = [row for row in rows_of(place) if "acme corp" in row or webhook.id in row]
    assert told == []
    assert dispatcher.usage("other").events_24h == 5


def test_a_worker_of_another_process_stops_sending(open_dispatcher, receiver, monkeypatch):
    dispatcher, other = open_dispatcher(), open_dispatcher()
    fill(other, receiver, "acme")
    monkeypatch.setattr(operations, "_BATCH", 2)
    dispatcher.erase_tenant("acme")
    before = len(receiver.requests)
    other.emit("shop", "order.paid", {}, tenant="acme")
    assert other.drain().attempted == 0
    assert len(receiver.requests) == before


def test_a_tenant_is_erased_beside_a_worker_that_delivers(place, open_dispatcher, receiver):
    dispatcher, other = open_dispatcher(), open_dispatcher()
    webhook = fill(dispatcher, receiver, "acme corp")
    receiver.always(204)
    before = len(receiver.requests)
    with other.running():
        events = [("shop", "order.paid", {"n": number}) for number in range(400)]
        dispatcher.emit_many(events, tenant="acme corp")
        receiver.wait_for(before + 20)
        dispatcher.erase_tenant("acme corp")
    assert_nothing_is_left(place, "acme corp", webhook.id, *(one.id for one in webhook.endpoints))


@pytest.mark.parametrize("tenant", ["", None, 7, "x" * 300])
def test_a_wrong_tenant_is_refused(tenant):
    from unihooks.exceptions import InvalidArgument
    from unihooks.stores import MemoryStore

    with Dispatcher(MemoryStore()) as dispatcher:
        for verb in (dispatcher.erase_tenant, dispatcher.usage):
            with pytest.raises(InvalidArgument, match="tenant must be a text"):
                verb(tenant)
