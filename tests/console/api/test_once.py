from __future__ import annotations

import pytest

from unihooks.console.api import _once
from unihooks.console.api._once import Once
from unihooks.console.api._problems import Problem

from .conftest import SECRET


def webhook_given(receiver):
    return {"name": "x", "endpoints": [receiver.url_for("/a")]}


async def test_a_repeated_request_is_done_once_and_answered_alike_but_for_the_secret(api, dispatcher, receiver):
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


async def test_a_remembered_answer_needs_the_permission_still(api, viewing, receiver):
    body = webhook_given(receiver)
    await api.post("/webhooks", body, **{"idempotency-key": "one"})
    answer = await viewing("acme", "read").post("/webhooks", body, **{"idempotency-key": "one"})
    assert answer.status_code == 403


async def test_what_was_refused_can_be_sent_again(api, dispatcher, receiver):
    bad = {"name": "x", "endpoints": ["http://example.com"]}
    assert (await api.post("/webhooks", bad, **{"idempotency-key": "one"})).status_code == 422
    good = await api.post("/webhooks", webhook_given(receiver), **{"idempotency-key": "one"})
    assert good.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9"])
async def test_a_key_that_cannot_be_used_is_refused(api, receiver, key):
    headers = {"idempotency-key": key.encode("latin-1")}
    answer = await api.ask("POST", "/webhooks", json=webhook_given(receiver), headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "idempotency-key")


# Alone.


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_request_that_is_under_way_is_not_begun_again():
    once = Once()
    assert once.begin(("acme", "one"), b"x") is None
    with pytest.raises(Problem) as caught:
        once.begin(("acme", "one"), b"x")
    assert caught.value.status == 409


def test_an_answer_is_remembered_for_a_day_without_its_secret():
    once = Once(clock := Clock())
    once.begin(("acme", "one"), b"x")
    once.end(("acme", "one"), 201, {"id": 1, "secret": SECRET}, 10)
    clock.now = 24 * 3600
    assert once.begin(("acme", "one"), b"x") == (201, {"id": 1})
    clock.now += 1
    assert once.begin(("acme", "one"), b"x") is None
    assert SECRET not in repr(once)


def test_a_tenant_with_many_keys_forgets_its_own_oldest(monkeypatch):
    monkeypatch.setattr(_once, "_MOST_PER_TENANT", 2)
    once = Once()
    for key in (("other", "a"), ("acme", "1"), ("acme", "2"), ("acme", "3")):
        once.begin(key, b"x")
        once.end(key, 200, {}, 1)
    assert once.begin(("acme", "1"), b"x") is None
    assert once.begin(("other", "a"), b"x") == (200, {})


def test_what_is_kept_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(_once, "_MOST_BYTES", 10)
    once = Once()
    for key in (("acme", "1"), ("acme", "2")):
        once.begin(key, b"x")
        once.end(key, 200, {}, 6)
    assert once.begin(("acme", "2"), b"x") == (200, {})
    assert once.begin(("acme", "1"), b"x") is None
