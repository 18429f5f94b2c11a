from __future__ import annotations

import asyncio
import base64
import sys
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from waiting import wait_for

from unihooks import (
    Catalog,
    Condition,
    Counts,
    DeliveryState,
    Endpoint,
    EndpointState,
    EventSubscription,
    HeaderSet,
    HealthState,
    PayloadMapping,
    Secret,
    Webhook,
    WebhookStatus,
)
from unihooks._message.signing import verification_key
from unihooks.exceptions import (
    Conflict,
    InvalidArgument,
    InvalidHeader,
    InvalidPayload,
    InvalidWebhook,
    NotFound,
    StoreError,
    TargetRefused,
    UnknownEventType,
    VerificationError,
)
from unihooks.testing import Answer

SECRET = "whsec_" + "Q" * 43 + "="
OTHER_SECRET = "whsec_" + "R" * 43 + "="


def urls(webhook):
    return [endpoint.url for endpoint in webhook.endpoints]


def health(host, webhook):
    return host.dispatcher.webhooks.health([webhook.id])[webhook.id].endpoints


def refusing(*_):
    raise StoreError("the database is locked")


# Adding and reading.


def test_a_new_webhook_is_inactive_and_has_id_version_times_and_a_secret(host):
    webhook = host.webhook(active=False, tenant="acme", description="text", headers={"X-Key": "v"})

    assert webhook.status is WebhookStatus.INACTIVE
    assert webhook.id.startswith("wh_")
    assert (webhook.tenant, webhook.version) == ("acme", 1)
    assert webhook.created_at == webhook.updated_at == host.clock.now
    assert webhook.activated_at is None
    assert webhook.deactivated_at is None
    assert webhook.secrets[0].reveal().startswith("whsec_")
    assert all(endpoint.id.startswith("ep_") and endpoint.enabled for endpoint in webhook.endpoints)
    assert host.dispatcher.webhooks.get(webhook.id, tenant="acme") == webhook


def test_a_webhook_built_active_is_active_at_once(host):
    webhook = host.webhook(active=False, status=WebhookStatus.ACTIVE)
    host.emit()
    assert webhook.activated_at == host.clock.now
    assert host.dispatcher.drain().delivered == 1


@pytest.mark.parametrize("bad", [None, {"name": "CRM"}, "CRM"])
def test_only_a_webhook_can_be_added(host, bad):
    with pytest.raises(InvalidWebhook) as refused:
        host.dispatcher.webhooks.add(bad)
    assert refused.value.name == "webhook"


def test_given_secrets_are_kept(host):
    webhook = host.webhook(secrets=[SECRET])
    assert [secret.reveal() for secret in webhook.secrets] == [SECRET]


def test_urls_are_normalised(host):
    webhook = host.webhook(endpoints=["HTTPS://Example.COM:443/Path", "https://other.example.com"])
    assert urls(webhook) == ["https://example.com/Path", "https://other.example.com/"]


def test_a_webhook_that_the_policy_refuses_is_not_stored(host):
    for url in ["http://example.com/", "https://10.0.0.1/", "https://user:pw@example.com/"]:
        with pytest.raises(TargetRefused):
            host.webhook(endpoints=["https://example.com/", url])
    assert not host.dispatcher.webhooks.list()


def test_no_name_is_resolved_when_a_webhook_is_added(new_dispatcher):
    def resolve(*_):
        raise AssertionError("a name was looked up")

    from unihooks import TargetPolicy

    dispatcher = new_dispatcher(targets=TargetPolicy(resolver=resolve))
    dispatcher.webhooks.add(Webhook(name="n", endpoints=["https://nowhere.example.com/"]))


def test_the_same_url_twice_is_refused_also_when_written_differently(host):
    for pair in [("https://example.com/", "https://example.com/"), ("https://example.com", "https://EXAMPLE.com:443/")]:
        with pytest.raises(InvalidWebhook) as refused:
            host.webhook(endpoints=pair)
        assert refused.value.name == "endpoints"


def test_no_subscription_yet_is_allowed(host):
    host.webhook(subscriptions=[])
    host.emit()
    assert host.dispatcher.drain().planned == 1
    assert not host.deliveries()


def test_a_subscription_must_be_in_the_catalog(new_dispatcher, receiver):
    catalog = Catalog()
    catalog.add_product("chat").add_event("message.received")
    webhooks = new_dispatcher(catalog=catalog).webhooks

    def added(*subscriptions):
        return webhooks.add(Webhook(name="n", endpoints=[receiver.url], subscriptions=subscriptions))

    webhook = added(EventSubscription("chat", "message.received"), EventSubscription("chat", "*"))
    for product, event_type in [("chat", "other"), ("other", "*")]:
        with pytest.raises(UnknownEventType):
            added(EventSubscription(product, event_type))
        with pytest.raises(UnknownEventType):
            webhooks.update(webhook.id, subscriptions=[EventSubscription(product, event_type)])


def test_several_matching_subscriptions_give_one_delivery_per_endpoint(host):
    host.webhook(
        "/a", "/b", subscriptions=[EventSubscription("chat", "message.received"), EventSubscription("chat", "*")]
    )
    host.emit()
    assert host.dispatcher.drain().delivered == 2


def test_only_subscribed_events_are_sent(host):
    host.webhook(subscriptions=[EventSubscription("chat", "a")])
    for product, event_type in [("chat", "a"), ("chat", "b"), ("mail", "a")]:
        host.dispatcher.emit(product, event_type, 1)
    assert host.dispatcher.drain().delivered == 1


def test_webhooks_are_listed_newest_first_and_narrowed(host):
    webhooks = host.dispatcher.webhooks
    first = host.webhook(name="Alpha", active=False)
    second = host.webhook("/special", name="Beta", description="for the CRM")
    host.webhook(name="Alpha", tenant="globex")

    assert [one.id for one in webhooks.list()] == [second.id, first.id]
    assert [one.id for one in webhooks.list(status="active")] == [second.id]
    assert [one.id for one in webhooks.list(status=WebhookStatus.INACTIVE)] == [first.id]
    assert [one.id for one in webhooks.list(search="ALPHA")] == [first.id]
    assert [one.id for one in webhooks.list(search="crm")] == [second.id]
    assert [one.id for one in webhooks.list(search="/spec")] == [second.id]
    assert not webhooks.list(search="100%_")


