"""Measure how long the console's pages and its API take over a large store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import httpx
import scenes
from databases import Place, place
from scenes import Size
from tables import Row, Table

from unihooks import Catalog, Dispatcher
from unihooks.abc import DeliveryFilter, Window
from unihooks.console import Permission, Viewer, create_console

SMALL = scenes.SMALL
LIMIT_MS = 50
ROUNDS = 15
TENANT = "big"
HOUR = 3_600_000_000
TYPES = ("paid", "refunded", "sent", "rare")

# Every fifth delivery belongs to the first webhook; two are of a rare type.
_DELIVERIES = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1),
m (i, w) AS (SELECT i, CASE WHEN i % 5 = 0 THEN 0 ELSE (i * 7) % {webhooks} END FROM n)
INSERT INTO {prefix}deliveries (tenant, id, event_id, webhook_id, endpoint_id, product, event_type, state,
    due_at, attempt_count, reason, status_code, created_at)
SELECT '{tenant}', 'dlv_' || (10000000 + i), 'evt_' || (10000000 + i), 'whk_{tenant}_' || w, 'end_{tenant}_' || w,
    'shop', CASE WHEN i IN (5, 77) THEN 'rare' WHEN i % 100 < 90 THEN 'paid' WHEN i % 100 < 99 THEN 'refunded'
        ELSE 'sent' END,
    CASE WHEN i % 100 < 97 THEN 'delivered' WHEN i % 100 = 97 THEN 'failed' WHEN i % 100 = 98 THEN 'cancelled'
        ELSE 'pending' END,
    {now} + i, 1, NULL, CASE WHEN i % 100 IN (97, 99) THEN 503 END, {now} - CAST({count} - i AS bigint) * {step}
FROM m
"""
# One attempt of each delivery, as the log shows it.
_ATTEMPTS = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1)
INSERT INTO {prefix}attempts (delivery_id, number, url, started_at, duration_us, status_code,
    request_headers, response_headers, response_body, warnings)
SELECT 'dlv_' || (10000000 + i), 1, 'https://example.com/', {now}, 80000 + i % 1000,
    CASE WHEN i % 100 = 97 THEN 503 ELSE 204 END, '[]', '[]', CAST('' AS {bytes}), '[]'
FROM n
"""
_HOURS = """
WITH RECURSIVE w (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM w WHERE i < {webhooks} - 1),
h (k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM h WHERE k < 24),
b (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM b WHERE n < 4)
INSERT INTO {prefix}hours (endpoint_id, hour, bucket, part, attempts, delivered, failed, duration_us)
SELECT 'end_{tenant}_' || i, {hour} - k, 4 + n, 0, 2, 2 - n / 4, n / 4, 200000 FROM w, h, b
"""
# A month of the first webhook, which has most of the deliveries.
_MONTH = """
WITH RECURSIVE h (k) AS (SELECT 25 UNION ALL SELECT k + 1 FROM h WHERE k < 720),
b (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM b WHERE n < 9)
INSERT INTO {prefix}hours (endpoint_id, hour, bucket, part, attempts, delivered, failed, duration_us)
SELECT 'end_{tenant}_0', {hour} - k, 4 + n, 0, 20, 20 - n / 4, n / 4, 2000000 FROM h, b
"""
# Every tenth of them has been sent nothing yet.
_LANES = """
UPDATE {prefix}lanes SET next_due_at = {now},
    last_success_at = CASE WHEN endpoint_id NOT LIKE '%3' THEN {now} END,
    failing_since = CASE WHEN endpoint_id LIKE '%7' THEN {now} END,
    health = CASE WHEN endpoint_id LIKE '%7' THEN 'failing' ELSE 'healthy' END WHERE tenant = '{tenant}'
