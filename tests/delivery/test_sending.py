from __future__ import annotations

import logging
import math
import time

import pytest

import unihooks
from unihooks import (
    DeliveryState,
    Endpoint,
    EventSubscription,
    PayloadMapping,
    RetryPolicy,
    TargetPolicy,
)
from unihooks._delivery.endpoint_queues import EndpointQueues
from unihooks.testing import Answer


def next_delay(host):
    """Return the seconds until the only pending delivery is due."""
    return (host.only(state="pending").next_attempt_at - host.clock.now).total_seconds()


# The request over the wire.


def test_a_request_carries_the_promised_headers_then_the_webhooks_own(host):
    webhook = host.webhook("/in?key=1", headers={"X-Own": "v"})
    event = host.emit({"text": "grüße"})
    host.dispatcher.drain()

    (request,) = host.received()
    assert (request.method, request.path) == ("POST", "/in?key=1")
    assert request.body == '{"text":"grüße"}'.encode()
    timestamp = str(int(host.clock.now.timestamp()))
    headers = dict(request.headers)
    assert headers.pop("webhook-signature").startswith("v1,")
    assert headers == {
        "host": f"localhost:{host.receiver.port}",
        "content-type": "application/json",
        "content-length": str(len(request.body)),
        "user-agent": f"unihooks/{unihooks._message.requests.version('unihooks')}",
        "webhook-id": event.id,
        "webhook-timestamp": timestamp,
        "unihooks-product": "chat",
        "unihooks-event": "message.received",
        "unihooks-webhook": webhook.id,
        "x-own": "v",
    }
    assert list(request.headers)[-1] == "x-own"
    host.verify(request, *webhook.secrets)


@pytest.mark.parametrize("name", ["xn--i-7iq", "r3---sn-abc"])
def test_an_endpoint_whose_name_idna_does_not_know_is_reached(host, name):
    host.webhook(endpoints=[host.receiver.url_for("/in", host=f"{name}.example.com")])
    host.emit()
    assert host.dispatcher.drain().delivered == 1
    (request,) = host.received()
    assert request.headers["host"] == f"{name}.example.com:{host.receiver.port}"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226])
def test_2xx_is_success(host, status):
    host.webhook()
    host.receiver.answer(status)
    host.emit()
    assert host.dispatcher.drain().delivered == 1


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308, 400, 404, 409, 422, 500, 503])
def test_everything_else_is_retried_and_no_redirect_is_followed(host, status):
    host.webhook()
    host.receiver.answer(Answer(status, headers={"Location": host.receiver.url_for("/other")}))
    host.emit()
    result = host.dispatcher.drain()

    assert (result.attempted, result.delivered, result.failed) == (1, 0, 0)
    assert next_delay(host) == 60
    assert host.only().reason in (None, f"the endpoint returned {status}")
    assert len(host.received()) == 1


@pytest.mark.parametrize(
    "head", [b"Set-Cookie: a=\x01b\r\nContent-Length: 2\r\n", b"X: a\nContent-Length: 2\n", b"Content-Length: -2\r\n"]
)
def test_a_2xx_with_a_fault_in_its_headers_is_success_with_a_warning(host, head):
    host.webhook()
    host.receiver.answer(Answer(raw=b"HTTP/1.1 200 OK\r\n" + head + b"\r\nok"))
    host.emit()
    assert host.dispatcher.drain().delivered == 1
    (attempt,) = host.dispatcher.log.attempts(host.only().id)
    assert (attempt.status_code, attempt.error, len(attempt.warnings)) == (200, None, 1)
    assert attempt.response_body == b"ok"