@pytest.mark.parametrize(
    "bad",
    [
        {"status": "off"},
        {"search": "\ud800"},
        {"search": 5},
        {"limit": 0},
        {"limit": 251},
        {"limit": True},
        {"cursor": "?"},
    ],
)
def test_a_listing_refuses_malformed_filters(host, bad):
    with pytest.raises(InvalidArgument) as refused:
        host.dispatcher.webhooks.list(**bad)
    assert refused.value.name in bad


# Changing.


def test_update_changes_the_given_fields_and_leaves_the_rest(host):
    webhook = host.webhook("/a", description="old", mapping=PayloadMapping(remove=["x"]), headers={"X-Key": "v"})
    host.clock.advance(5)
    changed = host.dispatcher.webhooks.update(webhook.id, description="new")

    assert changed.description == "new"
    assert changed.version == webhook.version + 1
    assert changed.updated_at == host.clock.now
    assert changed.created_at == webhook.created_at
    for kept in ("name", "endpoints", "subscriptions", "mapping", "headers", "status", "secrets", "interval"):
        assert getattr(changed, kept) == getattr(webhook, kept)


def test_update_changes_every_changeable_field(host):
    webhook = host.webhook("/a")
    changes = {
        "name": "Other",
        "description": "text",
        "endpoints": [host.receiver.url_for("/b")],
        "subscriptions": [EventSubscription("mail", "*")],
        "mapping": PayloadMapping(remove=["x"]),
        "headers": HeaderSet({"X-Key": "v"}),
    }
    changed = host.dispatcher.webhooks.update(webhook.id, **changes)
    assert urls(changed) == changes.pop("endpoints")
    for name, value in changes.items():
        assert getattr(changed, name) in (value, tuple(value) if isinstance(value, list) else value)
    assert host.dispatcher.webhooks.get(webhook.id) == changed


@pytest.mark.parametrize("name", ["status", "secrets", "interval", "created_at", "nonsense"])
def test_update_changes_nothing_else(host, name):
    webhook = host.webhook()
    with pytest.raises(InvalidWebhook) as refused:
        host.dispatcher.webhooks.update(webhook.id, **{name: None})
    assert refused.value.name == name


def test_an_update_without_changes_makes_no_version_and_is_not_reported(host, new_dispatcher):
    told = []
    dispatcher = new_dispatcher(operational_events=True, on_webhook_changed=told.append)
    webhook = host.webhook()
    endpoints = [one.url for one in webhook.endpoints]
    same = dispatcher.webhooks.update(webhook.id, name=webhook.name, endpoints=endpoints, policy=None)
    assert same == webhook == dispatcher.webhooks.get(webhook.id)
    assert not dispatcher.log.events(product="webhooks", event_type="webhook.updated").items
    dispatcher.close()
    assert told == []


def test_an_endpoint_is_disabled_for_no_empty_reason(host):
    webhook = host.webhook()
    with pytest.raises(InvalidWebhook, match="reason") as refused:
        host.dispatcher.webhooks.disable_endpoint(webhook.id, webhook.endpoints[0].id, reason="")
    assert refused.value.name == "reason"
    assert host.dispatcher.webhooks.get(webhook.id) == webhook


def test_a_stale_version_is_a_conflict_and_changes_nothing(host):
    webhook = host.webhook()
    current = host.dispatcher.webhooks.update(webhook.id, version=webhook.version, name="Mine")
    with pytest.raises(Conflict) as refused:
        host.dispatcher.webhooks.update(webhook.id, version=webhook.version, name="Stale")
    assert refused.value.name == "version"
    assert host.dispatcher.webhooks.get(webhook.id) == current


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"name": ""}, InvalidWebhook),
        ({"endpoints": []}, InvalidWebhook),
        ({"endpoints": ["http://example.com"]}, TargetRefused),
        ({"endpoints": [Endpoint("https://example.com/", id="ep_unknown")]}, InvalidWebhook),
        ({"subscriptions": ["chat"]}, InvalidWebhook),
        ({"mapping": None}, InvalidWebhook),
        ({"headers": {"Content-Length": "1"}}, InvalidHeader),
    ],
)
def test_a_bad_update_changes_nothing(host, changes, error):
    webhook = host.webhook()
    with pytest.raises(error):
        host.dispatcher.webhooks.update(webhook.id, **changes)
    assert host.dispatcher.webhooks.get(webhook.id) == webhook


def test_an_endpoint_keeps_its_id_by_its_url(host):
    webhook = host.webhook("/a", "/b")
    changed = host.dispatcher.webhooks.update(
        webhook.id, endpoints=[host.receiver.url_for(path) for path in ("/b", "/c")]
    )

    assert changed.endpoints[0].id == webhook.endpoints[1].id
    assert changed.endpoints[1].id not in {endpoint.id for endpoint in webhook.endpoints}


def test_an_endpoint_given_by_id_keeps_its_pending_deliveries_which_go_to_its_new_url(host):
    webhook = host.webhook("/old")
    host.receiver.answer(500)
    host.emit()
    host.dispatcher.drain()
    moved = Endpoint(host.receiver.url_for("/new"), id=webhook.endpoints[0].id, description="moved")
    changed = host.dispatcher.webhooks.update(webhook.id, endpoints=[moved])
    assert changed.endpoints == (moved,)

    host.clock.advance(60)
    host.dispatcher.drain()
    delivery = host.only()
    assert [request.path for request in host.received()] == ["/old", "/new"]
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.url == moved.url
    assert [attempt.url for attempt in host.dispatcher.log.attempts(delivery.id)] == [
        moved.url,
        webhook.endpoints[0].url,
    ]


