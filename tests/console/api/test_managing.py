from __future__ import annotations

import json

import pytest

from unihooks import Condition, DeliveryPolicy, Endpoint, EventSubscription, Limits
from unihooks.console import Permission
from unihooks.testing import Answer

from .conftest import CANARY, SECRET


def given(receiver, **changes):
    return {
        "name": "CRM",
        "endpoints": [receiver.url_for("/a"), {"url": receiver.url_for("/b"), "description": "second"}],
        "subscriptions": [{"product": "chat", "event_type": "message.received"}],
        "mapping": {"remove": ["secret"], "rename": {"text": "body"}},
        "headers": {"Authorization": CANARY},
        **changes,
    }


async def test_a_webhook_is_added_and_its_secret_shown_once(api, receiver, dispatcher):
    answer = await api.post("/webhooks", given(receiver))
    assert answer.status_code == 201
    made = answer.json()
    stored = dispatcher.webhooks.get(made["id"], tenant="acme")
    assert made["secret"] == stored.secrets[0].reveal()
    assert (stored.name, stored.status, stored.headers.revealed()) == ("CRM", "inactive", [("Authorization", CANARY)])
    assert [one.description for one in stored.endpoints] == ["", "second"]
    assert stored.subscriptions == (EventSubscription("chat", "message.received"),)
    again = (await api.get(f"/webhooks/{made['id']}")).json()
    assert again == {name: value for name, value in made.items() if name != "secret"}
    assert again["headers"] == {"Authorization": None}


async def test_conditions_are_set_shown_and_tried(api, receiver, dispatcher):
    where = [{"path": "amount", "op": "ge", "value": 100}, {"path": "gone", "op": "missing"}]
    asked = [{"product": "chat", "event_type": "message.*", "where": where}]
    made = (await api.post("/webhooks", given(receiver, subscriptions=asked))).json()
    assert made["subscriptions"] == asked
    stored = dispatcher.webhooks.get(made["id"], tenant="acme")
    conditions = [Condition("amount", "ge", 100), Condition("gone", "missing")]
    assert stored.subscriptions == (EventSubscription("chat", "message.*", conditions),)
    body = {"payload": {"amount": 5}, "product": "chat", "event_type": "message.received"}
    tried = (await api.post(f"/webhooks/{made['id']}/preview", body)).json()
    assert tried["conditions"] == [
        {"condition": where[0], "holds": False},
        {"condition": where[1], "holds": True},
    ]


@pytest.mark.parametrize(
    "where,field",
    [
        ([{"path": "a..b", "op": "eq", "value": 1}], "a..b"),
        ([{"path": "a", "op": "is", "value": 1}], "subscriptions[0].where[0].op"),
        ([{"path": "a", "op": "lt", "value": True}], "value"),
        ([{"path": "a", "op": "eq"}], "value"),
        ([{"path": "a", "op": "eq", "value": 1}] * 21, "subscriptions[0].where"),
    ],
)
async def test_conditions_that_make_no_sense_are_refused_and_nothing_is_stored(api, receiver, dispatcher, where, field):
    before = len(dispatcher.webhooks.list(tenant="acme"))
    asked = [{"product": "chat", "event_type": "message.received", "where": where}]
    refused = await api.post("/webhooks", given(receiver, subscriptions=asked))
    assert (refused.status_code, refused.json().get("field")) == (422, field)
    assert len(dispatcher.webhooks.list(tenant="acme")) == before


async def test_a_policy_is_set_shown_and_changed(api, receiver, dispatcher):
    asked = {"retry_delays": [10, 60.5], "deadline": 5, "in_flight": 2, "rate": 0.5, "burst": 3}
    made = (await api.post("/webhooks", given(receiver, policy=asked))).json()
    assert made["policy"] == asked
    assert dispatcher.webhooks.get(made["id"], tenant="acme").policy == DeliveryPolicy(**asked)
    changed = await api.patch(f"/webhooks/{made['id']}", {"policy": {"rate": 2}})
    assert changed.json()["policy"] == dict.fromkeys(asked) | {"rate": 2}
    kept = await api.patch(f"/webhooks/{made['id']}", {"name": "New"})
    assert kept.json()["policy"]["rate"] == 2


async def test_null_for_a_policy_leaves_all_to_the_dispatcher(api, receiver, dispatcher):
    made = (await api.post("/webhooks", given(receiver, policy={"rate": 2}))).json()
    reset = await api.patch(f"/webhooks/{made['id']}", {"policy": None})
    assert (reset.status_code, set(reset.json()["policy"].values())) == (200, {None})
    assert dispatcher.webhooks.get(made["id"], tenant="acme").policy == DeliveryPolicy()
    created = await api.post("/webhooks", given(receiver, policy=None))
    assert (created.status_code, set(created.json()["policy"].values())) == (201, {None})


