"""A failing egress costs no attempt, does not count against endpoints, and is reported only to the operator."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager, suppress

import pytest

from unihooks import Dispatcher, Egress, Worker
from unihooks.exceptions import InvalidArgument
from unihooks.stores import MemoryStore
from unihooks.transport import OWN_FAULT

BARRED = Egress(bind="203.0.113.7")


@pytest.fixture
def barred(new_dispatcher):
    """Give a dispatcher whose proxy does not listen."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return new_dispatcher(egress=Egress(proxy=f"http://hooks:s3cr3t@127.0.0.1:{port}"))


@contextmanager
def proxy_that_answers(answer):
    """Run a proxy that sends this response on each connection."""

    def serve(listener):
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield Egress(proxy=f"http://127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("status, attempts", [(403, 0), (502, 1), (503, 1), (504, 1)])
def test_a_refusal_of_the_proxy_costs_no_attempt_and_no_health(host, new_dispatcher, status, attempts):
    webhook = host.webhook()
    host.emit()
    with proxy_that_answers(b"HTTP/1.1 %d No\r\n\r\n" % status) as egress:
        new_dispatcher(egress=egress).drain()
    assert (host.only().state, host.only().attempt_count) == ("pending", attempts)
    [endpoint] = host.dispatcher.webhooks.get(webhook.id).endpoints
    assert endpoint.health.failures == attempts


def test_a_delivery_without_egress_waits_without_an_attempt_and_is_sent_later(host, barred, caplog):
    host.webhook()
    host.emit()
    result = barred.drain()
    assert (result.planned, result.attempted, result.delivered, result.failed) == (1, 0, 0, 0)
    waiting = host.only()
    assert (waiting.state, waiting.attempt_count, waiting.reason) == ("pending", 0, OWN_FAULT)
    assert 4 <= (waiting.next_attempt_at - host.clock.now).total_seconds() <= 6
    assert list(host.dispatcher.log.attempts(waiting.id)) == []
    assert list(host.dispatcher.overview().failing) == []
    assert "cannot be reached" in caplog.text
    assert "s3cr3t" not in caplog.text

    host.clock.advance(7)
    assert host.dispatcher.drain().delivered == 1
    assert (host.only().state, host.only().attempt_count) == ("delivered", 1)


def test_it_waits_longer_the_longer_nothing_gets_out(host, barred, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("unihooks._delivery.sending.uniform", lambda low, high: 1.0)
    monkeypatch.setattr("unihooks._delivery.sending.time.monotonic", lambda: now[0])
    from unihooks._delivery.sending import Sender

    sender = Sender.__new__(Sender)
    sender._barred_since = 0.0
    pauses = []
    for _ in range(4):
        pauses.append(Sender._pause_us(sender) / 1_000_000)
        now[0] += 30
    assert pauses == [5, 30, 60, 60]


@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_a_test_send_says_that_the_sender_is_at_fault(host, barred):
    webhook = host.webhook()
    [attempt] = barred.webhooks.send_test(webhook.id, product="chat", event_type="message.received", payload=1)
    assert (attempt.status_code, attempt.error) == (None, OWN_FAULT)


def test_a_worker_does_not_start_where_the_address_is_not_the_machines(tmp_path):
    with closing(Dispatcher(MemoryStore(), egress=BARRED)) as dispatcher:
        # A process that only emits may run on another machine than its workers.
        dispatcher.emit("chat", "message.received", {})
        with pytest.raises(InvalidArgument, match=r"cannot send from 203\.0\.113\.7"):
            Worker(dispatcher)
        with pytest.raises(InvalidArgument), dispatcher.running():
            pass
        with pytest.raises(InvalidArgument):
            dispatcher.drain()


def test_egress_works_only_with_the_built_in_transport():
    import httpx

    with pytest.raises(TypeError, match="egress is for the built-in transport"):
        Dispatcher(MemoryStore(), transport=httpx.MockTransport(lambda _: None), targets=None, egress=BARRED)


def test_egress_is_an_egress():
    with pytest.raises(TypeError, match="egress must be an Egress, such as"):
        Dispatcher(MemoryStore(), egress="203.0.113.7")