def test_ids_win_over_urls_when_endpoints_swap_them(host):
    first, second = host.webhook("/a", "/b").endpoints
    webhook = host.dispatcher.webhooks.list()[0]
    swapped = [Endpoint(second.url, id=first.id), Endpoint(first.url, id=second.id)]
    changed = host.dispatcher.webhooks.update(webhook.id, endpoints=swapped)
    assert [(one.id, one.url) for one in changed.endpoints] == [(first.id, second.url), (second.id, first.url)]


def test_an_endpoint_left_out_has_its_pending_deliveries_cancelled(host):
    webhook = host.webhook("/a", "/b")
    host.receiver.always(500)
    host.emit()
    host.dispatcher.drain()
    host.dispatcher.webhooks.update(webhook.id, endpoints=[host.receiver.url_for("/a")])

    kept = host.only(endpoint_id=webhook.endpoints[0].id)
    gone = host.only(endpoint_id=webhook.endpoints[1].id)
    assert kept.state is DeliveryState.PENDING
    assert gone.state is DeliveryState.CANCELLED
    assert gone.reason == "the endpoint was removed from the webhook"
    assert len(host.dispatcher.log.attempts(gone.id)) == 1

    host.clock.advance(60)
    host.dispatcher.drain()
    assert [request.path for request in host.received()[2:]] == ["/a"]


def test_an_unknown_or_repeated_endpoint_id_is_refused(host):
    webhook = host.webhook("/a")
    own = webhook.endpoints[0].id
    twice = [Endpoint(host.receiver.url_for(path), id=own) for path in ("/b", "/c")]
    other = host.webhook("/x").endpoints[0].id
    for endpoints in (twice, [Endpoint(host.receiver.url, id=other)]):
        with pytest.raises(InvalidWebhook) as refused:
            host.dispatcher.webhooks.update(webhook.id, endpoints=endpoints)
        assert refused.value.name == "endpoints"


def test_a_stale_value_cannot_undo_a_rotation_a_deactivation_or_a_disabled_endpoint(host):
    stale = host.webhook("/a", "/gone", secrets=[SECRET])
    webhooks = host.dispatcher.webhooks
    host.receiver.on("/gone").always(410)
    host.emit()
    host.dispatcher.drain()
    webhooks.rotate_secret(stale.id, overlap=0, secret=OTHER_SECRET)
    webhooks.deactivate(stale.id)

    webhooks.update(
        stale.id,
        name=stale.name,
        description=stale.description,
        endpoints=stale.endpoints,
        subscriptions=stale.subscriptions,
        mapping=stale.mapping,
        headers=stale.headers,
    )

    now = webhooks.get(stale.id)
    assert [secret.reveal() for secret in now.secrets] == [OTHER_SECRET]
    assert now.status is WebhookStatus.INACTIVE
    assert [endpoint.state for endpoint in now.endpoints] == [EndpointState.ENABLED, EndpointState.DISABLED]


def test_headers_mapping_and_subscriptions_of_an_update_are_used_for_the_next_event(host):
    webhook = host.webhook()
    host.emit()
    host.dispatcher.drain()
    host.dispatcher.webhooks.update(
        webhook.id, headers={"X-Key": "new"}, mapping=PayloadMapping(rename={"text": "body"})
    )
    host.emit()
    host.dispatcher.drain()
    first, second = host.received()
    assert "x-key" not in first.headers
    assert second.headers["x-key"] == "new"
    assert second.json() == {"body": "hi"}


# Switching on and off.


def test_only_events_emitted_while_active_are_planned(host):
    webhook = host.webhook(active=False)
    webhooks = host.dispatcher.webhooks
    host.emit("before")
    webhooks.activate(webhook.id)
    host.emit("active")
    webhooks.deactivate(webhook.id)
    host.emit("after")
    webhooks.activate(webhook.id)
    host.emit("again")

    assert host.dispatcher.drain().planned == 4
    # Planning sees the last interval only; what lies before it can be recovered.
    assert [request.json() for request in host.received()] == ["again"]


def test_an_event_of_the_active_interval_is_planned_after_the_deactivation_and_held(host):
    webhook = host.webhook()
    host.emit("active")
    host.clock.advance(1)
    off = host.dispatcher.webhooks.deactivate(webhook.id)
    host.emit("after")
    host.dispatcher.drain()

    assert off.deactivated_at == host.clock.now
    delivery = host.only()
    assert (delivery.state, delivery.held) == (DeliveryState.PENDING, True)
    assert not host.received()

    host.dispatcher.webhooks.activate(webhook.id)
    host.dispatcher.drain()
    assert [request.json() for request in host.received()] == ["active"]


def test_switching_twice_is_switching_once(host):
    webhook = host.webhook(active=False)
    webhooks = host.dispatcher.webhooks
    assert webhooks.deactivate(webhook.id) == webhook
    on = webhooks.activate(webhook.id)
    host.clock.advance(5)
    assert webhooks.activate(webhook.id) == on
    off = webhooks.deactivate(webhook.id)
    host.clock.advance(5)
    assert webhooks.deactivate(webhook.id) == off


def test_deliveries_pending_at_a_deactivation_are_held_and_resume(host):
    webhook = host.webhook()
    host.receiver.answer(500)
    host.emit()
    host.dispatcher.drain()
    host.dispatcher.webhooks.deactivate(webhook.id)
    host.clock.advance(3600)
    assert host.dispatcher.drain().attempted == 0
    assert host.only().held

    host.dispatcher.webhooks.activate(webhook.id)
    assert host.dispatcher.drain().delivered == 1


def test_deliveries_held_for_5_days_are_cancelled_with_the_reason(host):
    webhook = host.webhook()
    host.emit()
    host.dispatcher.webhooks.deactivate(webhook.id)
    host.dispatcher.drain()
    host.clock.advance(timedelta(days=5, seconds=-1))
    host.dispatcher.drain()
    assert host.only().held

    host.clock.advance(2)
    host.dispatcher.drain()
    delivery = host.only()
    assert delivery.state is DeliveryState.CANCELLED
    assert delivery.reason.startswith("held for 5 days")
    assert not delivery.held