@pytest.mark.parametrize(
    "policy, field",
    [
        ({"rate": 0}, "rate"),
        ({"rate": 10_001}, "rate"),
        ({"in_flight": 0}, "policy.in_flight"),
        ({"deadline": 61}, "deadline"),
        ({"burst": 2}, "burst"),
        ({"retry_delays": [1] * 21}, "retry_delays"),
        ({"retry_delays": [10**400]}, "retry_delays"),
        ({"speed": 1}, "policy.speed"),
    ],
)
async def test_a_senseless_policy_is_refused_and_nothing_is_stored(api, webhook, dispatcher, policy, field):
    body = {"name": "n", "endpoints": [webhook.endpoints[0].url], "policy": policy}
    refused = await api.post("/webhooks", body)
    assert (refused.status_code, refused.json().get("field")) == (422, field)
    assert (await api.patch(f"/webhooks/{webhook.id}", {"policy": policy})).status_code == 422
    assert list(dispatcher.webhooks.list(tenant="acme")) == [webhook]


async def test_the_secret_is_not_shown_without_permission(viewing, receiver):
    answer = await viewing("acme", Permission.WRITE).post("/webhooks", given(receiver))
    assert (answer.status_code, answer.json()["secret"]) == (201, None)


async def test_fields_left_out_of_a_change_stay(api, webhook, dispatcher):
    answer = await api.patch(f"/webhooks/{webhook.id}", {"name": "New"})
    assert (answer.status_code, answer.json()["name"], answer.json()["version"]) == (200, "New", webhook.version + 1)
    stored = dispatcher.webhooks.get(webhook.id, tenant="acme")
    assert (stored.headers, stored.secrets, stored.endpoints) == (webhook.headers, webhook.secrets, webhook.endpoints)


async def test_null_keeps_the_value_of_a_header(api, webhook, dispatcher):
    path = f"/webhooks/{webhook.id}"
    answer = await api.patch(path, {"headers": {"authorization": None, "X-Key": "new"}})
    assert answer.json()["headers"] == {"authorization": None, "X-Key": None}
    stored = dispatcher.webhooks.get(webhook.id, tenant="acme")
    assert dict(stored.headers.revealed()) == {"authorization": CANARY, "X-Key": "new"}
    refused = await api.patch(path, {"headers": {"X-Other": None}})
    assert (refused.status_code, refused.json()["field"]) == (422, "headers.X-Other")
    assert (await api.patch(path, {"headers": {}})).json()["headers"] == {}


async def test_a_change_of_an_old_version_is_a_conflict(api, webhook):
    for change in ({"name": "x"}, {"headers": {"Authorization": None}}):
        answer = await api.patch(f"/webhooks/{webhook.id}", change | {"version": webhook.version - 1})
        assert (answer.status_code, answer.json()["field"]) == (409, "version")


async def test_a_webhook_more_than_there_may_be_is_refused_without_a_time_to_try_again(
    api, webhook, receiver, dispatcher, monkeypatch
):
    monkeypatch.setattr(dispatcher.settings, "limits", Limits(webhooks_per_tenant=1))
    answer = await api.post("/webhooks", given(receiver))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:webhooks:problem:limit-reached")
    assert "retry-after" not in answer.headers


async def test_an_endpoint_keeps_its_id_when_it_is_given(api, webhook, receiver):
    endpoint = {"id": webhook.endpoints[0].id, "url": receiver.url_for("/moved")}
    answer = await api.patch(f"/webhooks/{webhook.id}", {"endpoints": [endpoint, receiver.url_for("/more")]})
    first, second = answer.json()["endpoints"]
    assert (first["id"], first["url"]) == (endpoint["id"], endpoint["url"])
    assert second["id"] != first["id"]


async def test_a_webhook_is_switched_and_deleted(api, webhook):
    path = f"/webhooks/{webhook.id}"
    assert (await api.post(f"{path}/deactivate")).json()["status"] == "inactive"
    assert (await api.post(f"{path}/activate")).json()["status"] == "active"
    assert (await api.delete(path)).status_code == 200
    assert (await api.get(path)).status_code == 404


async def test_a_disabled_endpoint_is_enabled(api, webhook, receiver, dispatcher):
    receiver.answer(410)
    dispatcher.emit("chat", "message.received", {}, tenant="acme")
    dispatcher.drain()
    [endpoint] = (await api.get(f"/webhooks/{webhook.id}")).json()["endpoints"]
    assert endpoint["state"] == "disabled"
    enabled = await api.post(f"/webhooks/{webhook.id}/endpoints/{endpoint['id']}/enable")
    assert (enabled.json()["state"], enabled.json()["disabled_reason"]) == ("enabled", None)


