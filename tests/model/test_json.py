"""Values go to JSON without secrets, and come from JSON with their checks."""

import json
from datetime import UTC, datetime

import pytest

from unihooks import Attempt, Endpoint, EventSubscription, HeaderSet, Page, PayloadMapping, Webhook, WebhookStatus
from unihooks._model.json import from_json, to_json
from unihooks.exceptions import InvalidHeader, InvalidMapping, InvalidWebhook

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


def test_a_webhook_survives_json_except_for_its_secrets():
    data = json.loads(json.dumps(to_json(a_webhook())))
    data["headers"] = {"Authorization": f"Bearer {CANARY}"}
    assert from_json(Webhook, data) == a_webhook()


def test_no_secret_reaches_json():
    assert CANARY not in json.dumps(to_json(a_webhook()))
    assert to_json(a_webhook())["headers"] == {"Authorization": "***"}


def test_an_endpoint_may_be_given_by_its_url_alone():
    webhook = from_json(Webhook, {"name": "a", "endpoints": ["https://a.example.com/"]})
    assert webhook.endpoints == (Endpoint("https://a.example.com/"),)
    assert webhook.status is WebhookStatus.INACTIVE


def test_a_page_becomes_its_items_and_cursors():
    assert to_json(Page([EventSubscription("a", "b")], next="n")) == {
        "items": [{"product": "a", "event_type": "b"}],
        "next": "n",
        "previous": None,
    }


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


@pytest.mark.parametrize(
    "data, error, name",
    [
        ({"name": "a"}, InvalidWebhook, "endpoints"),
        ({"name": "a", "endpoints": ["https://a.example.com/"], "colour": 1}, InvalidWebhook, "colour"),
        ({"name": "", "endpoints": ["https://a.example.com/"]}, InvalidWebhook, "name"),
        ({"name": "a", "endpoints": []}, InvalidWebhook, "endpoints"),
        ({"name": "a", "endpoints": ["https://a.example.com/"], "mapping": {"drop": []}}, InvalidWebhook, "mapping"),
        ({"name": "a", "endpoints": ["https://a.example.com/"], "mapping": {"remove": [".."]}}, InvalidMapping, ".."),
        ({"name": "a", "endpoints": ["https://a.example.com/"], "headers": {"Host": "x"}}, InvalidHeader, "Host"),
        ({"name": "a", "endpoints": ["https://a.example.com/"], "status": "on"}, InvalidWebhook, None),
        ("text", InvalidWebhook, None),
        (None, InvalidWebhook, None),
    ],
)
def test_wrong_json_names_the_field(data, error, name):
    with pytest.raises(error) as caught:
        from_json(Webhook, data)
    assert name is None or caught.value.name == name
