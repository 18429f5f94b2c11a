from __future__ import annotations

import httpx
import pytest

from unihooks.console import Permission


async def test_deliveries_their_attempts_and_bodies_are_read(api, delivery):
    listed = (await api.get("/deliveries", state="delivered", since="2020-01-01T00:00:00Z")).json()["items"]
    one = (await api.get(f"/deliveries/{delivery.id}")).json()
    assert listed == [one]
    assert (one["state"], one["event_type"], "tenant" in one) == ("delivered", "message.received", False)
    [attempt] = (await api.get(f"/deliveries/{delivery.id}/attempts")).json()["items"]
    assert (attempt["status_code"], attempt["number"]) == (204, 1)
    assert (await api.get(f"/deliveries/{delivery.id}/body")).json() == {"body": '{"text":"hi"}'}
    event = (await api.get(f"/events/{delivery.event_id}")).json()
    assert event["payload"] == {"text": "hi"}
    assert (await api.get("/events", product="chat")).json()["items"] == [event]
    assert (await api.get("/deliveries", until="2020-01-01T00:00:00+01:00")).json()["items"] == []


async def test_deliveries_are_paged_both_ways(api, dispatcher, webhook):
    for number in range(3):
        dispatcher.emit("chat", "message.received", number, tenant="acme")
    dispatcher.drain()
    first = (await api.get("/deliveries", limit=2)).json()
    second = (await api.get("/deliveries", limit=2, cursor=first["next"])).json()
    assert (len(first["items"]), len(second["items"]), second["next"]) == (2, 1, None)
    assert (await api.get("/deliveries", limit=2, cursor=second["previous"])).json()["items"] == first["items"]


async def test_one_delivery_is_replayed(api, dispatcher, delivery, receiver):
    answer = await api.post(f"/deliveries/{delivery.id}/replay")
    assert (answer.status_code, answer.json()["replay_of"]) == (201, delivery.id)
    dispatcher.drain()
    assert len(receiver.requests) == 2


async def test_deliveries_that_match_a_filter_are_counted_then_replayed(api, dispatcher, webhook):
    for number in range(3):
        dispatcher.emit("chat", "message.received", number, tenant="acme")
    dispatcher.emit("chat", "message.sent", 4, tenant="acme")
    dispatcher.drain()
    narrow = {"event_type": "message.received", "state": "delivered"}
    assert (await api.get("/deliveries/count", **narrow)).json()["count"] == 3
    body = {"filter": narrow | {"since": "2020-01-01T00:00:00Z"}}
    assert (await api.post("/deliveries/replay", body)).json() == {"replayed": 3, "more": False, "retry_after": 0}
    assert len(dispatcher.log.deliveries(tenant="acme", state="pending")) == 3


async def test_missed_events_of_a_webhook_are_recovered(api, dispatcher, webhook):
    dispatcher.webhooks.deactivate(webhook.id, tenant="acme")
    dispatcher.emit("chat", "message.received", {"text": "missed"}, tenant="acme")
    dispatcher.drain()
    where, since = f"/webhooks/{webhook.id}/recover", {"since": "2020-01-01T00:00:00Z"}
    refused = await api.post(where, {"since": "yesterday"})
    assert (refused.status_code, refused.json()["field"]) == (422, "since")
    assert (await api.post(where, since)).json() == {"recovered": 1, "more": False, "retry_after": 0}
    assert (await api.post(where, since)).json() == {"recovered": 0, "more": False, "retry_after": 0}


async def test_bulk_work_is_charged_by_its_deliveries_and_continues_when_it_is_repeated(api, dispatcher, webhook):
    dispatcher.webhooks.deactivate(webhook.id, tenant="acme")
    dispatcher.emit_many([("chat", "message.received", number) for number in range(9)], tenant="acme")
    dispatcher.drain()
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    where, since = f"/webhooks/{webhook.id}/recover", {"since": "2020-01-01T00:00:00Z"}
    assert (await api.post(where, since | {"most": 2})).json() == {"recovered": 2, "more": True, "retry_after": 0}
    cut = (await api.post(where, since)).json()
    assert (cut["recovered"], cut["more"]) == (3, True)
    assert 1 <= cut["retry_after"] <= 12
    refused = await api.post(where, since)
    assert (refused.status_code, int(refused.headers["retry-after"])) == (429, cut["retry_after"])
    replayed = await api.post("/deliveries/replay", {"filter": {}})
    assert replayed.status_code == 429
    assert len(dispatcher.log.deliveries(tenant="acme", state="pending")) == 5


