from __future__ import annotations

from pathlib import Path

import pytest

from unihooks.console import Permission
from unihooks.console.api import OPERATIONS

from .conftest import SECRET

BODIES = {
    "addWebhook": {"name": "x", "endpoints": ["https://example.com/x"]},
    "replayDeliveries": {"filter": {}},
    "recoverDeliveries": {"since": "2020-01-01T00:00:00Z"},
    "startRecovery": {"since": "2020-01-01T00:00:00Z"},
    "startReplay": {"filter": {}},
    "sendTest": {"product": "chat", "event_type": "message.received"},
    "previewMapping": {"payload": {}},
    "tryMapping": {"mapping": {}, "payload": {}},
    "changeWebhook": {"name": "theirs"},
}
EVERY = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
WITH_IDS = [one for one in OPERATIONS if "{" in one.path]
# Who is refused is refused whether there is such a thing or not.
NOBODYS = dict.fromkeys(("webhook_id", "endpoint_id", "delivery_id", "event_id", "job_id"), "nobodys")


async def asked(api, operation, **ids):
    body = None if operation.body is None else dict(BODIES.get(operation.id, {}))
    if operation.id == "startRecovery":
        body["webhook_id"] = ids["webhook_id"]
    return await api.ask(operation.method, operation.path.format(**ids), json=body)


@pytest.fixture
def ids(webhook, delivery, dispatcher):
    return {
        "webhook_id": webhook.id,
        "endpoint_id": webhook.endpoints[0].id,
        "delivery_id": delivery.id,
        "event_id": delivery.event_id,
        "job_id": dispatcher.jobs.replay(tenant="acme").id,
    }


@EVERY
async def test_every_operation_needs_its_permission(operation, viewing):
    lacking = set(Permission) - {operation.permission}
    answer = await asked(viewing("acme", *lacking), operation, **NOBODYS)
    if operation.permission is None:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:webhooks:problem:forbidden")
        assert operation.permission in answer.json()["detail"]


@EVERY
async def test_every_operation_works_with_its_permission_alone(operation, viewing, ids, dispatcher, rates):
    if operation.id == "cancelDelivery":
        ids["delivery_id"] = dispatcher.log.replay(ids["delivery_id"], tenant="acme").id
    own = [operation.permission] if operation.permission else []
    answer = await asked(viewing("acme", *own), operation, **ids)
    assert answer.is_success, answer.text
    assert answer.headers["cache-control"] == "no-store"


@EVERY
async def test_only_the_host_lets_viewers_in(operation, app):
    import httpx

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://console.example.com") as client:
        answer = await client.request(operation.method, f"/api{operation.path.format(**NOBODYS)}", json={})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize("operation", WITH_IDS, ids=lambda one: one.id)
async def test_another_tenants_ids_are_not_found(operation, viewing, ids, dispatcher):
    before = dispatcher.webhooks.get(ids["webhook_id"], tenant="acme")
    answer = await asked(viewing("other", *Permission), operation, **ids)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:webhooks:problem:not-found")
    assert SECRET not in answer.text
    assert dispatcher.webhooks.get(ids["webhook_id"], tenant="acme") == before
    assert len(dispatcher.log.deliveries(tenant="acme")) == 1


@pytest.mark.parametrize("operation", WITH_IDS, ids=lambda one: one.id)
@pytest.mark.parametrize("odd", ["nobodys", "%00", "%0A", "a%20b", "%ED%A0%80"])
async def test_unknown_ids_are_not_found(operation, api, odd):
    answer = await asked(api, operation, **dict.fromkeys(NOBODYS, odd))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_another_tenants_listings_are_empty(viewing, ids):
    other = viewing("other", *Permission)
    for path in ("/webhooks", "/deliveries", "/events", "/jobs"):
        assert (await other.get(path)).json() == {"items": [], "next": None, "previous": None}
    for narrow in ("webhook_id", "endpoint_id", "event_id"):
        assert (await other.get("/deliveries", **{narrow: ids[narrow]})).json()["items"] == []
    assert (await other.get("/deliveries/count")).json()["count"] == 0
    replayed = await other.post("/deliveries/replay", {"filter": {"webhook_id": ids["webhook_id"]}})
    assert replayed.json() == {"replayed": 0, "more": False, "retry_after": 0}


def test_the_reference_names_every_operation_with_its_permission():
    text = (Path(__file__).parents[3] / "docs" / "reference" / "console-api.md").read_text()
    rows = [row.split("|") for row in text.splitlines() if row.startswith("| `")]
    named = {(line, row[3].strip().strip("`")) for row in rows for line in row[1].strip(" `").split("`, `")}
    assert {
        (f"{one.method} {one.path[1:]}", one.permission.name if one.permission else "none") for one in OPERATIONS
    } == {(line, permission) for line, permission in named if line.split(" ")[0].isupper()}


# Requests that a browser sends for another site.


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.body], ids=lambda one: one.id)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_requests_that_a_form_can_send_are_refused(operation, api, kind):
    headers = {"content-type": kind} if kind else {}
    answer = await api.ask(operation.method, operation.path.format(**NOBODYS), content=b"{}", headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "same-site"}]
)
async def test_pages_of_other_sites_change_nothing(api, webhook, dispatcher, headers):
    answer = await api.ask("DELETE", f"/webhooks/{webhook.id}", headers=headers)
    assert answer.status_code == 403
    assert dispatcher.webhooks.get(webhook.id, tenant="acme") == webhook