async def test_an_endpoint_is_disabled_for_a_reason(api, webhook):
    [endpoint] = webhook.endpoints
    path = f"/webhooks/{webhook.id}/endpoints/{endpoint.id}/disable"
    disabled = (await api.post(path, {"reason": "it moves"})).json()
    assert (disabled["state"], disabled["disabled_reason"]) == ("disabled", "it moves")
    assert disabled["health"]["state"] == "disabled"
    assert (await api.post(path, {"reason": "x" * 201})).status_code == 422
    assert (await api.post(path, {"why": "x"})).status_code == 422
    assert (await api.post(f"/webhooks/{webhook.id}/endpoints/ep_nobodys/disable")).status_code == 404


async def test_an_endpoint_is_added_as_disabled(api, receiver):
    endpoints = [{"url": receiver.url_for("/a"), "enabled": False}, {"url": receiver.url_for("/b"), "enabled": True}]
    made = (await api.post("/webhooks", given(receiver, endpoints=endpoints))).json()
    assert [one["state"] for one in made["endpoints"]] == ["disabled", "enabled"]


async def test_the_health_of_an_endpoint_and_why_deliveries_wait_are_shown(api, webhook, receiver, dispatcher):
    receiver.answer(Answer(503, headers={"Retry-After": "1800"}))
    dispatcher.emit("chat", "message.received", {}, tenant="acme")
    dispatcher.drain()
    [endpoint] = (await api.get(f"/webhooks/{webhook.id}")).json()["endpoints"]
    health = endpoint["health"]
    assert (health["state"], health["failures"], health["breaker"]) == ("failing", 1, "closed")
    assert health["last_hour"] == health["last_day"] == {"attempts": 1, "succeeded": 0}
    assert health["not_before"] is not None
    [failed] = (await api.get("/deliveries")).json()["items"]
    assert failed["waiting"] is None
    delivery = (await api.post(f"/deliveries/{failed['id']}/replay")).json()
    assert delivery["waiting"].startswith("waits until ")
    [endpoint] = (await api.get(f"/webhooks/{webhook.id}")).json()["endpoints"]
    assert endpoint["health"]["next_attempt_at"] == health["not_before"]
    assert (await api.get(f"/webhooks/{webhook.id}/health")).json()["endpoints"] == [endpoint["health"]]
    [listed] = (await api.get("/webhooks", health="failing")).json()["items"]
    assert listed["endpoints"] == [endpoint]


async def test_webhooks_are_listed_narrowed_and_paged(api, receiver):
    for name in ("bee", "ant", "cat"):
        await api.post("/webhooks", given(receiver, name=name))

    async def names(**query):
        return [one["name"] for one in (await api.get("/webhooks", **query)).json()["items"]]

    assert await names() == ["cat", "ant", "bee"]
    assert await names(sort="name") == ["ant", "bee", "cat"]
    assert await names(search="BEE", status="inactive") == ["bee"]
    assert await names(status="active") == await names(health="failing") == []
    page = (await api.get("/webhooks", sort="name", limit=2)).json()
    assert await names(sort="name", limit=2, cursor=page["next"]) == ["cat"]
    assert "health" not in page["items"][0]


async def test_health_comes_with_a_listing_when_asked(api, delivery):
    [listed] = (await api.get("/webhooks", with_health="true")).json()["items"]
    alone = (await api.get(f"/webhooks/{listed['id']}/health")).json()
    assert listed["health"] == alone
    assert (alone["last_delivery_state"], len(alone["hours"])) == ("delivered", 25)
    activity = (await api.get(f"/webhooks/{listed['id']}/activity", hours=1)).json()
    assert (activity["attempts"], activity["success_share"]) == (1, 1.0)


# Refusals.


@pytest.mark.parametrize(
    "change, field",
    [
        ({"name": ""}, "name"),
        ({"name": 1}, "name"),
        ({"endpoints": []}, "endpoints"),
        ({"endpoints": ["http://example.com"]}, "url"),
        ({"endpoints": [{"id": "x"}]}, "endpoints[0].url"),
        ({"endpoints": [{"url": "https://example.com", "state": "enabled"}]}, "endpoints[0].state"),
        ({"subscriptions": [{"product": "chat", "event_type": "nope"}]}, "event_type"),
        ({"mapping": {"remove": ["a..b"]}}, "mapping"),
        ({"headers": {"Host": "x"}}, "headers.Host"),
        ({"colour": "red"}, "colour"),
        ({"status": "on"}, "status"),
        ({"secrets": [SECRET]}, "secrets"),
    ],
)
async def test_a_refusal_names_the_field_and_stores_nothing(api, receiver, dispatcher, change, field):
    answer = await api.post("/webhooks", given(receiver, **change))
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert CANARY not in answer.text
    assert not dispatcher.webhooks.list(tenant="acme")


