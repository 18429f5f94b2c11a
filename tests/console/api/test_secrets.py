"""Signing secrets and the values of headers are shown to those who may see them, and sent to no other origin."""

from __future__ import annotations

import json

import pytest

from unihooks import Webhook
from unihooks.console import Permission

from .conftest import CANARY, SECRET


def added(dispatcher, *more: str) -> Webhook:
    webhook = Webhook(name="CRM", endpoints=["https://crm.example.com/in", *more], headers={"Authorization": CANARY})
    return dispatcher.webhooks.add(webhook, tenant="acme")


@pytest.mark.parametrize(
    "url",
    [
        "https://attacker.example.com/in",
        "https://{host}:8443/in",
        "https://{host}.evil.example.com/in",
        "https://x.{host}/in",
    ],
)
@pytest.mark.parametrize(
    "headers", [{}, {"headers": {"Authorization": None}}, {"headers": {"Authorization": None, "X-A": "b"}}]
)
async def test_saved_header_values_go_to_no_new_origin_without_the_permission(viewing, dispatcher, url, headers):
    webhook = added(dispatcher)
    writer = viewing("acme", Permission.READ, Permission.WRITE, Permission.SEND)
    url = url.format(host="crm.example.com")
    for endpoint in (url, {"url": url, "id": webhook.endpoints[0].id}):
        for endpoints in ([endpoint], [endpoint, {"url": "https://crm.example.com/"}]):
            answer = await writer.patch(f"/webhooks/{webhook.id}", {"endpoints": endpoints, **headers})
            assert (answer.status_code, answer.json()["field"]) == (403, "endpoints")
            assert "'secrets'" in answer.json()["detail"]
    assert dispatcher.webhooks.get(webhook.id, tenant="acme") == webhook


@pytest.mark.parametrize(
    "change",
    [
        {"endpoints": ["https://other.example.com/"], "headers": {"Authorization": "theirs"}},
        {"endpoints": ["https://other.example.com/"], "headers": {"Authorization": CANARY}},
        {"endpoints": ["https://other.example.com/"], "headers": {}},
        {"endpoints": ["https://CRM.example.com:443/elsewhere"]},
        {"endpoints": ["https://crm.example.com/a", "https://crm.example.com/b"], "headers": {"Authorization": None}},
        {"headers": {"Authorization": None, "X-New": "a"}},
    ],
)
async def test_a_change_that_reveals_no_saved_value_needs_no_permission(viewing, dispatcher, change):
    writer = viewing("acme", Permission.READ, Permission.WRITE)
    assert (await writer.patch(f"/webhooks/{added(dispatcher).id}", change)).status_code == 200


async def test_viewers_who_may_see_secrets_may_move_a_webhook(api, dispatcher):
    change = {"endpoints": ["https://other.example.com/"]}
    webhook = added(dispatcher)
    assert (await api.patch(f"/webhooks/{webhook.id}", change)).status_code == 200
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").headers == webhook.headers


async def test_origin_that_was_removed_is_a_new_one(viewing, dispatcher):
    webhook = added(dispatcher, "https://old.example.com/")
    writer = viewing("acme", Permission.READ, Permission.WRITE)
    path = f"/webhooks/{webhook.id}"
    assert (await writer.patch(path, {"endpoints": ["https://crm.example.com/"]})).status_code == 200
    assert (await writer.patch(path, {"endpoints": ["https://old.example.com/"]})).status_code == 403


async def test_a_secret_is_revealed_and_rotated(api, webhook, dispatcher):
    path = f"/webhooks/{webhook.id}/secret"
    first = (await api.post(f"{path}/reveal")).json()
    assert (first["secret"], first["previous"]) == (SECRET, [])
    rotated = (await api.post(f"{path}/rotate", {"overlap_seconds": 60})).json()
    assert rotated["secret"] == dispatcher.webhooks.get(webhook.id, tenant="acme").secrets[0].reveal() != SECRET
    [old] = (await api.post(f"{path}/reveal")).json()["previous"]
    assert old["secret"] == SECRET
    assert old["expires_at"] is not None
    assert (await api.post(f"{path}/rotate", {"overlap_seconds": 0})).status_code == 200
    assert (await api.post(f"{path}/reveal")).json()["previous"] == []


async def test_a_secret_of_ones_own_is_checked_and_never_quoted(api, webhook):
    path = f"/webhooks/{webhook.id}/secret/rotate"
    refused = await api.post(path, {"secret": "whsec_too-short-4711"})
    assert refused.status_code == 422
    assert "4711" not in refused.text
    other = "whsec_" + "R" * 43 + "="
    assert (await api.post(path, {"secret": other})).json()["secret"] == other


async def test_no_response_has_a_secret_that_was_not_requested(api, viewing, webhook, delivery, receiver):
    everything = viewing("acme", *Permission)
    paths = (
        "/webhooks?with_health=true", f"/webhooks/{webhook.id}", f"/webhooks/{webhook.id}/health", "/deliveries",
        f"/deliveries/{delivery.id}", f"/deliveries/{delivery.id}/attempts", f"/deliveries/{delivery.id}/body",
        "/events", "/overview", "/tenants", "/tenants/usage", "/usage", "/openapi.json", "/viewer", "/sender",
    )  # fmt: skip
    texts = [(await everything.get(path)).text for path in paths]
    for path, body in (
        (f"/webhooks/{webhook.id}/test", {"product": "chat", "event_type": "message.received"}),
        (f"/webhooks/{webhook.id}/preview", {"payload": {}}),
        (f"/webhooks/{webhook.id}/deactivate", {}),
        (f"/deliveries/{delivery.id}/replay", {}),
    ):
        texts.append((await everything.post(path, body)).text)
    texts.append((await everything.patch(f"/webhooks/{webhook.id}", {"name": "x"})).text)
    for text in texts:
        assert json.loads(text)
        assert CANARY not in text
        assert SECRET not in text