@pytest.mark.parametrize("chunks,is_dear", [(60, False), (64, True), (1000, True)])
def test_an_endpoint_whose_responses_come_in_many_pieces_counts_as_one_that_fails_slowly(
    host, monkeypatch, chunks, is_dear
):
    learnt = []
    done = EndpointQueues.done

    def note(self, endpoint_id, *, succeeded, seconds):
        learnt.append((succeeded, seconds == math.inf))
        done(self, endpoint_id, succeeded=succeeded, seconds=seconds)

    monkeypatch.setattr(EndpointQueues, "done", note)
    host.webhook()
    body = b"1\r\nx\r\n" * chunks + b"0\r\n\r\n"
    host.receiver.answer(Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    host.emit()
    assert host.dispatcher.drain().delivered == 1
    assert learnt == [(not is_dear, is_dear)]


def test_the_place_of_a_response_in_many_pieces_stays_occupied_for_a_while(host, monkeypatch):
    monkeypatch.setattr("unihooks._delivery.sending._DEAR_SECONDS", 0.5)
    host.webhook()
    body = b"1\r\nx\r\n" * 100 + b"0\r\n\r\n"
    host.receiver.answer(Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    host.emit()
    began = time.monotonic()
    assert host.dispatcher.drain().delivered == 1
    # The minimum time for which the place stays occupied matters; on a busy machine it is only longer.
    assert time.monotonic() - began >= 0.5


def test_a_connection_that_fails_is_retried(host):
    host.webhook()
    host.receiver.answer(Answer(drop=True), Answer(drop=True))
    host.emit()
    host.dispatcher.drain()
    (attempt,) = host.dispatcher.log.attempts(host.only().id)
    assert attempt.status_code is None
    assert attempt.error
    assert next_delay(host) == 60


def test_an_endpoint_that_hangs_is_given_up_at_the_deadline(new_dispatcher, host):
    dispatcher = new_dispatcher(deadline=0.3)
    host.webhook()
    host.receiver.answer(Answer(hang=True))
    host.emit()
    dispatcher.drain()
    (attempt,) = dispatcher.log.attempts(host.only().id)
    assert attempt.status_code is None
    assert attempt.duration_ms >= 300


# Retries.


def test_the_default_schedule_takes_three_days_give_or_take_a_fifth(new_dispatcher, host):
    dispatcher = new_dispatcher(retries=unihooks._model.retries.DEFAULT_RETRIES)
    host.webhook()
    host.receiver.always(500)
    host.emit()
    hour = 3600
    for planned in (5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour):
        assert dispatcher.drain().attempted == 1
        delay = next_delay(host)
        assert 0.8 * planned <= delay <= 1.2 * planned
        host.clock.advance(delay - 0.001)
        assert dispatcher.drain().attempted == 0
        host.clock.advance(0.001)
    assert dispatcher.drain().failed == 1

    delivery = host.only()
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 10)
    assert delivery.reason == "no retry is left after 10 attempts; the last: the endpoint returned 500"
    assert delivery.next_attempt_at is None


@pytest.mark.parametrize(
    "retry_after, delay",
    [("30", 60), ("120", 120), ("99999", 3600), ("Thu, 01 Jan 2026 00:05:00 GMT", 300), ("soon", 60)],
)
def test_retry_after_lengthens_a_delay_up_to_its_limit_and_never_shortens_it(host, retry_after, delay):
    host.webhook()
    host.receiver.answer(Answer(503, headers={"Retry-After": retry_after}))
    host.emit()
    host.dispatcher.drain()
    assert next_delay(host) == delay


def test_retry_after_reaches_twice_the_plan_where_that_is_longer(new_dispatcher, host):
    dispatcher = new_dispatcher(retries=RetryPolicy.from_delays([7200], jitter=0))
    host.webhook()
    host.receiver.answer(Answer(503, headers={"Retry-After": "99999"}))
    host.emit()
    dispatcher.drain()
    assert next_delay(host) == 14400


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_of_a_busy_endpoint_holds_back_all_its_deliveries(host, status):
    host.webhook("/busy", "/other")
    host.receiver.on("/busy").answer(Answer(status, headers={"Retry-After": "600"}))
    host.emit()
    host.dispatcher.drain()
    for _ in range(20):
        host.emit()
    host.dispatcher.drain()
    assert (len(host.received("/busy")), len(host.received("/other"))) == (1, 21)
    host.clock.advance(599)
    assert host.dispatcher.drain().attempted == 0
    host.clock.advance(1)
    assert host.dispatcher.drain().delivered == 21


def test_retry_after_of_a_busy_endpoint_delays_leased_deliveries(host):
    host.webhook()
    host.receiver.always(Answer(429, headers={"Retry-After": "600"}))
    for _ in range(100):
        host.emit()
    assert host.dispatcher.drain().attempted <= 2
    host.receiver.always(204)
    host.clock.advance(600)
    assert host.dispatcher.drain().delivered == 100


@pytest.mark.parametrize("status", [200, 400, 500, 502])
def test_retry_after_of_another_status_delays_only_its_own_delivery(host, status):
    host.webhook()
    host.receiver.answer(Answer(status, headers={"Retry-After": "600"}))
    host.emit()
    host.dispatcher.drain()
    host.emit()
    assert host.dispatcher.drain().delivered == 1


def test_an_endpoint_is_held_back_for_an_hour_at_most(host):
    host.webhook()
    host.receiver.answer(Answer(429, headers={"Retry-After": "99999"}))
    host.emit()
    host.dispatcher.drain()
    host.emit()
    host.clock.advance(3599)
    assert host.dispatcher.drain().attempted == 0
    host.clock.advance(1)
    assert host.dispatcher.drain().delivered == 2


def test_429_waits_at_least_60_s(new_dispatcher, host):
    dispatcher = new_dispatcher(retries=RetryPolicy.from_delays([1], jitter=0))
    host.webhook()
    host.receiver.answer(429)
    host.emit()
    dispatcher.drain()
    assert next_delay(host) == 60


def test_time_held_counts_for_no_retry_limit(new_dispatcher, host):
    from tenacity import stop_after_delay, wait_fixed

    dispatcher = new_dispatcher(retries=RetryPolicy(wait=wait_fixed(60), stop=stop_after_delay(300)))
    webhook = host.webhook()
    host.receiver.always(500)
    host.emit()
    dispatcher.drain()
    dispatcher.webhooks.deactivate(webhook.id)
    host.clock.advance(3600)
    dispatcher.webhooks.activate(webhook.id)
    dispatcher.drain()
    assert host.only().state is DeliveryState.PENDING

    host.clock.advance(300)
    dispatcher.drain()
    assert host.only().state is DeliveryState.FAILED


def test_a_retry_policy_that_raises_leaves_the_decision_to_the_default(new_dispatcher, host, caplog):
    def broken(_state):
        raise ZeroDivisionError

    dispatcher = new_dispatcher(retries=RetryPolicy(wait=broken))
    host.webhook()
    host.receiver.answer(500)
    host.emit()
    dispatcher.drain()
    assert 4 <= next_delay(host) <= 6
    assert "retry policy raised" in caplog.text


# The bytes stay the same; everything else is that of the moment of sending.


def test_a_retry_sends_the_same_bytes_after_the_mapping_changed(host):
    webhook = host.webhook(mapping=PayloadMapping(rename={"text": "body"}))
    host.receiver.answer(500)
    event = host.emit()
    host.dispatcher.drain()
    host.dispatcher.webhooks.update(webhook.id, mapping=PayloadMapping(remove=["text"]))
    host.clock.advance(60)
    host.dispatcher.drain()

    first, second = host.received()
    assert first.body == second.body == b'{"body":"hi"}'
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == event.id
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_url_headers_and_secrets_are_those_of_the_moment_of_sending(host):
    webhook = host.webhook("/old", headers={"X-Key": "old"})
    host.receiver.answer(500)
    host.emit()
    host.dispatcher.drain()
    moved = Endpoint(host.receiver.url_for("/new"), id=webhook.endpoints[0].id)
    host.dispatcher.webhooks.update(webhook.id, endpoints=[moved], headers={"X-Key": "new"})
    fresh = host.dispatcher.webhooks.rotate_secret(webhook.id, overlap=0)
    host.clock.advance(60)
    host.dispatcher.drain()

    second = host.received()[1]
    assert (second.path, second.headers["x-key"]) == ("/new", "new")
    host.verify(second, fresh)


def test_a_change_is_seen_by_a_running_worker_within_a_second(host):
    webhook = host.webhook("/old")
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(1)
        host.dispatcher.webhooks.update(
            webhook.id, endpoints=[Endpoint(host.receiver.url_for("/new"), id=webhook.endpoints[0].id)]
        )
        host.emit()
        assert host.receiver.wait_for(2)[1].path == "/new"


def test_a_change_that_returned_before_emit_is_always_seen(host, until):
    webhook = host.webhook("/in")
    expected = []
    with host.dispatcher.running():
        for number in range(20):
            if number % 2:
                host.dispatcher.webhooks.update(webhook.id, subscriptions=[])
            else:
                host.dispatcher.webhooks.update(webhook.id, subscriptions=[EventSubscription("chat", "*")])
                expected.append(number)
            host.emit(number)
            assert until(lambda: host.dispatcher.stats().oldest_unplanned is None)
        host.receiver.wait_for(len(expected))
    assert sorted(request.json() for request in host.received()) == expected


def test_a_mapping_that_fails_never_sends_the_unmapped_payload(host):
    # Renaming makes the body longer than a payload may be.
    webhook = host.webhook("/mapped", mapping=PayloadMapping(rename={"items[*].a": "x" * 100}))
    host.webhook("/plain")
    host.emit({"items": [{"a": 1}] * 10_000})
    host.dispatcher.drain()

    delivery = host.only(webhook_id=webhook.id)
    assert (delivery.state, delivery.attempt_count) == (DeliveryState.FAILED, 0)
    assert delivery.reason.startswith("the payload mapping failed: ")
    assert [request.path for request in host.received()] == ["/plain"]


def test_a_mappings_warnings_are_shown_with_the_attempt(host):
    host.webhook(mapping=PayloadMapping(rename={"text": "body"}))
    host.emit({"text": "hi", "body": "there already"})
    host.dispatcher.drain()
    (attempt,) = host.dispatcher.log.attempts(host.only().id)
    assert attempt.warnings


# Destinations.


def test_a_refused_destination_is_an_attempt_with_one_constant_sentence(new_dispatcher, host):
    errors = set()
    host.webhook(endpoints=["https://example.com/in"])
    for address in ("10.0.0.7", "127.0.0.1", "169.254.169.254", "::1"):
        guarded = new_dispatcher(targets=TargetPolicy(resolver=lambda *_, to=address: [to]))
        host.emit()
        guarded.drain()
        (attempt, *_rest) = guarded.log.attempts(host.deliveries()[-1].id)
        assert attempt.status_code is None
        assert address not in attempt.error
        errors.add(attempt.error)
    assert len(errors) == 1
    assert not host.received()


def test_one_dead_endpoint_delays_only_itself(host, until):
    host.webhook("/dead", "/alive")
    host.receiver.on("/dead").always(Answer(hang=True))
    with host.dispatcher.running():
        for number in range(50):
            host.emit(number)
        assert until(lambda: len(host.received("/alive")) == 50)
        assert len(host.received("/dead")) <= 2
        host.receiver.stop()  # ends what hangs


def test_new_endpoints_that_hang_delay_no_healthy_one_of_their_tenant(host, until):
    paths = [f"/dead/{number}" for number in range(60)]
    for path in paths:
        host.receiver.on(path).always(Answer(hang=True))
    host.webhook(*paths, subscriptions=[EventSubscription("chat", "message.received")])
    host.webhook("/alive", subscriptions=[EventSubscription("chat", "message.edited")])
    with host.dispatcher.running(concurrency=32) as worker:
        host.emit()
        # There are more of them than places.
        assert until(lambda: len(host.received()) >= 4)
        host.dispatcher.emit("chat", "message.edited", 1)
        assert until(lambda: host.received("/alive"), timeout=10)
        worker.stop()
        # A connection that is being opened would be abandoned.
        assert until(lambda: len(host.received()) > worker._serving.engine.in_flight)
        host.receiver.stop()  # ends what hangs


def test_a_burst_of_one_tenant_does_not_delay_another(host, until):
    host.webhook("/burst", tenant="busy")
    host.webhook("/single", tenant="quiet")
    host.dispatcher.emit_many([("chat", "x", number) for number in range(2_000)], tenant="busy")
    host.emit(tenant="quiet")
    with host.dispatcher.running():
        assert until(lambda: host.received("/single"))
        before = [request.path for request in host.received()].index("/single")
    assert before < 1_000


# Secrets.


def test_a_receiver_that_echoes_what_it_got_puts_no_secret_into_the_log(host):
    basic, key = "Basic dXNlcjpjNG5hcnk=", "c4nary-k3y"
    webhook = host.webhook("/a", headers={"Authorization": basic, "X-Key": key, "X-Short": "1"})
    signing = webhook.secrets[0].reveal()
    echo = f'{{"authorization": "{basic}", "token": "dXNlcjpjNG5hcnk=", "key": "{key}", "sign": "{signing}"}}'
    host.receiver.always(Answer(500, headers={"X-Echo": f"key={key}"}, body=echo.encode()))
    host.emit()
    host.dispatcher.drain()
    kept = host.dispatcher.log.attempts(host.only().id)
    shown = host.dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)
    for attempt in [*kept, *shown]:
        assert attempt.response_body == b'{"authorization": "***", "token": "***", "key": "***", "sign": "whsec_***"}'
        assert dict(attempt.response_headers)["x-echo"] == "key=***"


