from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime

import attrs
import pytest

from unihooks import (
    Endpoint,
    EndpointState,
    EventSubscription,
    HeaderSet,
    PayloadMapping,
    Secret,
    Webhook,
    WebhookStatus,
)
from unihooks._model.webhooks import ActiveInterval
from unihooks.exceptions import InvalidHeader, InvalidWebhook, UnihooksError, UnknownEventType

URL = "https://example.com/in"
SECRET = "whsec_" + "Q" * 43 + "="


def webhook(**fields):
    return Webhook(**{"name": "CRM sync", "endpoints": [URL], **fields})


def test_a_webhook_needs_a_name_and_an_endpoint():
    made = webhook()
    assert made.endpoints == (Endpoint(URL),)
    assert (made.status, made.active, made.description, made.subscriptions) == (WebhookStatus.INACTIVE, False, "", ())
    assert (made.mapping, made.headers, made.secrets) == (PayloadMapping(), HeaderSet(), ())


@pytest.mark.parametrize("kind", [Webhook, Endpoint, EventSubscription])
def test_values_are_frozen(kind):
    assert kind.__setattr__ is not object.__setattr__
    name = attrs.fields(kind)[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(object.__new__(kind), name, None)


@pytest.mark.parametrize(
    "name, value",
    [
        ("name", ""),
        ("name", "  "),
        ("name", "n" * 201),
        ("name", "a\0"),
        ("name", "\ud800"),
        ("name", None),
        ("name", 5),
        ("description", "d" * 2001),
        ("description", None),
        ("endpoints", []),
        ("endpoints", URL),
        ("endpoints", URL.encode()),
        ("endpoints", None),
        ("endpoints", [URL, URL]),
        ("subscriptions", "chat"),
        ("subscriptions", None),
        ("subscriptions", ["chat"]),
        ("subscriptions", [("chat", "x")]),
        ("mapping", None),
        ("mapping", {"remove": ["x"]}),
        ("status", "on"),
        ("status", None),
        ("secrets", 5),
        ("secrets", ["short"]),
        ("secrets", ["whsec_" + "Y2FuYXJ5" * 5 + "="]),
        ("secrets", [5]),
    ],
)
def test_a_webhook_that_is_not_well_formed_is_refused_by_field(name, value):
    with pytest.raises(InvalidWebhook) as refused:
        webhook(**{name: value})
    assert refused.value.name in (name, "secret")
    assert isinstance(refused.value, ValueError)
    assert isinstance(refused.value, UnihooksError)


@pytest.mark.parametrize("url", ["", "  ", None, 5])
def test_an_endpoint_needs_a_url(url):
    with pytest.raises(InvalidWebhook) as refused:
        webhook(endpoints=[url])
    assert refused.value.name == "url"


def test_an_endpoint_knows_its_state():
    assert Endpoint(URL).enabled
    assert not Endpoint(URL, state="disabled").enabled
    for bad in ({"state": "off"}, {"description": 5}):
        with pytest.raises(InvalidWebhook) as refused:
            Endpoint(URL, **bad)
        assert refused.value.name in bad


def test_headers_may_be_given_as_a_mapping():
    assert webhook(headers={"X-Key": "v"}).headers == HeaderSet({"X-Key": "v"})
    with pytest.raises(InvalidHeader):
        webhook(headers={"Content-Length": "1"})


def test_one_secret_may_stand_alone():
    assert webhook(secrets=SECRET).secrets == webhook(secrets=[Secret(SECRET)]).secrets == (Secret(SECRET),)


def test_a_public_key_cannot_sign():
    with pytest.raises(InvalidWebhook):
        webhook(secrets=["whpk_" + "Q" * 43 + "="])


def test_equal_subscriptions_count_once():
    both = [EventSubscription("chat", "x"), EventSubscription("chat", "x"), EventSubscription("chat", "*")]
    assert webhook(subscriptions=both).subscriptions == (both[0], both[2])


@pytest.mark.parametrize("name", ["", "a b", "a" * 129, "ä", None])
def test_a_subscription_needs_well_formed_names(name):
    for fields in ((name, "x"), ("chat", name)):
        with pytest.raises(UnknownEventType):
            EventSubscription(*fields)
    with pytest.raises(UnknownEventType):
        EventSubscription("*", "x")
    assert EventSubscription("chat", "*").event_type == "*"


def test_an_endpoint_is_found_and_changed_by_its_id():
    made = webhook(endpoints=[Endpoint(URL, id="ep_1"), Endpoint(URL + "2", id="ep_2")])
    assert made.endpoint("ep_2") == made.endpoints[1]
    assert made.endpoint("ep_3") is None
    changed = made.with_endpoint(Endpoint(URL + "3", id="ep_2"))
    assert [endpoint.url for endpoint in changed.endpoints] == [URL, URL + "3"]


def test_a_webhook_shows_its_last_active_interval():
    assert (webhook().activated_at, webhook().deactivated_at) == (None, None)
    on = ActiveInterval(activated_at=0, activated_mark="mrk_1")
    assert webhook(interval=on).activated_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert webhook(interval=on).deactivated_at is None
    off = attrs.evolve(on, deactivated_at=1_000_000, deactivated_mark="mrk_2")
    assert webhook(interval=off).deactivated_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_no_text_or_pickle_of_a_webhook_shows_a_secret():
    made = webhook(secrets=[SECRET], headers={"Authorization": "Bearer s3cr3t"})
    shown = [repr(made), str(made), f"{made}", repr(attrs.asdict(made)), str(attrs.asdict(made, recurse=True))]
    shown += [pickle.dumps(made.secrets).decode("latin-1"), str(made.secrets), format(made.secrets[0])]
    for text in shown:
        assert "s3cr3t" not in text
        assert "QQQQ" not in text
    with pytest.raises(TypeError):
        json.dumps(made.secrets[0])


def test_states_are_texts():
    assert (str(EndpointState.ENABLED), str(WebhookStatus.ACTIVE)) == ("enabled", "active")