def test_deleting_a_webhook_cancels_pending_deliveries_and_leaves_the_log(host):
    webhook = host.webhook()
    host.receiver.answer(500)
    host.emit()
    host.dispatcher.drain()
    host.dispatcher.webhooks.delete(webhook.id)
    host.emit()
    host.clock.advance(3600)
    host.dispatcher.drain()

    delivery = host.only()
    assert (delivery.state, delivery.reason) == (DeliveryState.CANCELLED, "the webhook was deleted")
    assert len(host.dispatcher.log.attempts(delivery.id)) == 1
    assert len(host.received()) == 1
    with pytest.raises(NotFound):
        host.dispatcher.webhooks.get(webhook.id)


# Endpoints.


def test_an_endpoint_that_returns_410_is_disabled_and_its_other_deliveries_are_held(host):
    webhook = host.webhook("/gone", "/fine")
    host.receiver.on("/gone").answer(500, 410)
    host.emit("first")
    host.dispatcher.drain()
    host.emit("second")
    host.dispatcher.drain()

    gone, fine = host.dispatcher.webhooks.get(webhook.id).endpoints
    assert gone.state is EndpointState.DISABLED
    assert gone.disabled_reason == "the endpoint returned 410 Gone"
    assert gone.disabled_at == host.clock.now
    assert fine.enabled

    held, failed = host.deliveries(endpoint_id=gone.id)
    assert (held.state, held.held) == (DeliveryState.PENDING, True)
    assert (failed.state, failed.reason) == (DeliveryState.FAILED, "the endpoint returned 410 Gone")

    host.clock.advance(60)
    host.emit("third")
    host.dispatcher.drain()
    assert len(host.deliveries(endpoint_id=gone.id)) == 2
    assert [request.json() for request in host.received("/fine")] == ["first", "second", "third"]


def test_enabling_an_endpoint_releases_held_deliveries(host):
    webhook = host.webhook("/gone")
    host.receiver.answer(500, 410)
    host.emit("held")
    host.dispatcher.drain()
    host.emit("failed")
    host.dispatcher.drain()
    host.clock.advance(60)

    enabled = host.dispatcher.webhooks.enable_endpoint(webhook.id, webhook.endpoints[0].id)
    assert (enabled.state, enabled.disabled_reason, enabled.disabled_at) == (EndpointState.ENABLED, None, None)
    host.dispatcher.drain()
    assert host.received()[-1].json() == "held"
    assert host.deliveries()[0].state is DeliveryState.DELIVERED


def test_enabling_an_enabled_endpoint_changes_nothing(host):
    webhook = host.webhook()
    assert host.dispatcher.webhooks.enable_endpoint(webhook.id, webhook.endpoints[0].id) == webhook.endpoints[0]
    assert host.dispatcher.webhooks.get(webhook.id).version == webhook.version


def test_enabling_an_unknown_endpoint_is_not_found(host):
    webhook = host.webhook()
    with pytest.raises(NotFound) as refused:
        host.dispatcher.webhooks.enable_endpoint(webhook.id, host.webhook("/x").endpoints[0].id)
    assert refused.value.name == "endpoint_id"


def test_410_disables_only_while_the_endpoint_has_the_url_that_responded(host, monkeypatch):
    webhook = host.webhook("/old")
    host.receiver.on("/old").answer(410)
    store = host.dispatcher.settings.store
    record = type(store).record

    def move_then_record(self, results, *more):
        monkeypatch.setattr(type(store), "record", record)
        moved = Endpoint(host.receiver.url_for("/new"), id=webhook.endpoints[0].id)
        host.dispatcher.webhooks.update(webhook.id, endpoints=[moved])
        return record(self, results, *more)

    monkeypatch.setattr(type(store), "record", move_then_record)
    host.emit()
    host.dispatcher.drain()

    assert host.only().state is DeliveryState.FAILED
    assert host.dispatcher.webhooks.get(webhook.id).endpoints[0].enabled


def test_an_endpoint_with_nothing_but_failures_for_5_days_is_disabled(new_dispatcher, receiver, clock):
    # A probe may be of a delivery that has not failed before, which says nothing for certain.
    dispatcher = new_dispatcher(breaker=None)
    webhook = dispatcher.webhooks.add(
        Webhook(name="n", endpoints=[receiver.url], subscriptions=[EventSubscription("chat", "*")], status="active")
    )
    receiver.always(503)

    def state_after(step):
        clock.advance(step)
        dispatcher.emit("chat", "x", 1)
        dispatcher.drain()
        return dispatcher.webhooks.get(webhook.id).endpoints[0]

    assert state_after(timedelta(0)).enabled
    for _ in range(4):
        assert state_after(timedelta(days=1)).enabled
    assert state_after(timedelta(hours=23)).enabled
    disabled = state_after(timedelta(hours=1))
    assert disabled.state is EndpointState.DISABLED
    assert disabled.disabled_reason == "nothing but failures for 5 days"


def test_an_endpoint_is_disabled_by_hand_and_enabled_again(host):
    webhook = host.webhook("/a", "/b")
    first, second = webhook.endpoints
    host.emit(1)
    disabled = host.dispatcher.webhooks.disable_endpoint(webhook.id, first.id)
    assert (disabled.state, disabled.disabled_reason) == (EndpointState.DISABLED, "disabled by hand")
    assert disabled.disabled_at is not None
    host.clock.advance(1)
    host.emit(2)
    host.dispatcher.drain()
    assert sorted((one.path, one.json()) for one in host.received()) == [("/b", 1), ("/b", 2)]
    again = host.dispatcher.webhooks.disable_endpoint(webhook.id, first.id, reason="another")
    assert again == disabled
    changed = host.dispatcher.webhooks.get(webhook.id)
    assert (changed.version, changed.endpoints) == (webhook.version + 1, (disabled, second))


