from __future__ import annotations

import json
import socket
import ssl
import threading

import httpx
import pytest
import trustme

import unihooks
from unihooks import Dispatcher, EventSubscription, TargetPolicy, Webhook
from unihooks.stores import MemoryStore


def _serve_once(listener, context, seen):
    raw, _ = listener.accept()
    with context.wrap_socket(raw, server_side=True) as connection:
        seen.append(connection.selected_alpn_protocol())
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")


def test_without_a_context_of_the_hosts_http_1_1_is_agreed_on_with_whom_the_system_trusts(tmp_path, monkeypatch):
    authority, seen = trustme.CA(), []
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert("hooks.example.com").configure_cert(context)
    targets = TargetPolicy(allow=["127.0.0.1/32"], resolver=lambda host, port: ["127.0.0.1"])
    with socket.create_server(("127.0.0.1", 0)) as listener, Dispatcher(MemoryStore(), targets=targets) as dispatcher:
        server = threading.Thread(target=_serve_once, args=(listener, context, seen))
        server.start()
        url = f"https://hooks.example.com:{listener.getsockname()[1]}/in"
        webhook = dispatcher.webhooks.add(Webhook(name="CRM", endpoints=[url]))
        [attempt] = dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)
        server.join()
    assert (attempt.status_code, seen) == (204, ["http/1.1"])


# Transports of the host's own.


def _add(dispatcher, url):
    webhook = Webhook(name="n", endpoints=[url], subscriptions=[EventSubscription("chat", "*")], status="active")
    return dispatcher.webhooks.add(webhook)


def test_a_mock_transport_gets_endpoint_and_deadline(new_dispatcher):
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, text="ok")

    dispatcher = new_dispatcher(transport=httpx.MockTransport(answer), targets=None)
    webhook = dispatcher.webhooks.add(
        Webhook(
            name="n", endpoints=["http://10.0.0.1/in"], subscriptions=[EventSubscription("chat", "*")], status="active"
        )
    )
    event = dispatcher.emit("chat", "x", {"a": 1})
    assert dispatcher.drain().delivered == 1

    (request,) = seen
    assert request.content == b'{"a":1}'
    assert request.headers["webhook-id"] == event.id
    extension = request.extensions["unihooks"]
    assert extension["endpoint_id"] == webhook.endpoints[0].id
    assert extension["deadline"] > 0
    (attempt,) = dispatcher.log.attempts(dispatcher.log.deliveries()[0].id)
    assert attempt.response_body == b"ok"


def test_an_asgi_transport_delivers_to_an_application(new_dispatcher):
    bodies = []

    async def application(scope, receive, send):
        bodies.append((scope["path"], json.loads((await receive())["body"])))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    dispatcher = new_dispatcher(transport=httpx.ASGITransport(application), targets=None)
    _add(dispatcher, "https://app.test/in")
    dispatcher.emit("chat", "x", 7)
    assert dispatcher.drain().delivered == 1
    assert bodies == [("/in", 7)]


def test_a_transport_that_raises_is_a_failed_attempt(new_dispatcher):
    def answer(_request):
        raise ValueError("s3cr3t")

    dispatcher = new_dispatcher(transport=httpx.MockTransport(answer), targets=None)
    _add(dispatcher, "https://app.test/in")
    dispatcher.emit("chat", "x", 7)
    dispatcher.drain()
    (attempt,) = dispatcher.log.attempts(dispatcher.log.deliveries()[0].id)
    assert attempt.error
    assert "s3cr3t" not in attempt.error


@pytest.mark.parametrize("many", [False, True], ids=["one", "a function that makes one"])
def test_a_transport_that_keeps_connections_works_over_several_loops(new_dispatcher, receiver, many):
    def make():
        return httpx.AsyncHTTPTransport(verify=receiver.ssl_context)

    dispatcher = new_dispatcher(transport=make if many else make(), targets=None)
    webhook = _add(dispatcher, receiver.url)
    for number in range(3):
        dispatcher.emit("chat", "x", number)
        assert dispatcher.drain().delivered == 1
    with dispatcher.running():
        dispatcher.emit("chat", "x", 3)
        receiver.wait_for(4)
    assert dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload=1)[0].succeeded


@pytest.mark.parametrize(
    "url", ["ftp://app.test/", "https://", "app.test", "https://[", "http://a b/", "https://u:p@app.test/"]
)
def test_without_a_policy_a_url_still_has_to_name_a_host(new_dispatcher, url):
    dispatcher = new_dispatcher(transport=httpx.MockTransport(lambda _: httpx.Response(200)), targets=None)
    with pytest.raises(unihooks.exceptions.TargetRefused):
        _add(dispatcher, url)


def test_a_transport_that_cannot_be_closed_does_not_spoil_the_drain(new_dispatcher, caplog):
    class Stubborn(httpx.MockTransport):
        async def aclose(self):
            raise RuntimeError("no")

    dispatcher = new_dispatcher(transport=Stubborn(lambda _: httpx.Response(200)), targets=None)
    _add(dispatcher, "https://app.test/")
    dispatcher.emit("chat", "x", 1)
    assert dispatcher.drain().delivered == 1
    assert "could not be closed" in caplog.text


def test_the_last_of_several_loops_closes_the_hosts_transport(new_dispatcher, until):
    closed = []

    class Counted(httpx.MockTransport):
        async def aclose(self):
            closed.append(True)

    dispatcher = new_dispatcher(transport=Counted(lambda _: httpx.Response(200)), targets=None)
    _add(dispatcher, "https://app.test/")
    with dispatcher.running() as _:
        dispatcher.emit("chat", "x", 1)
        assert until(lambda: dispatcher.log.deliveries(state="delivered"))
        dispatcher.drain()
        assert not closed
    assert closed == [True]


def test_a_value_that_is_no_transport_is_a_type_error():
    with pytest.raises(TypeError, match="AsyncBaseTransport"):
        unihooks.Dispatcher(MemoryStore(), transport="https", targets=None)