async def test_previews_refuse_payloads_that_are_no_json(api, webhook):
    content = '{"payload": 1e400, "mapping": {"remove": ["a"]}}'
    headers = {"content-type": "application/json"}
    tried = await api.ask("POST", "/mapping/preview", content=content, headers=headers)
    assert (tried.status_code, tried.json()["field"]) == (422, "payload")
    content = '{"payload": {"a": [1e400]}}'
    stored = await api.ask("POST", f"/webhooks/{webhook.id}/preview", content=content, headers=headers)
    assert (stored.status_code, stored.json()["field"]) == (422, "payload.a[0]")


async def test_mappings_are_previewed(api, webhook):
    mapping = {"rename": {"text": "body"}, "remove": ["gone"]}
    tried = await api.post("/mapping/preview", {"mapping": mapping, "payload": {"text": 1}})
    assert (tried.json()["result"], tried.json()["unmatched"]) == ({"body": 1}, ["gone"])
    await api.patch(f"/webhooks/{webhook.id}", {"mapping": mapping})
    stored = await api.post(f"/webhooks/{webhook.id}/preview", {"payload": {"text": 1}})
    assert stored.json() == tried.json()


async def test_the_catalog_its_documents_and_the_sender_are_shown(api):
    [product] = (await api.get("/catalog")).json()["products"]
    assert (product["name"], product["event_types"][0]["example"]) == ("chat", {"text": "hi"})
    assert "chat.message.received" in (await api.get("/catalog/openapi.json")).json()["webhooks"]
    assert "chat.message.received" in (await api.get("/catalog/asyncapi.json")).json()["channels"]
    assert (await api.get("/sender")).json() == {"egress_ips": ["192.0.2.7"]}
    assert (await api.get("/viewer")).json() == {
        "tenant": "acme",
        "name": "Ada",
        "permissions": ["read", "secrets", "send", "write"],
    }


def test_an_endpoint_is_built_from_a_url_alone():
    from unihooks.console.api.webhooks import _endpoint

    assert _endpoint("https://example.com") == Endpoint("https://example.com")


async def test_metadata_are_shown_and_searched_and_left_to_the_host(api, receiver, dispatcher, webhook):
    dispatcher.webhooks.update(webhook.id, tenant="acme", metadata={"plan": "gold"})
    assert (await api.get(f"/webhooks/{webhook.id}")).json()["metadata"] == {"plan": "gold"}
    assert [one["id"] for one in (await api.get("/webhooks", search="plan: G")).json()["items"]] == [webhook.id]
    assert (await api.get("/webhooks", search="silver")).json()["items"] == []
    assert (await api.patch(f"/webhooks/{webhook.id}", {"name": "Audit"})).json()["metadata"] == {"plan": "gold"}
    assert (await api.patch(f"/webhooks/{webhook.id}", {"metadata": {}})).status_code == 422
    assert (await api.post("/webhooks", given(receiver, metadata={"plan": "gold"}))).status_code == 422


async def test_operational_events_are_in_the_catalog_and_are_subscribed_to(api, receiver, dispatcher):
    dispatcher.catalog.offer_operational_events()
    products = {one["name"]: one for one in (await api.get("/catalog")).json()["products"]}
    titles = {one["name"]: one["title"] for one in products["webhooks"]["event_types"]}
    assert titles["secret.rotated"] == "Signing secret rotated"
    asked = [{"product": "webhooks", "event_type": "endpoint.*"}]
    made = await api.post("/webhooks", given(receiver, subscriptions=asked))
    assert made.status_code == 201
    document = (await api.get("/catalog/openapi.json")).json()
    assert "delivery.failed" in json.dumps(document)


async def test_order_is_set_shown_and_changed(api, receiver, dispatcher):
    made = (await api.post("/webhooks", given(receiver, ordered=True))).json()
    assert made["ordered"] is True
    changed = (await api.patch(f"/webhooks/{made['id']}", {"ordered": False})).json()
    assert changed["ordered"] is False
    assert dispatcher.webhooks.get(made["id"], tenant="acme").ordered is False
    refused = await api.patch(f"/webhooks/{made['id']}", {"ordered": "yes"})
    assert (refused.status_code, refused.json()["field"]) == (422, "ordered")