def test_deliveries_pending_when_an_endpoint_was_disabled_by_hand_resume_later(host):
    webhook = host.webhook("/a")
    host.emit(1)
    host.clock.advance(1)
    host.dispatcher.webhooks.disable_endpoint(webhook.id, webhook.endpoints[0].id)
    host.dispatcher.drain()
    assert host.only().held
    host.dispatcher.webhooks.enable_endpoint(webhook.id, webhook.endpoints[0].id)
    host.dispatcher.drain()
    assert [one.json() for one in host.received()] == [1]


@pytest.mark.parametrize("reason", ["x" * 201, "a\0", None, 5])
def test_the_reason_for_disabling_is_a_short_text(host, reason):
    webhook = host.webhook()
    with pytest.raises(InvalidWebhook) as refused:
        host.dispatcher.webhooks.disable_endpoint(webhook.id, webhook.endpoints[0].id, reason=reason)
    assert refused.value.name == "reason"
    with pytest.raises(NotFound):
        host.dispatcher.webhooks.disable_endpoint(webhook.id, "ep_nobodys")


async def test_an_endpoint_may_be_added_as_disabled(host):
    url = host.receiver.url_for
    webhook = host.webhook(endpoints=[Endpoint(url("/a"), enabled=False), Endpoint(url("/b"), enabled=True)])
    first, second = webhook.endpoints
    assert (first.enabled, first.disabled_reason, first.disabled_at) == (False, "added as disabled", host.clock.now)
    assert second.enabled
    assert (first.health.state, second.health.state) == ("disabled", "healthy")
    host.clock.advance(1)
    host.emit()
    await host.dispatcher.adrain()
    assert [one.path for one in host.received()] == ["/b"]
    changed = host.dispatcher.webhooks.update(webhook.id, endpoints=[first, second, Endpoint(url("/c"), enabled=False)])
    assert [one.enabled for one in changed.endpoints] == [False, True, False]
    assert (await host.dispatcher.webhooks.adisable_endpoint(webhook.id, second.id)).enabled is False
    copy = host.dispatcher.webhooks.add(changed)
    assert all(one.enabled for one in copy.endpoints)
    with pytest.raises(InvalidWebhook):
        Endpoint(url("/d"), enabled="no")


def test_one_success_starts_the_5_days_again(host):
    webhook = host.webhook()
    for answer, step in [(503, 0), (204, 4), (503, 1), (503, 4)]:
        host.clock.advance(timedelta(days=step))
        host.receiver.clear()
        host.receiver.always(answer)
        host.emit()
        host.dispatcher.drain()
    assert host.dispatcher.webhooks.get(webhook.id).endpoints[0].enabled


# Health.


def test_an_endpoint_comes_with_its_health(host):
    webhook = host.webhook("/good", "/bad")
    host.receiver.on("/bad").always(503)
    for _ in range(2):
        host.emit()
        host.dispatcher.drain()
    good, bad = (one.health for one in host.dispatcher.webhooks.get(webhook.id).endpoints)
    assert (good.state, good.last_hour, good.failures) == (HealthState.HEALTHY, Counts(2, 2), 0)
    assert (bad.state, bad.last_hour, bad.failures) == (HealthState.FAILING, Counts(2, 0), 2)
    assert bad.failing_since == host.clock()
    assert (bad.breaker, bad.next_probe_at, bad.not_before) == ("closed", None, None)
    for state, found in (("failing", [webhook.id]), ("healthy", []), ("degraded", []), ("disabled", [])):
        assert [one.id for one in host.dispatcher.webhooks.list(health=state)] == found
    assert [one.health for one in host.dispatcher.webhooks.activate(webhook.id).endpoints] == [good, bad]
    with pytest.raises(InvalidArgument):
        host.dispatcher.webhooks.list(health="well")


def test_retry_after_of_one_endpoint_is_shown_there(host):
    webhook = host.webhook("/a", "/b")
    host.receiver.on("/a").answer(Answer(429, headers={"Retry-After": "1800"}))
    host.emit()
    host.dispatcher.drain()
    until = host.clock() + timedelta(seconds=1800)
    assert [one.health.not_before for one in host.dispatcher.webhooks.get(webhook.id).endpoints] == [until, None]
    waiting = {one.url.rsplit("/")[-1]: one.waiting for one in host.deliveries()}
    assert waiting["a"].startswith(f"waits until {until:%Y-%m-%dT%H:%M:%SZ}: ")
    assert waiting["b"] is None


def test_the_given_reason_is_shown_for_an_endpoint_added_as_disabled(host):
    given = Endpoint(host.receiver.url, enabled=False, disabled_reason="not ready")
    webhook = host.webhook(endpoints=[given])
    assert webhook.endpoints[0].disabled_reason == "not ready"
    with pytest.raises(InvalidWebhook):
        host.webhook(endpoints=[Endpoint(host.receiver.url, enabled=False, disabled_reason="x" * 201)])


# Secrets.


def test_a_rotation_signs_with_both_secrets_for_the_overlap(host):
    webhook = host.webhook(secrets=[SECRET])
    fresh = host.dispatcher.webhooks.rotate_secret(webhook.id, overlap=timedelta(hours=1))
    host.emit()
    host.dispatcher.drain()
    host.clock.advance(3601)
    host.emit()
    host.dispatcher.drain()

    during, after = host.received()
    for secret in (SECRET, fresh):
        host.verify(during, secret)
    host.verify(after, fresh)
    with pytest.raises(VerificationError):
        host.verify(after, SECRET)


def test_a_secret_that_expires_stops_signing_while_its_destination_is_remembered(host):
    webhook = host.webhook(secrets=[SECRET])
    host.dispatcher.webhooks.rotate_secret(webhook.id, overlap=60)
    with host.dispatcher.running():
        host.emit()
        # Until that is recorded, a clock that is moved on ends its lease, and it is sent again.
        wait_for(lambda: host.deliveries(state="delivered"))
        host.clock.advance(60)
        host.emit()
        during, after = host.receiver.wait_for(2)
    host.verify(during, SECRET)
    with pytest.raises(VerificationError):
        host.verify(after, SECRET)


