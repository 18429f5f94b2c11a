"""What a receiver may request with the header `webhook-delivery` of its responses."""

from __future__ import annotations

import pytest

from unihooks import DeliveryState, EndpointState
from unihooks._delivery.decisions import DISABLE_ASKED
from unihooks.testing import Answer


@pytest.fixture
def obedient(new_dispatcher, host):
    host.dispatcher = new_dispatcher(receiver_control=True)
    return host


def asking(status, value):
    return Answer(status, headers={"Webhook-Delivery": value})


@pytest.mark.parametrize("status, sent", [(204, DeliveryState.DELIVERED), (503, DeliveryState.PENDING)])
def test_an_endpoint_is_disabled_on_request_and_its_pending_deliveries_are_held(obedient, status, sent):
    webhook = obedient.webhook()
    obedient.receiver.answer(503, asking(status, "disable"))
    obedient.emit(1)
    obedient.dispatcher.drain()
    obedient.emit(2)
    obedient.dispatcher.drain()
    (endpoint,) = obedient.dispatcher.webhooks.get(webhook.id).endpoints
    assert (endpoint.state, endpoint.disabled_reason) == (EndpointState.DISABLED, DISABLE_ASKED)
    held, last = obedient.deliveries()
    assert last.state is sent
    assert held.waiting == f"on hold: the endpoint is disabled: {DISABLE_ASKED}"
    obedient.clock.advance(600)
    assert obedient.dispatcher.drain().attempted == 0


def test_a_delivery_that_the_receiver_wants_no_more_has_failed(obedient):
    webhook = obedient.webhook()
    obedient.receiver.answer(asking(422, "Abort-Message"))
    obedient.emit()
    result = obedient.dispatcher.drain()
    delivery = obedient.only()
    assert (result.failed, delivery.state, delivery.attempt_count) == (1, DeliveryState.FAILED, 1)
    assert delivery.reason == "the endpoint asked for no further attempt; the last: the endpoint returned 422"
    assert obedient.dispatcher.webhooks.get(webhook.id).endpoints[0].enabled


def test_both_may_be_asked_for_at_once(obedient):
    webhook = obedient.webhook()
    obedient.receiver.answer(asking(500, "abort-message , DISABLE"))
    obedient.emit()
    obedient.dispatcher.drain()
    assert obedient.only().state is DeliveryState.FAILED
    assert not obedient.dispatcher.webhooks.get(webhook.id).endpoints[0].enabled


def test_an_accepted_delivery_stays_delivered_whatever_the_response_requests(obedient):
    obedient.webhook()
    obedient.receiver.answer(asking(200, "abort-message, unknown"))
    obedient.emit()
    obedient.dispatcher.drain()
    assert obedient.only().state is DeliveryState.DELIVERED


def test_nothing_is_asked_for_unless_the_host_allows_it(host):
    webhook = host.webhook()
    host.receiver.answer(asking(500, "disable, abort-message"))
    host.emit()
    host.dispatcher.drain()
    assert host.only().state is DeliveryState.PENDING
    assert host.dispatcher.webhooks.get(webhook.id).endpoints[0].enabled


@pytest.mark.parametrize("value", [1, "yes", None])
def test_receiver_control_is_true_or_false(new_dispatcher, value):
    with pytest.raises(TypeError, match="receiver_control must be True or False"):
        new_dispatcher(receiver_control=value)
