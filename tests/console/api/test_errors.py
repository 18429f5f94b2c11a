"""All errors of a request are reported at once, each with its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unihooks.console.api.faults import MOST_FAULTS, place_of, pointer

from .conftest import CANARY

WRONG = {
    "name": "",
    "colour": "red",
    "endpoints": [
        "http://example.com",
        "https://crm.example.com/a",
        "https://crm.example.com/a",
        {"url": "ftp://x", "y": 1},
    ],
    "subscriptions": [
        {"product": "chat", "event_type": "nope"},
        {
            "product": "chat",
            "event_type": "*",
            "where": [{"path": "a..b", "op": "eq", "value": 1}, {"path": "a", "op": "?"}],
        },
        {"product": "chat"},
    ],
    "mapping": {"remove": ["ok", "a..b"], "rename": {"x.y": "", "b/c": 7}},
    "headers": {"Host": CANARY, "X-Good": "fine", "X-Bad": f"{CANARY}\n"},
    "policy": {"rate": 0, "in_flight": 0, "deadline": 100},
}
POINTERS = {
    "/name",
    "/colour",
    "/endpoints/0",
    "/endpoints/2",
    "/endpoints/3/url",
    "/endpoints/3/y",
    "/subscriptions/0/event_type",
    "/subscriptions/1/where/0/path",
    "/subscriptions/1/where/1/op",
    "/subscriptions/2/event_type",
    "/mapping/rename/b~1c",
    "/headers/Host",
    "/headers/X-Bad",
    "/policy/rate",
    "/policy/in_flight",
    "/policy/deadline",
}


def at(body, path):
    for token in path.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        body = body[int(name) if isinstance(body, list) else name]
    return body


async def test_all_errors_of_a_body_come_at_once_each_with_a_json_pointer(api, webhook, dispatcher):
    for answer in (await api.post("/webhooks", WRONG), await api.patch(f"/webhooks/{webhook.id}", WRONG)):
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        found = answer.json()["errors"]
        assert {one["pointer"] for one in found} == POINTERS
        assert all(one["detail"] for one in found)
        assert f"and {len(found) - 1} more" in answer.json()["detail"]
        assert CANARY not in answer.text
    assert list(dispatcher.webhooks.list(tenant="acme")) == [webhook]


async def test_the_library_is_named_in_no_error(api):
    answer = await api.post("/webhooks", {**WRONG, "headers": {"Host": "x", "Webhook-Id": "1", "Bad Name": "x"}})
    assert "unihooks" not in answer.text


async def test_a_pointer_leads_to_the_error(api):
    found = (await api.post("/webhooks", WRONG)).json()["errors"]
    missing = {"/subscriptions/2/event_type"}
    assert all(at(WRONG, one["pointer"]) is not None for one in found if one["pointer"] not in missing)


async def test_one_error_is_the_problem_and_the_only_entry(api):
    answer = (await api.post("/webhooks", {"name": "x", "endpoints": ["http://example.com"]})).json()
    assert answer["type"] == "urn:webhooks:problem:target-refused"
    assert answer["detail"] == "the URL must start with https://"
    assert answer["errors"] == [{"detail": "the URL must start with https://", "pointer": "/endpoints/0"}]


async def test_a_mapping_is_looked_at_rule_by_rule_and_as_a_whole(api, receiver):
    good = {"name": "x", "endpoints": [receiver.url_for("/a")]}
    two = (await api.post("/webhooks", good | {"mapping": {"remove": ["a..b"], "rename": {"c": ""}}})).json()
    assert {one["pointer"] for one in two["errors"]} == {"/mapping/remove/0", "/mapping/rename/c"}
    clash = (await api.post("/webhooks", good | {"mapping": {"rename": {"a.b": "x", "a.c": "x"}}})).json()
    assert [one["pointer"] for one in clash["errors"]] == ["/mapping"]
    many = (await api.post("/webhooks", good | {"mapping": {"remove": [f"a{at}" for at in range(101)]}})).json()
    assert [one["pointer"] for one in many["errors"]] == ["/mapping"]


async def test_many_errors_end_somewhere(api):
    answer = await api.post("/webhooks", {"name": "x", "endpoints": [1] * 10_000})
    assert len(answer.json()["errors"]) == MOST_FAULTS
    assert len(answer.content) < 20_000


async def test_more_errors_than_are_listed_are_no_failure(api):
    subscriptions = [{"product": "chat", "event_type": "*", "where": [None]}]
    body = {"name": "CRM", "endpoints": [1] * (MOST_FAULTS + 1), "subscriptions": subscriptions}
    answer = await api.post("/webhooks", body)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == MOST_FAULTS


@pytest.mark.parametrize(
    "path, body, pointers",
    [
        ("/jobs/recover", {"since": "yesterday", "until": 7}, {"/webhook_id", "/since", "/until"}),
        ("/jobs/replay", {"filter": {"state": "lost", "since": "now"}}, {"/filter/state", "/filter/since"}),
        ("/jobs/replay", {"filter": {"webhook_id": "wh_unknown"}}, {"/filter/webhook_id"}),
        ("/deliveries/replay", {"filter": {"held": 1}, "most": 0}, {"/filter/held", "/most"}),
    ],
)
async def test_other_bodies_tell_all_too(api, path, body, pointers):
    answer = await api.post(path, body)
    assert {one["pointer"] for one in answer.json()["errors"]} == pointers


async def test_an_error_found_while_a_request_is_carried_out_has_its_place(api, webhook):
    answer = await api.patch(f"/webhooks/{webhook.id}", {"version": webhook.version + 1, "name": "x"})
    assert answer.json()["errors"][0]["pointer"] == "/version"
    kept = await api.patch(f"/webhooks/{webhook.id}", {"headers": {"X-Other": None}})
    assert kept.json()["errors"][0]["pointer"] == "/headers/X-Other"


async def test_all_errors_of_a_query_come_at_once(api):
    answer = (await api.get("/deliveries?state=lost&limit=0&colour=red&since=now&held=true")).json()
    assert [one["parameter"] for one in answer["errors"]] == ["state", "limit", "colour", "since"]
    assert answer["field"] == "state"


@pytest.mark.parametrize(
    "method, path, allow, words",
    [
        ("PUT", "/webhooks/x", "GET, HEAD, PATCH, DELETE", "PATCH to change a webhook"),
        ("POST", "/webhooks/x", "GET, HEAD, PATCH, DELETE", "PATCH to change a webhook"),
        ("PATCH", "/webhooks", "GET, HEAD, POST", "POST to add a webhook"),
        ("GET", "/webhooks/x/activate", "POST", "POST to activate a webhook"),
        ("DELETE", "/deliveries", "GET, HEAD", "GET to list deliveries"),
    ],
)
async def test_the_response_to_a_wrong_method_names_the_right_one(api, method, path, allow, words):
    answer = await api.ask(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert words in answer.json()["detail"]
    assert f"does not take {method}" in answer.json()["detail"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=4) | st.integers(0, 9), min_size=1, max_size=4))
def test_a_pointer_can_be_read_back(place):
    read = [one.replace("~1", "/").replace("~0", "~") for one in pointer(tuple(place)).split("/")[1:]]
    assert read == [str(one) for one in place]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=12), JSON)
def test_any_name_is_found_or_is_nowhere(name, body):
    found = place_of(name, body)
    if found is not None:
        for token in found:
            body = body[token]
        json.dumps(body)
