from __future__ import annotations

from datetime import UTC, datetime

import pytest

from unihooks import Endpoint, EndpointState, PayloadMapping, Webhook
from unihooks._base.times import to_us
from unihooks._contract.planning import (
    NewEvent,
    PlannedBody,
    SubscribedEndpoint,
    Subscriber,
    plan_event,
    recover_event,
    subscriber,
)
from unihooks._model.webhooks import ActiveInterval

MIDDLE = "5" * 26


def event(body=b'{"text": "hi"}', at=1_000, mark=MIDDLE):
    return NewEvent(f"evt_{mark}", "acme", "chat", "x", body, at)


def plan(new, subscribers, now=1_000):
    return plan_event(new, subscribers, now=now)


def one(webhook_id="wh_1", *, mapping=None, endpoints=("ep_1",), since=0, until=None, marks=("0" * 26, "")):
    interval = ActiveInterval(
        activated_at=since,
        activated_mark=f"mrk_{marks[0]}",
        deactivated_at=until,
        deactivated_mark=f"mrk_{marks[1]}" if marks[1] else "",
    )
    ends = tuple(end if isinstance(end, SubscribedEndpoint) else SubscribedEndpoint(end) for end in endpoints)
    return Subscriber(webhook_id, interval, mapping or PayloadMapping(), ends)


def test_without_a_mapping_the_events_own_bytes_are_sent():
    assert plan(event(), [one(endpoints=("ep_1", "ep_2"))]) == [PlannedBody("wh_1", ("ep_1", "ep_2"))]


def test_a_mapping_renders_once_per_webhook():
    mapping = PayloadMapping(rename={"text": "body"})
    (planned,) = plan(event(), [one(mapping=mapping, endpoints=("ep_1", "ep_2"))])
    assert (planned.body, planned.endpoint_ids, planned.failure) == (b'{"body":"hi"}', ("ep_1", "ep_2"), None)


def test_a_payload_is_not_decoded_for_nobody(monkeypatch):
    monkeypatch.setattr("unihooks._message.payload.decode", None)
    mapping = PayloadMapping(remove=["text"])
    assert plan(event(), [one(mapping=mapping, until=500), one("wh_2")]) == [PlannedBody("wh_2", ("ep_1",))]


def test_a_mapping_that_fails_plans_a_failure_and_no_body():
    too_long = PayloadMapping(rename={"items[*].a": "x" * 100})
    body = b'{"items":[' + b",".join([b'{"a":1}'] * 10_000) + b"]}"
    failed, fine = plan(event(body), [one(mapping=too_long), one("wh_2")])
    assert failed.body is None
    assert failed.failure.startswith("the payload mapping failed: ")
    assert fine == PlannedBody("wh_2", ("ep_1",))


@pytest.mark.parametrize(
    "at, planned",
    [(999, False), (1_000, True), (1_500, True), (1_999, True), (2_000, False), (3_000, False)],
)
def test_an_event_belongs_to_the_interval_in_which_it_was_made(at, planned):
    webhook = one(since=1_000, until=2_000, marks=("0" * 26, "1" * 26))
    assert bool(plan(event(at=at), [webhook])) is planned


def test_within_one_microsecond_the_order_of_making_decides():
    before, after = "4" * 26, "6" * 26
    assert plan(event(), [one(since=1_000, marks=(before, ""))])
    assert not plan(event(), [one(since=1_000, marks=(after, ""))])
    assert plan(event(), [one(since=0, until=1_000, marks=(before, after))])
    assert not plan(event(), [one(since=0, until=1_000, marks=(before, before))])


@pytest.mark.parametrize("ahead, planned", [(100_000, False), (100_001, True)])
def test_an_activation_that_lies_ahead_has_happened_before_the_clock_was_set_back(ahead, planned):
    assert bool(plan(event(), [one(since=1_000 + ahead)])) is planned


@pytest.mark.parametrize("disabled_at, planned", [(None, True), (999, False), (1_000, False), (1_001, True)])
def test_what_was_emitted_before_an_endpoint_was_disabled_is_planned(disabled_at, planned):
    webhook = one(endpoints=(SubscribedEndpoint("ep_1", disabled_at),))
    assert bool(plan(event(), [webhook])) is planned


def test_recovering_asks_neither_interval_nor_state():
    webhook = one(since=5_000, mapping=PayloadMapping(rename={"text": "body"}))
    assert recover_event(event(), webhook, ["ep_9"]) == PlannedBody("wh_1", ("ep_9",), b'{"body":"hi"}')
    assert recover_event(event(), one(), ["ep_9"]) == PlannedBody("wh_1", ("ep_9",))


def test_a_webhook_that_was_never_active_plans_nothing():
    assert subscriber(Webhook(name="n", endpoints=["https://example.com"])) is None


def test_a_subscriber_holds_what_planning_needs():
    off = datetime(2026, 1, 1, tzinfo=UTC)
    webhook = Webhook(
        name="n",
        id="wh_1",
        endpoints=[
            Endpoint("https://b.example.com", id="ep_2", state=EndpointState.DISABLED, disabled_at=off),
            Endpoint("https://a.example.com", id="ep_1"),
        ],
        interval=ActiveInterval(activated_at=1, activated_mark="mrk_1"),
    )
    found = subscriber(webhook)
    assert found.endpoints == (SubscribedEndpoint("ep_1"), SubscribedEndpoint("ep_2", to_us(off)))
    assert found.interval == webhook.interval