def test_a_rotation_returns_the_new_secret_and_ends_the_old_one(host):
    webhook = host.webhook(secrets=[SECRET])
    fresh = host.dispatcher.webhooks.rotate_secret(webhook.id, secret=OTHER_SECRET)
    assert fresh.reveal() == OTHER_SECRET
    assert fresh.expires_at is None

    current, old = host.dispatcher.webhooks.get(webhook.id).secrets
    assert (current, old.reveal()) == (fresh, SECRET)
    assert old.expires_at == host.clock.now + timedelta(hours=24)


def test_an_overlap_of_0_ends_the_old_secret_at_once(host):
    webhook = host.webhook(secrets=[SECRET])
    fresh = host.dispatcher.webhooks.rotate_secret(webhook.id, overlap=0, secret=Secret(OTHER_SECRET))
    assert host.dispatcher.webhooks.get(webhook.id).secrets == (fresh,)


def test_a_later_rotation_does_not_prolong_an_old_secret(host):
    webhook = host.webhook(secrets=[SECRET])
    webhooks = host.dispatcher.webhooks
    webhooks.rotate_secret(webhook.id, overlap=60)
    webhooks.rotate_secret(webhook.id, overlap=3600)
    assert [secret.expires_at for secret in webhooks.get(webhook.id).secrets] == [
        None,
        host.clock.now + timedelta(seconds=3600),
        host.clock.now + timedelta(seconds=60),
    ]


def test_rotating_to_the_current_secret_keeps_one(host):
    webhook = host.webhook(secrets=[SECRET])
    host.dispatcher.webhooks.rotate_secret(webhook.id, secret=SECRET)
    assert [secret.reveal() for secret in host.dispatcher.webhooks.get(webhook.id).secrets] == [SECRET]


def test_the_current_secret_cannot_expire(host):
    expiring = Secret(SECRET, expires_at=host.clock.now + timedelta(days=1))
    with pytest.raises(InvalidWebhook) as refused:
        host.webhook(secrets=[expiring])
    assert refused.value.name == "secrets"
    webhook = host.webhook(secrets=[OTHER_SECRET, expiring])
    with pytest.raises(InvalidWebhook):
        host.dispatcher.webhooks.rotate_secret(webhook.id, secret=expiring)
    host.dispatcher.webhooks.rotate_secret(webhook.id)
    assert len(host.dispatcher.webhooks.get(webhook.id).secrets) == 3


def test_only_the_last_10_old_secrets_sign_along(host):
    webhook = host.webhook()
    for _ in range(15):
        host.dispatcher.webhooks.rotate_secret(webhook.id)
    assert len(host.dispatcher.webhooks.get(webhook.id).secrets) == 11


@pytest.mark.parametrize(
    "bad",
    [
        {"secret": "short"},
        {"secret": "whsec_AA"},
        {"overlap": -1},
        {"overlap": "1"},
        {"overlap": True},
        {"overlap": float("nan")},
        {"overlap": float("inf")},
        {"overlap": timedelta(days=8)},
    ],
)
def test_a_bad_rotation_changes_nothing(host, bad):
    webhook = host.webhook()
    with pytest.raises(InvalidArgument if "overlap" in bad else InvalidWebhook) as refused:
        host.dispatcher.webhooks.rotate_secret(webhook.id, **bad)
    assert refused.value.name
    assert host.dispatcher.webhooks.get(webhook.id) == webhook


def test_rotation_keeps_the_kind_of_the_secret(host):
    webhook = host.webhook(secrets=[Secret.generate("v1a")])
    fresh = host.dispatcher.webhooks.rotate_secret(webhook.id, overlap=0)
    assert fresh.reveal().startswith("whsk_")
    host.emit()
    host.dispatcher.drain()
    (request,) = host.received()
    assert request.headers["webhook-signature"].startswith("v1a,")
    host.verify(request, verification_key(fresh))


def test_rotation_changes_the_kind_when_it_is_given_another(host):
    webhook = host.webhook(secrets=[Secret.generate("v1a")])
    host.dispatcher.webhooks.rotate_secret(webhook.id, secret=SECRET)
    assert host.dispatcher.webhooks.rotate_secret(webhook.id).reveal().startswith("whsec_")


def test_a_secret_that_cannot_sign_here_is_refused_when_it_is_configured(host, monkeypatch):
    private = Secret.generate("v1a").reveal()
    foreign = "whsk_" + base64.b64encode(base64.b64decode(private[5:])[:32] + bytes(32)).decode()
    webhook = host.webhook()
    with pytest.raises(InvalidWebhook, match="public half"):
        host.webhook(secrets=[SECRET, foreign])
    with pytest.raises(InvalidWebhook, match="public half"):
        host.dispatcher.webhooks.rotate_secret(webhook.id, secret=foreign)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(InvalidWebhook, match=r"unihooks\[crypto\]"):
        host.webhook(secrets=[private])
    with pytest.raises(InvalidWebhook, match=r"unihooks\[crypto\]"):
        host.dispatcher.webhooks.rotate_secret(webhook.id, secret=private)
    assert host.dispatcher.webhooks.get(webhook.id) == webhook


def test_the_reference_library_verifies_a_real_request(new_dispatcher, receiver, host):
    dispatcher = new_dispatcher(clock=lambda: datetime.now(UTC))
    webhook = host.webhook(secrets=[SECRET])
    fresh = dispatcher.webhooks.rotate_secret(webhook.id)
    dispatcher.emit("chat", "x", {"text": "grüße"})
    dispatcher.drain()

    (request,) = receiver.requests
    for secret in (SECRET, fresh.reveal()):
        verified = standardwebhooks.Webhook(secret).verify(request.body.decode(), dict(request.headers))
        assert verified == {"text": "grüße"}


