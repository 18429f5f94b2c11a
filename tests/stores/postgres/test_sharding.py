"""The example that spreads tenants over servers: each tenant's events, log and deliveries are on its own server."""

from __future__ import annotations

import importlib.util
import os
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from unihooks import EventSubscription, Webhook

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "sharding" / "shards.py"
HOMES = {"acme": "first", "initech": "second"}


@pytest.fixture
def servers(postgres_dsn):
    names = {name: f"unihooks_test_{name}_{os.getpid()}" for name in ("first", "second")}
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        for database in names.values():
            admin.execute(f"CREATE DATABASE {database}".encode())
        yield {name: urlsplit(postgres_dsn)._replace(path=f"/{database}").geturl() for name, database in names.items()}
        for database in names.values():
            admin.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())


@pytest.fixture
def shards(servers, receiver):
    spec = importlib.util.spec_from_file_location("shards", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = {"targets": receiver.targets, "ssl_context": receiver.ssl_context}
    with closing(module.Shards(servers, HOMES.__getitem__, **options)) as shards:
        yield shards


@pytest.mark.postgres
def test_each_tenant_lives_on_the_server_that_the_host_names_and_its_worker_delivers_there(shards, receiver):
    for tenant in HOMES:
        webhooks = shards.of(tenant).webhooks
        subscriptions = [EventSubscription("shop", "*")]
        webhook = Webhook(name="in", endpoints=[receiver.url_for(tenant)], subscriptions=subscriptions)
        webhooks.activate(webhooks.add(webhook, tenant=tenant).id, tenant=tenant)
        shards.of(tenant).emit("shop", "order.paid", {"order": 7}, tenant=tenant)

    assert shards.of("acme") is shards.dispatchers["first"]
    assert [len(one.log.events(tenant="acme")) for one in shards.dispatchers.values()] == [1, 0]
    assert [len(one.log.events(tenant="initech")) for one in shards.dispatchers.values()] == [0, 1]

    assert [one.drain().delivered for one in shards.dispatchers.values()] == [1, 1]
    assert sorted(request.path for request in receiver.requests) == ["/acme", "/initech"]
