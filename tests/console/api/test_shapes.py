"""Values become JSON without secrets."""

import json
from datetime import UTC, datetime

from unihooks import Attempt, Endpoint, EventSubscription, HeaderSet, PayloadMapping, Webhook
from unihooks.console.api.shapes import to_json

CANARY = "c4n4ry"


def a_webhook() -> Webhook:
    return Webhook(
        name="CRM sync",
        endpoints=["https://crm.example.com/in", Endpoint("https://b.example.com/", description="second")],
        subscriptions=[EventSubscription("whatsapp", "*")],
        mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
        headers=HeaderSet({"Authorization": f"Bearer {CANARY}"}),
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


def test_a_webhook_becomes_json_without_its_internal_fields():
    data = json.loads(json.dumps(to_json(a_webhook())))
    assert data["name"] == "CRM sync"
    assert data["subscriptions"] == [{"product": "whatsapp", "event_type": "*", "where": []}]
    assert data["mapping"] == {"remove": ["sender.name"], "rename": {"content.text": "body"}}
    assert data["created_at"] == "2026-01-02T03:04:05+00:00"
    names = {"id", "url", "description", "state", "disabled_reason", "disabled_at", "health"}
    assert data["endpoints"][1].keys() == names
    assert "interval" not in data


def test_no_secret_reaches_json():
    assert CANARY not in json.dumps(to_json(a_webhook()))
    assert to_json(a_webhook())["headers"] == {"Authorization": None}


def test_an_attempt_becomes_json_whatever_the_receiver_sent():
    attempt = Attempt(
        id="att_1",
        delivery_id="dlv_1",
        number=1,
        url="https://a.example.com/",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        duration_ms=1.5,
        status_code=200,
        error=None,
        request_headers=(("host", "a"),),
        response_headers=(),
        response_body=b"\xff\x00ok",
        warnings=(),
    )
    data = json.loads(json.dumps(to_json(attempt)))
    assert data["response_body"] == "\\xff\x00ok"
    assert data["started_at"] == "2026-01-01T00:00:00+00:00"