def test_an_asymmetric_secret_signs_with_v1a(host):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = "whsk_" + base64.b64encode(key.private_bytes_raw()).decode()
    public = "whpk_" + base64.b64encode(key.public_key().public_bytes_raw()).decode()
    host.webhook(secrets=[private])
    host.emit()
    host.dispatcher.drain()

    (request,) = host.received()
    assert request.headers["webhook-signature"].startswith("v1a,")
    host.verify(request, public)


# Tests and previews.


def test_a_test_goes_to_an_inactive_webhook_signed_and_mapped_and_is_not_logged(host):
    webhook = host.webhook("/a", "/b", active=False, mapping=PayloadMapping(remove=["text"]), headers={"X-Key": "v"})
    host.receiver.on("/b").answer(Answer(500, body=b"no"))
    attempts = host.dispatcher.webhooks.send_test(
        webhook.id, product="chat", event_type="x", payload={"text": "hi", "id": 1}
    )

    assert [(attempt.url, attempt.status_code) for attempt in attempts] == [
        (webhook.endpoints[0].url, 204),
        (webhook.endpoints[1].url, 500),
    ]
    assert attempts[1].response_body == b"no"
    assert attempts[0].succeeded
    assert ("X-Key", "***") in attempts[0].request_headers
    assert len(host.received()) == 2
    for request in host.received():
        assert request.json() == {"id": 1}
        assert request.headers["x-key"] == "v"
        assert request.headers["unihooks-webhook"] == webhook.id
        host.verify(request, *webhook.secrets)
    assert not host.deliveries()
    assert not host.dispatcher.log.events()


@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_webhook_that_is_not_stored_is_tried_out_with_a_secret_of_its_own(host, is_awaited):
    webhook = Webhook(name="x", endpoints=[host.receiver.url_for("/a")], headers={"X-Key": "v"})
    given = {"tenant": "acme", "product": "chat", "event_type": "x", "payload": {"id": 1}}
    webhooks = host.dispatcher.webhooks
    if is_awaited:
        (attempt,) = asyncio.run(webhooks.atry_out(webhook, **given))
    else:
        (attempt,) = webhooks.try_out(webhook, **given)
    assert attempt.succeeded
    (request,) = host.received()
    assert (request.json(), request.headers["x-key"]) == ({"id": 1}, "v")
    assert request.headers["webhook-signature"].startswith("v1,")
    assert not webhooks.list(tenant="acme")
    with pytest.raises(TargetRefused):
        webhooks.try_out(Webhook(name="x", endpoints=["https://10.0.0.1/"]), **given)


def test_a_test_that_is_taken_lets_its_endpoint_start_with_fresh_health(host):
    webhook = host.webhook("/a", "/b")
    host.receiver.always(503)
    host.emit()
    host.dispatcher.drain()
    assert [one.failing for one in health(host, webhook)] == [True, True]
    host.receiver.on("/a").always(204)
    host.dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)
    assert [one.failing for one in health(host, webhook)] == [False, True]


def test_a_test_returns_its_attempt_while_the_store_takes_no_changes(host, monkeypatch):
    webhook = host.webhook()
    monkeypatch.setattr(host.dispatcher.settings.store, "clear_health", refusing)
    (attempt,) = host.dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)
    assert attempt.succeeded


def test_a_test_may_go_to_one_endpoint(host):
    webhook = host.webhook("/a", "/b")
    (attempt,) = host.dispatcher.webhooks.send_test(
        webhook.id, product="chat", event_type="x", payload=1, endpoint_id=webhook.endpoints[1].id
    )
    assert attempt.url.endswith("/b")
    with pytest.raises(NotFound):
        host.dispatcher.webhooks.send_test(
            webhook.id, product="chat", event_type="x", payload=1, endpoint_id="ep_other"
        )


def test_a_test_without_payload_sends_the_catalogs_example(new_dispatcher, receiver):
    catalog = Catalog()
    product = catalog.add_product("chat")
    product.add_event("x", example={"text": "example"}, schema={"type": "object"})
    product.add_event("bare")
    webhooks = new_dispatcher(catalog=catalog).webhooks
    webhook = webhooks.add(Webhook(name="n", endpoints=[receiver.url]))

    webhooks.send_test(webhook.id, product="chat", event_type="x")
    assert receiver.requests[0].json() == {"text": "example"}
    with pytest.raises(InvalidPayload) as refused:
        webhooks.send_test(webhook.id, product="chat", event_type="bare")
    assert refused.value.name == "payload"
    with pytest.raises(InvalidPayload):
        webhooks.send_test(webhook.id, product="chat", event_type="x", payload=[])
    with pytest.raises(UnknownEventType):
        webhooks.send_test(webhook.id, product="chat", event_type="other", payload=1)


def test_a_test_without_catalog_needs_a_payload_and_good_names(host):
    webhook = host.webhook()
    with pytest.raises(InvalidPayload):
        host.dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x")
    with pytest.raises(UnknownEventType):
        host.dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="a b", payload=1)


def test_a_test_to_a_refused_destination_says_one_constant_sentence(new_dispatcher, host):
    webhook = host.webhook(endpoints=["https://example.com/in"])
    from unihooks import TargetPolicy

    for address in ("10.0.0.7", "169.254.169.254"):
        guarded = new_dispatcher(targets=TargetPolicy(resolver=lambda *_, to=address: [to]))
        (attempt,) = guarded.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)
        assert attempt.status_code is None
        assert address not in attempt.error
    assert not host.received()


def test_a_preview_shows_the_mapped_payload(host):
    webhook = host.webhook(mapping=PayloadMapping(remove=["secret", "absent"], rename={"text": "body"}))
    preview = host.dispatcher.webhooks.preview(webhook.id, {"secret": 1, "text": "hi"})
    assert preview.result == {"body": "hi"}
    assert "absent" in preview.unmatched
    assert not host.received()


