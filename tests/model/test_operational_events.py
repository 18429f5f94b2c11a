from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from attrs import evolve, fields
from jsonschema import Draft202012Validator

from unihooks import DeliveryPolicy, Endpoint, EventSubscription, PayloadMapping, Secret, Webhook
from unihooks._model.endpoints import disabled
from unihooks._model.operational_events import DELIVERY_FAILED, Place, created, deleted, revised
from unihooks._model.operational_product import OPERATIONAL

OTHER = [EventSubscription("shop", "*")]
NOW = datetime(2026, 11, 30, tzinfo=UTC)
WEBHOOK = Webhook(
    name="CRM",
    id="wh_1",
    tenant="acme",
    version=1,
    endpoints=[Endpoint("https://crm.example.com/in?key=s3cr3t", id="ep_1", description="live")],
    secrets=[Secret.generate()],
)


def test_the_types_are_those_that_the_documentation_lists():
    assert [one.name for one in OPERATIONAL] == [
        "endpoint.failing",
        "endpoint.recovered",
        "endpoint.disabled",
        "delivery.failed",
        "webhook.created",
        "webhook.updated",
        "webhook.activated",
        "webhook.deactivated",
        "webhook.deleted",
        "secret.rotated",
    ]


@pytest.mark.parametrize("event", list(OPERATIONAL), ids=lambda event: event.name)
def test_each_type_has_a_title_a_schema_and_an_example_that_matches_it(event):
    assert event.title != event.name
    assert event.description
    Draft202012Validator.check_schema(event.schema)
    Draft202012Validator(event.schema).validate(event.example)
    assert set(event.schema["required"]) == set(event.example)


def told():
    fresh = Secret.generate()
    off = WEBHOOK.with_endpoint(disabled(WEBHOOK.endpoints[0], "it moves", NOW))
    failed = {"id": "dlv_1", "event_id": "evt_1", "product": "shop", "event_type": "paid", "attempts": 3}
    return [
        created(WEBHOOK),
        deleted(WEBHOOK),
        *revised(WEBHOOK, evolve(WEBHOOK, status="active")),
        *revised(evolve(WEBHOOK, status="active"), WEBHOOK),
        *revised(WEBHOOK, evolve(WEBHOOK, version=2, name="Audit")),
        *revised(WEBHOOK, evolve(WEBHOOK, secrets=[fresh, Secret(WEBHOOK.secrets[0].reveal(), expires_at=NOW)])),
        *revised(WEBHOOK, off),
        Place("acme", "wh_1", "CRM", WEBHOOK.endpoints[0]).happened(DELIVERY_FAILED, "no", None, delivery=failed),
        Place("acme", "wh_1", "CRM", WEBHOOK.endpoints[0]).happened("endpoint.failing", "no", 503),
        Place("acme", "wh_1", "CRM", WEBHOOK.endpoints[0]).happened("endpoint.recovered", None, 200),
    ]


def test_an_operational_event_matches_its_schema_in_the_catalog():
    assert sorted(one.event_type for one in told()) == sorted(one.name for one in OPERATIONAL)
    for one in told():
        schema = OPERATIONAL[one.event_type].schema
        payload = json.loads(one.body(NOW))
        Draft202012Validator(schema).validate(payload)
        assert set(payload) == set(schema["required"])
        assert {name: set(part) for name, part in payload.items() if isinstance(part, dict)} == {
            name: set(part["required"]) for name, part in schema["properties"].items() if "required" in part
        }
        assert b"s3cr3t" not in one.body(NOW)


def test_one_change_may_tell_of_several_things():
    off = WEBHOOK.with_endpoint(disabled(WEBHOOK.endpoints[0], "it moves", NOW))
    both = revised(WEBHOOK, evolve(off, name="Audit"))
    assert [one.event_type for one in both] == ["endpoint.disabled", "webhook.updated"]
    assert both[1].facts["changed"] == ["name"]


def test_a_change_of_any_setting_is_reported_by_its_name():
    settings = {one.name for one in fields(Webhook)} - {"id", "tenant", "version", "status", "secrets", "interval"}
    settings -= {"created_at", "updated_at"}
    known = {
        "name": "Audit",
        "description": "text",
        "endpoints": ["https://other.example.com"],
        "subscriptions": [],
        "headers": {"X-Key": "v"},
        "mapping": PayloadMapping(remove=["a"]),
        "policy": DeliveryPolicy(rate=1),
        "ordered": True,
        "metadata": {"plan": "gold"},
    }
    assert set(known) == settings
    for name, value in known.items():
        before = evolve(WEBHOOK, subscriptions=OTHER) if name == "subscriptions" else WEBHOOK
        [one] = revised(before, evolve(before, **{name: value}))
        assert one.facts["changed"] == [name]


def test_an_origin_has_neither_a_user_nor_a_path():
    place = Place("acme", "wh_1", "CRM", Endpoint("https://user:s3cr3t@crm.example.com:8443/in?key=s3cr3t", id="ep_1"))
    told = place.happened("endpoint.failing", None, None)
    assert told.facts["endpoint"]["origin"] == "https://crm.example.com:8443"