def test_secrets_are_shown_nowhere(host, caplog):
    header, key = "c4nary-h3ader", "whsec_" + "Y2FuYXJ5" * 5
    logging.getLogger().setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    webhook = host.webhook("/a", "/gone", headers={"Authorization": f"Bearer {header}"}, secrets=[key])
    host.receiver.on("/a").always(Answer(500, body=b"no"))
    host.receiver.on("/gone").always(410)
    things = [webhook, host.dispatcher.webhooks, host.dispatcher.log, host.dispatcher.settings, vars(host.dispatcher)]
    with host.dispatcher.running():
        host.emit()
        host.receiver.wait_for(2)
    for _ in range(2):
        host.clock.advance(600)
        host.dispatcher.drain()
    things += [host.dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)]
    for delivery in host.deliveries():
        things += [delivery, list(host.dispatcher.log.attempts(delivery.id))]
    store = host.dispatcher.settings.store
    destinations = store.destinations([one.id for one in webhook.endpoints])
    things += [destinations, [unihooks._message.requests.prepare(one, 0) for one in destinations.values()]]
    for change in ({"headers": {"Bad Name": header}}, {"headers": {"X": header + "\n"}}, {"secrets": [key]}):
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - any of them
            host.dispatcher.webhooks.update(webhook.id, **change)
        things += [refused.value, repr(refused.value.name)]
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        host.dispatcher.webhooks.rotate_secret(webhook.id, secret=key + "x")
    things += [refused.value, str(refused.value)]

    shown = "\n".join([caplog.text, *map(repr, things), *map(str, things)])
    assert host.received()[0].headers["authorization"] == f"Bearer {header}"
    assert header not in shown
    assert key.removeprefix("whsec_")[:20] not in shown