def test_a_preview_says_which_conditions_hold(host):
    dear, gone = Condition("amount", "ge", 100), Condition("gone", "exists")
    webhook = host.webhook(
        subscriptions=[
            EventSubscription("chat", "message.*", [dear, gone]),
            EventSubscription("chat", "typing", [gone]),
            EventSubscription("shop", "*", [dear]),
        ]
    )
    preview = host.dispatcher.webhooks.preview
    payload = {"amount": 100}
    assert preview(webhook.id, payload, product="chat", event_type="message.received").conditions == (
        (dear, True),
        (gone, False),
    )
    assert preview(webhook.id, payload, event_type="typing").conditions == ((gone, False), (dear, True))
    assert len(preview(webhook.id, payload).conditions) == 4
    assert preview(webhook.id, payload, product="other").conditions == ()


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_a_preview_warns_of_conditions_that_a_schema_rules_out(new_dispatcher, host):
    catalog = Catalog()
    schema = {"type": "object", "properties": {"amount": {"type": "number"}}, "additionalProperties": False}
    catalog.add_product("shop").add_event("order.paid", schema=schema)
    dispatcher = new_dispatcher(catalog=catalog)
    where = [Condition("amuont", "ge", 100), Condition("amount", "ge", 100)]
    added = dispatcher.webhooks.add(
        Webhook(name="n", endpoints=[host.receiver.url], subscriptions=[EventSubscription("shop", "order.*", where)])
    )
    (warning,) = dispatcher.webhooks.preview(added.id, {"amount": 1}).warnings
    assert warning == "shop order.paid has no 'amuont' by its schema, so the condition 'amuont ge 100' finds nothing"


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_the_beginning_of_event_types_is_one_that_the_catalog_has(new_dispatcher, host):
    catalog = Catalog()
    catalog.add_product("shop").add_event("order.paid")
    dispatcher = new_dispatcher(catalog=catalog)

    def subscribed(event_type):
        return Webhook(name="n", endpoints=[host.receiver.url], subscriptions=[EventSubscription("shop", event_type)])

    dispatcher.webhooks.add(subscribed("order.*"))
    with pytest.raises(UnknownEventType, match=r"no event type that 'refund\.\*' stands for"):
        dispatcher.webhooks.add(subscribed("refund.*"))


def test_a_webhook_gets_events_that_meet_its_conditions(host):
    host.webhook(subscriptions=[EventSubscription("chat", "message.*", [Condition("text", "prefix", "hi")])])
    for text in ("hi there", "bye", "hi"):
        host.emit({"text": text})
    assert host.dispatcher.drain().delivered == 2
    assert sorted(one.json()["text"] for one in host.received()) == ["hi", "hi there"]


# Every verb.


async def test_every_verb_has_an_awaitable_twin(host):
    webhooks = host.dispatcher.webhooks
    webhook = await webhooks.aadd(Webhook(name="n", endpoints=[host.receiver.url]), tenant="acme")
    there = {"tenant": "acme"}

    assert await webhooks.aget(webhook.id, **there) == webhook
    assert list(await webhooks.alist(**there)) == [webhook]
    assert (await webhooks.aupdate(webhook.id, name="m", **there)).name == "m"
    assert (await webhooks.aactivate(webhook.id, **there)).active
    assert not (await webhooks.adeactivate(webhook.id, **there)).active
    assert await webhooks.aenable_endpoint(webhook.id, webhook.endpoints[0].id, **there) == webhook.endpoints[0]
    assert await webhooks.arotate_secret(webhook.id, **there) != webhook.secrets[0]
    attempts = await webhooks.asend_test(webhook.id, product="chat", event_type="x", payload=1, **there)
    assert attempts[0].succeeded
    assert (await webhooks.apreview(webhook.id, {"a": 1}, **there)).result == {"a": 1}
    await webhooks.adelete(webhook.id, **there)
    with pytest.raises(NotFound):
        await webhooks.aget(webhook.id, **there)


def test_the_twins_name_themselves(host):
    assert type(host.dispatcher.webhooks).asend_test.__name__ == "asend_test"
    assert type(host.dispatcher.webhooks).alist.__qualname__ == "WebhookReading.alist"


@pytest.mark.parametrize(
    "verb",
    [
        lambda webhooks, webhook, tenant: webhooks.get(webhook.id, tenant=tenant),
        lambda webhooks, webhook, tenant: webhooks.update(webhook.id, tenant=tenant, name="x"),
        lambda webhooks, webhook, tenant: webhooks.delete(webhook.id, tenant=tenant),
        lambda webhooks, webhook, tenant: webhooks.activate(webhook.id, tenant=tenant),
        lambda webhooks, webhook, tenant: webhooks.deactivate(webhook.id, tenant=tenant),
        lambda webhooks, webhook, tenant: webhooks.enable_endpoint(webhook.id, webhook.endpoints[0].id, tenant=tenant),
        lambda webhooks, webhook, tenant: webhooks.rotate_secret(webhook.id, tenant=tenant),
        lambda webhooks, webhook, tenant: webhooks.send_test(
            webhook.id, tenant=tenant, product="chat", event_type="x", payload=1
        ),
        lambda webhooks, webhook, tenant: webhooks.preview(webhook.id, {}, tenant=tenant),
    ],
    ids=["get", "update", "delete", "activate", "deactivate", "enable", "rotate", "test", "preview"],
)
def test_another_tenants_webhook_is_not_found(host, verb):
    webhook = host.webhook(tenant="acme")
    for tenant in ("globex", "default"):
        with pytest.raises(NotFound):
            verb(host.dispatcher.webhooks, webhook, tenant)
    with pytest.raises(InvalidArgument):
        verb(host.dispatcher.webhooks, webhook, "")
    assert host.dispatcher.webhooks.get(webhook.id, tenant="acme") == webhook
    assert not host.dispatcher.webhooks.list(tenant="globex")
    assert not host.received()


def test_an_id_that_no_database_could_hold_is_not_found(host):
    for webhook_id in ("", "\ud800", "a\0b", "wh_' OR 1=1", None):
        with pytest.raises(NotFound):
            host.dispatcher.webhooks.get(webhook_id)
        with pytest.raises(NotFound):
            host.dispatcher.webhooks.delete(webhook_id)
