from __future__ import annotations

import socket
import ssl
import threading

import trustme

from unihooks import Dispatcher, TargetPolicy, Webhook
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