async def test_a_pending_delivery_is_cancelled_and_no_other(api, dispatcher, delivery):
    replay = (await api.post(f"/deliveries/{delivery.id}/replay")).json()
    cancelled = await api.post(f"/deliveries/{replay['id']}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    again = await api.post(f"/deliveries/{replay['id']}/cancel")
    assert (again.status_code, again.json()["type"]) == (409, "urn:webhooks:problem:conflict")


async def test_a_test_event_goes_to_each_endpoint_or_to_one(api, webhook, receiver):
    body = {"product": "chat", "event_type": "message.received"}
    [attempt] = (await api.post(f"/webhooks/{webhook.id}/test", body)).json()["attempts"]
    assert (attempt["status_code"], receiver.requests[0].json()) == (204, {"text": "hi"})
    chosen = body | {"endpoint_id": webhook.endpoints[0].id, "payload": {"n": 1}}
    assert (await api.post(f"/webhooks/{webhook.id}/test", chosen)).status_code == 200
    assert receiver.requests[1].json() == {"n": 1}
    unknown = await api.post(f"/webhooks/{webhook.id}/test", body | {"endpoint_id": "ep_nobodys"})
    assert unknown.status_code == 404
    without = await api.post(f"/webhooks/{webhook.id}/test", {"product": "chat", "event_type": "message.sent"})
    assert (without.status_code, without.json()["field"]) == (422, "payload")


async def test_only_tenants_that_ask_too_often_wait(api, viewing, delivery, receiver):
    body = {"product": "chat", "event_type": "message.received"}
    for path, wanted in ((f"/webhooks/{delivery.webhook_id}/test", body), (f"/deliveries/{delivery.id}/replay", {})):
        answers = [await api.post(path, wanted) for _ in range(7)]
        assert [one.is_success for one in answers] == [True] * 5 + [False] * 2
        assert (answers[-1].status_code, answers[-1].json()["type"]) == (429, "urn:webhooks:problem:too-many-requests")
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        other = await viewing("other", *Permission).post(path, wanted)
        assert other.status_code == 404


async def test_an_operator_sees_all_tenants(viewing, delivery, receiver, dispatcher):
    receiver.always(500)
    for _ in range(2):
        dispatcher.emit("chat", "message.received", {}, tenant="acme")
    dispatcher.drain()
    operator = viewing("staff", Permission.OPERATE)
    found = (await operator.get("/overview")).json()
    assert found["stats"]["failing_endpoints"] == 1
    assert (found["failing"][0]["tenant"], found["failing"][0]["webhook_name"]) == ("acme", "CRM")
    assert found["slowest"][0]["webhook_id"] == delivery.webhook_id
    assert (await operator.get("/tenants", limit=1)).json()["items"] == [{"tenant": "acme", "webhooks": 1, "due": 0}]


async def test_deliveries_are_found_by_search_and_status_code(api, delivery, receiver, dispatcher):
    receiver.always(503)
    dispatcher.emit("chat", "message.received", {}, tenant="acme")
    dispatcher.drain()

    async def found(**query):
        ids = [one["id"] for one in (await api.get("/deliveries", **query)).json()["items"]]
        assert (await api.get("/deliveries/count", **query)).json()["count"] == len(ids)
        return ids

    refused, accepted = await found()
    assert accepted == delivery.id
    assert await found(search=delivery.event_id) == [accepted]
    assert await found(search=receiver.url.removeprefix("https://")) == [refused, accepted]
    assert await found(search="nobody.example") == []
    assert await found(status_code="503") == await found(status_code="5xx") == [refused]
    assert await found(status_code="none") == []
    assert await found(status_code="2xx", search=delivery.webhook_id) == [accepted]


async def test_usage_is_a_tenants_own_and_an_operator_sees_that_of_all(api, viewing, delivery):
    own = (await api.get("/usage")).json()
    assert (own["webhooks"], own["events_24h"], own["deliveries_24h"], own["pending"]) == (1, 1, 1, 0)
    assert own["stored_bytes"] > 0
    operator = viewing("staff", Permission.OPERATE, Permission.READ)
    assert (await operator.get("/tenants/usage", tenant="acme")).json() == own
    assert (await operator.get("/usage")).json()["events_24h"] == 0
    assert (await api.get("/tenants/usage", tenant="other")).status_code == 403


@pytest.mark.parametrize(
    "path, field",
    [
        ("/deliveries?state=lost", "state"),
        ("/deliveries?status_code=lost", "status_code"),
        ("/deliveries?status_code=9", "status_code"),
        ("/deliveries?search=%00", "search"),
        ("/deliveries?search=", "search"),
        ("/tenants/usage?tenant=", "tenant"),
        ("/deliveries?limit=0", "limit"),
        ("/deliveries?limit=251", "limit"),
        ("/deliveries?limit=many", "limit"),
        ("/deliveries?cursor=none", "cursor"),
        ("/deliveries?since=2026-01-01T00:00:00", "since"),
        ("/deliveries?since=yesterday", "since"),
        ("/deliveries?held=maybe", "held"),
        ("/deliveries?colour=red", "colour"),
        ("/deliveries?limit=1&limit=2", "limit"),
        ("/webhooks?sort=age", "sort"),
        ("/webhooks?search=%00", "search"),
        ("/tenants?limit=0", "limit"),
    ],
)
async def test_a_query_that_is_not_offered_is_refused(viewing, path, field):
    answer = await viewing("acme", *Permission).get(path)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_the_document_names_the_place_where_the_api_is_mounted(dispatcher):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from unihooks.console import create_console

    from .conftest import authenticate

    app = Starlette(routes=[Mount("/hooks", create_console(dispatcher, authenticate=authenticate))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://x.example") as client:
        answer = await client.get("/hooks/api/openapi.json", headers={"x-tenant": "acme"})
    assert answer.json()["servers"] == [{"url": "/hooks/api"}]


async def test_events_and_deliveries_are_found_by_their_subject(api, dispatcher, webhook):
    event = dispatcher.emit("chat", "message.received", 1, tenant="acme", subject="chat/7")
    dispatcher.emit("chat", "message.received", 2, tenant="acme", subject="chat/8")
    dispatcher.drain()
    [found] = (await api.get("/events", subject="chat/7")).json()["items"]
    assert (found["id"], found["subject"]) == (event.id, "chat/7")
    [delivery] = (await api.get("/deliveries", subject="chat/7")).json()["items"]
    assert (delivery["event_id"], delivery["subject"]) == (event.id, "chat/7")
    assert (await api.get("/deliveries/count", subject="chat/7")).json()["count"] == 1
    body = {"filter": {"subject": "chat/7", "since": "2020-01-01T00:00:00Z"}}
    assert (await api.post("/deliveries/replay", body)).json()["replayed"] == 1
