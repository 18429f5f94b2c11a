from __future__ import annotations

from datetime import UTC, datetime

import pytest

from unihooks import Endpoint, EndpointState, PayloadMapping, Webhook
from unihooks._base.times import to_us
from unihooks._contract.planning import Match, NewEvent, SubscribedEndpoint, Subscriber, plan_event, subscriber
from unihooks._message.rendering import Rendering
from unihooks._model.webhooks import ActiveInterval

MIDDLE = "5" * 26


def event(body=b'{"text": "hi"}', at=1_000, mark=MIDDLE):
    return NewEvent(f"evt_{mark}", "acme", "chat", "x", body, at)


def plan(new, subscribers, now=1_000):
    return plan_event(new, subscribers, now=now)


def one(webhook_id="wh_1", *, rendering=None, endpoints=("ep_1",), since=0, until=None, marks=("0" * 26, "")):
    interval = ActiveInterval(
        activated_at=since,
        activated_mark=f"mrk_{marks[0]}",
        deactivated_at=until,
        deactivated_mark=f"mrk_{marks[1]}" if marks[1] else "",
    )
    ends = tuple(end if isinstance(end, SubscribedEndpoint) else SubscribedEndpoint(end) for end in endpoints)
    return Subscriber(webhook_id, interval, rendering, ends)


def test_a_webhook_gets_an_event_once_for_all_its_endpoints():
    assert plan(event(), [one(endpoints=("ep_1", "ep_2"))]) == [Match("wh_1", ("ep_1", "ep_2"))]


def test_each_webhook_has_its_own_rendering_or_none():
    assert plan(event(), [one(rendering="ren_1"), one("wh_2", endpoints=("ep_2",))]) == [
        Match("wh_1", ("ep_1",), "ren_1"),
        Match("wh_2", ("ep_2",)),
    ]


def test_the_rendering_stays_where_some_endpoints_are_left_out():
    disabled = SubscribedEndpoint("ep_2", 900)
    assert plan(event(), [one(rendering="ren_1", endpoints=("ep_1", disabled))]) == [Match("wh_1", ("ep_1",), "ren_1")]


def test_planning_neither_decodes_nor_renders_a_payload(monkeypatch):
    monkeypatch.setattr("unihooks._message.payload.decode", None)
    monkeypatch.setattr(Rendering, "render", None)
    assert plan(event(b"no JSON"), [one(rendering="ren_1")])


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
def test_events_emitted_before_an_endpoint_was_disabled_are_planned(disabled_at, planned):
    webhook = one(endpoints=(SubscribedEndpoint("ep_1", disabled_at),))
    assert bool(plan(event(), [webhook])) is planned


def test_a_webhook_that_was_never_active_plans_nothing():
    assert subscriber(Webhook(name="n", endpoints=["https://example.com"])) is None


def test_a_webhook_without_a_mapping_has_no_rendering():
    interval = ActiveInterval(activated_at=1, activated_mark="mrk_1")
    assert subscriber(Webhook(name="n", endpoints=["https://example.com"], interval=interval)).rendering is None


def test_a_subscriber_has_all_that_planning_needs():
    off = datetime(2026, 1, 1, tzinfo=UTC)
    webhook = Webhook(
        name="n",
        id="wh_1",
        endpoints=[
            Endpoint("https://b.example.com", id="ep_2", state=EndpointState.DISABLED, disabled_at=off),
            Endpoint("https://a.example.com", id="ep_1"),
        ],
        mapping=PayloadMapping(rename={"a": "b"}),
        interval=ActiveInterval(activated_at=1, activated_mark="mrk_1"),
    )
    found = subscriber(webhook)
    assert found.rendering == Rendering.of(webhook.mapping).id
    assert found.endpoints == (SubscribedEndpoint("ep_1"), SubscribedEndpoint("ep_2", to_us(off)))
    assert found.interval == webhook.interval
