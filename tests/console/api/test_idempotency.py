from __future__ import annotations

import asyncio
import json

import pytest

from unihooks.console import create_console
from unihooks.console.api.idempotency import digest_of
from unihooks.exceptions import StoreError

from .conftest import SECRET, Api, authenticate

OTHER = "whsec_" + "R" * 43 + "="
JSON = {"content-type": "application/json"}


def webhook_given(receiver):
    return {"name": "x", "endpoints": [receiver.url_for("/a")]}


async def test_a_repeated_request_is_done_once_and_gets_the_same_response_without_the_secret(api, dispatcher, receiver):
    first = await api.post("/webhooks", webhook_given(receiver), **{"idempotency-key": "one"})
    second = await api.post("/webhooks", webhook_given(receiver), **{"idempotency-key": "one"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == {name: value for name, value in first.json().items() if name != "secret"}
    assert len(dispatcher.webhooks.list(tenant="acme")) == 1


async def test_a_repeated_rotation_changes_the_secret_once(api, dispatcher, webhook):
    path = f"/webhooks/{webhook.id}/secret/rotate"
    first = await api.post(path, {}, **{"idempotency-key": "one"})
    second = await api.post(path, {}, **{"idempotency-key": "one"})
    assert first.json()["secret"] not in second.text
    secrets = [one.reveal() for one in dispatcher.webhooks.get(webhook.id, tenant="acme").secrets]
    assert secrets == [first.json()["secret"], SECRET]


async def test_a_repeated_replay_makes_one_delivery_and_counts_once(api, dispatcher, delivery):
    for _ in range(7):
        answer = await api.post(f"/deliveries/{delivery.id}/replay", {}, **{"idempotency-key": "one"})
        assert answer.status_code == 201
    assert len(dispatcher.log.deliveries(tenant="acme")) == 2


async def test_a_key_is_for_one_request(api, webhook, delivery):
    path = f"/webhooks/{webhook.id}"
    assert (await api.post(f"{path}/activate", {}, **{"idempotency-key": "one"})).status_code == 200
    for other in (f"{path}/deactivate", f"/deliveries/{delivery.id}/replay"):
        answer = await api.post(other, {}, **{"idempotency-key": "one"})
        assert (answer.status_code, answer.json()["field"]) == (422, "idempotency-key")


async def test_a_key_belongs_to_its_tenant(api, viewing, receiver):
    other = viewing("other", "write")
    body = webhook_given(receiver)
    first = await api.post("/webhooks", body, **{"idempotency-key": "one"})
    second = await other.post("/webhooks", body, **{"idempotency-key": "one"})
    assert (second.status_code, first.json()["id"] != second.json()["id"]) == (201, True)


async def test_a_stored_response_still_needs_the_permission(api, viewing, receiver):
    body = webhook_given(receiver)
    await api.post("/webhooks", body, **{"idempotency-key": "one"})
    answer = await viewing("acme", "read").post("/webhooks", body, **{"idempotency-key": "one"})
    assert answer.status_code == 403


async def test_a_refused_request_can_be_sent_again(api, dispatcher, receiver):
    bad = {"name": "x", "endpoints": ["http://example.com"]}
    assert (await api.post("/webhooks", bad, **{"idempotency-key": "one"})).status_code == 422
    good = await api.post("/webhooks", webhook_given(receiver), **{"idempotency-key": "one"})
    assert good.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9"])
async def test_a_key_that_cannot_be_used_is_refused(api, receiver, key):
    headers = {"idempotency-key": key.encode("latin-1")}
    answer = await api.ask("POST", "/webhooks", json=webhook_given(receiver), headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "idempotency-key")


# Between processes.


async def test_another_process_knows_the_response_too(api, dispatcher, receiver):
    other = Api(create_console(dispatcher, authenticate=authenticate))
    first = await api.post("/webhooks", webhook_given(receiver), **{"idempotency-key": "one"})
    second = await other.post("/webhooks", webhook_given(receiver), **{"idempotency-key": "one"})
    assert second.json()["id"] == first.json()["id"]


async def test_of_requests_that_come_together_one_is_done(api, dispatcher, receiver):
    body = webhook_given(receiver)
    answers = await asyncio.gather(*[api.post("/webhooks", body, **{"idempotency-key": "one"}) for _ in range(5)])
    assert {one.status_code for one in answers} <= {201, 409}
    assert len({one.json()["id"] for one in answers if one.status_code == 201}) == 1
    assert len(dispatcher.webhooks.list(tenant="acme")) == 1


async def test_a_request_that_is_under_way_is_not_begun_again(api, dispatcher, receiver):
    text = json.dumps(webhook_given(receiver))
    digest = digest_of("POST", "/api/webhooks", text.encode())
    assert dispatcher.settings.store.reserve_answer("acme", "one", digest) is None
    answer = await api.ask("POST", "/webhooks", content=text, headers={**JSON, "idempotency-key": "one"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:webhooks:problem:idempotency-key-in-use")
    assert answer.headers["retry-after"] == "1"
    assert not dispatcher.webhooks.list(tenant="acme")


async def test_a_stored_response_has_no_secret(api, dispatcher, webhook):
    path = f"/webhooks/{webhook.id}/secret/rotate"
    made = await api.post(path, {"secret": OTHER}, **{"idempotency-key": "one"})
    assert made.json()["secret"] == OTHER
    kept = dispatcher.settings.store.reserve_answer("acme", "one", b"")
    assert OTHER.encode() not in kept.content


async def test_a_large_response_is_not_stored(api, webhook, monkeypatch, receiver):
    monkeypatch.setattr("unihooks.console.http.records._MOST_BYTES", 10)
    body = {"product": "chat", "event_type": "message.received"}
    for _ in range(2):
        answer = await api.post(f"/webhooks/{webhook.id}/test", body, **{"idempotency-key": "one"})
        assert "idempotency-replayed" not in answer.headers
    assert len(receiver.requests) == 2


async def test_a_request_gets_its_response_even_if_it_cannot_be_stored(api, dispatcher, receiver, monkeypatch, caplog):
    def fail(*_):
        raise StoreError("no place is left")

    monkeypatch.setattr(dispatcher.settings.store, "keep_answer", fail)
    answer = await api.post("/webhooks", webhook_given(receiver), **{"idempotency-key": "one"})
    assert answer.status_code == 201
    assert "no place is left" in caplog.text