"""
_MANY = {
    "the list of webhooks": "/",
    "webhooks by name": "/?sort=name",
    "webhooks that fail": "/?health=failing",
    "healthy webhooks": "/?health=healthy",
    "webhooks without events": "/?health=none",
    "a search over all webhooks": "/?search=no+such+webhook",
    "a webhook": "/webhooks/{heavy}",
    "a webhook's last hour": "/webhooks/{heavy}?period=1h",
    "a webhook's last 7 days": "/webhooks/{heavy}?period=7d",
    "a webhook's last 30 days": "/webhooks/{heavy}?period=30d",
    "its deliveries": "/webhooks/{heavy}/deliveries",
    "its deliveries of a rare type": "/webhooks/{heavy}/deliveries?event=shop+rare",
    "deliveries": "/deliveries",
    "failed deliveries": "/deliveries?state=failed",
    "pending deliveries": "/deliveries?state=pending",
    "deliveries of a rare type": "/deliveries?event=shop+rare",
    "delivered ones": "/deliveries?state=delivered",
    "cancelled ones": "/deliveries?state=cancelled",
    "deliveries with a status code": "/deliveries?code=503",
    "deliveries of a week": "/deliveries?period=7d",
    "deliveries of a webhook, searched": "/deliveries?search={heavy}",
    "a delivery": "/deliveries/{delivery}",
    "a delivery beside the list": "/deliveries/{delivery}?in=all&drawer=",
    "the catalogue": "/events",
    "the operator's page": "/operator",
    "API: webhooks with health": "/api/webhooks?with_health=true&sort=name",
    "API: a week's activity": "/api/webhooks/{heavy}/activity?hours=168",
    "API: failed deliveries": "/api/deliveries?state=failed",
    "API: how many failed": "/api/deliveries/count?state=failed",
    "API: deliveries of a rare type": "/api/deliveries?event_type=rare",
    "API: overview": "/api/overview",
}


def measure(table: Table, kinds: Sequence[str], dsn: str, size: Size) -> None:
    """Fill the table."""
    for kind in kinds:
        with place(kind, dsn) as one:
            delivery = _fill(one, size)
            asyncio.run(_ask_all(table, one, size, delivery))


def _fill(one: Place, size: Size) -> str:
    scenes.add(one.store, [scenes.webhook(one.store, TENANT, number, *TYPES) for number in range(size.webhooks)])
    now = one.store.now()
    values: dict[str, Any] = {
        "count": size.rows,
        "webhooks": size.webhooks,
        "prefix": one.prefix,
        "tenant": TENANT,
        "now": now,
        "hour": now // HOUR,
        "step": 30 * 24 * HOUR // size.rows,
        "bytes": "blob" if one.kind == "sqlite" else "bytea",
    }
    one.run(*(statement.format(**values) for statement in (_DELIVERIES, _ATTEMPTS, _HOURS, _MONTH, _LANES)))
    one.settle()
    return _one_delivered(one, size)


def _one_delivered(one: Place, size: Size) -> str:
    """Deliver one event to a webhook as a worker would, and return the delivery."""
    scenes.add(one.store, [scenes.webhook(one.store, TENANT, size.webhooks, "seldom")])
    scenes.emit(one.store, TENANT, 1, "seldom")
    scenes.plan_all(one.store)
    filters = DeliveryFilter(webhook_id=f"whk_{TENANT}_{size.webhooks}")
    [delivery] = one.store.list_deliveries(TENANT, filters, Window(limit=2))
    return delivery.id


async def _ask_all(table: Table, one: Place, size: Size, delivery: str) -> None:
    app = create_console(_dispatcher(one), authenticate=lambda _: Viewer(TENANT, "Ada", set(Permission)))
    ids = {"heavy": f"whk_{TENANT}_0", "delivery": delivery}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://console.example.com") as client:
        for name, path in _MANY.items():
            wall, cpu = await _ask(table, client, path.format(**ids))
            what = f"{name}, of {size.webhooks:,} webhooks and {size.rows:,} deliveries"
            table.add(Row(what=what, where=one.kind, value=wall, limit=LIMIT_MS, note=f"client CPU {cpu:.1f} ms"))


async def _ask(table: Table, client: httpx.AsyncClient, path: str) -> tuple[float, float]:
    times = []
    for _ in range(ROUNDS):
        cpu, wall = time.process_time(), time.perf_counter()
        answer = await client.get(path)
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
        table.check(f"{path} is answered with {answer.status_code}", good=answer.status_code == httpx.codes.OK)
    return median(wall for wall, _ in times) * 1e3, median(cpu for _, cpu in times) * 1e3


def _dispatcher(one: Place) -> Dispatcher:
    catalog = Catalog()
    shop = catalog.add_product("shop")
    for name in (*TYPES, "seldom"):
        shop.add_event(name, example={"id": 1})
    return Dispatcher(one.store, catalog=catalog)
