"""Previews accept what can be emitted, explain what is wrong with anything else, and run off the event loop."""

from __future__ import annotations

import threading

import pytest

from unihooks import PayloadMapping
from unihooks.console.api import resource, tests, webhooks
from unihooks.exceptions import LimitReached

JSON = {"content-type": "application/json"}


def previews(webhook) -> dict[str, str]:
    return {
        "/mapping/preview": '{"mapping":{"remove":["a"]},"payload":%s}',
        f"/webhooks/{webhook.id}/preview": '{"payload":%s}',
    }


@pytest.mark.parametrize(
    "payload, field",
    [
        ("1e400", "payload"),
        ('{"a":[-1e400]}', "payload.a[0]"),
        ('"\\ud800"', "payload"),
        ("[" * 70 + "]" * 70, "payload" + "[0]" * 65),
        ('["' + "x" * 256 * 1024 + '"]', "payload"),
        ("[" + ",".join(["{}"] * 150_000) + "]", "payload"),
    ],
    ids=["infinity", "inside", "surrogate", "deep", "large", "many"],
)
async def test_payload_that_cannot_be_emitted_is_refused_before_it_is_mapped(api, webhook, payload, field, monkeypatch):
    monkeypatch.setattr(PayloadMapping, "apply_unchecked", lambda *_: pytest.fail("it was mapped"))
    for path, body in previews(webhook).items():
        answer = await api.ask("POST", path, content=body % payload, headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:webhooks:problem:invalid-payload")
        assert answer.json()["field"] == field


async def test_test_event_with_such_a_payload_is_refused_too(api, webhook):
    body = '{"product":"chat","event_type":"message.sent","payload":[1e400]}'
    answer = await api.ask("POST", f"/webhooks/{webhook.id}/test", content=body, headers=JSON)
    assert answer.json()["field"] == "payload[0]"


async def test_largest_payload_is_previewed_even_with_all_its_characters_escaped(api, webhook):
    payload = '"' + "\\u044f" * (128 * 1024 - 1) + '"'
    for path, body in previews(webhook).items():
        assert (await api.ask("POST", path, content=body % payload, headers=JSON)).status_code == 200


def note(monkeypatch, module, name: str, threads: list[str]) -> None:
    function = getattr(module, name)

    def noted(*args):
        threads.append(threading.current_thread().name)
        return function(*args)

    monkeypatch.setattr(module, name, noted)


async def test_bodies_are_read_mapped_and_rendered_off_the_event_loop(api, webhook, monkeypatch):
    seen: list[str] = []
    note(monkeypatch, resource, "parse", seen)
    note(monkeypatch, tests, "mapping_of", seen)
    note(monkeypatch, resource, "answer", seen)
    await api.post("/mapping/preview", {"mapping": {}, "payload": 1})
    assert len(seen) == 3
    assert all(name.startswith("unihooks-console") for name in seen)


async def test_endpoints_are_counted_before_any_of_them_is_looked_at(api, webhook, dispatcher, monkeypatch):
    monkeypatch.setattr(webhooks, "_endpoint", lambda _: pytest.fail("one was built"))
    most = dispatcher.webhooks.most_endpoints
    given = {"name": "x", "endpoints": [f"https://e{at}.com/" for at in range(most + 1)]}
    for answer in (await api.post("/webhooks", given), await api.patch(f"/webhooks/{webhook.id}", given)):
        assert (answer.status_code, answer.json()["field"]) == (422, "endpoints")
        assert f"at most {most} endpoints" in answer.json()["detail"]


async def test_test_beyond_the_limit_is_to_be_sent_later(api, webhook, dispatcher, monkeypatch):
    async def refuse(*_args, **_rest):
        raise LimitReached("5 tests of this tenant are under way", name="tests_in_flight")

    monkeypatch.setattr(type(dispatcher.webhooks), "asend_test", refuse)
    answer = await api.post(f"/webhooks/{webhook.id}/test", {"product": "chat", "event_type": "message.sent"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert answer.json()["type"] == "urn:webhooks:problem:too-many-requests"
