"""Servers of the testing kit send writes at once, in as many pieces as they were written."""

from __future__ import annotations

import socket

from unihooks.testing import Receiver
from unihooks.testing._hostile import Hostile
from unihooks.testing._server import Server


def sends_at_once(connection):
    return bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def ask(port, context):
    connection = socket.create_connection(("127.0.0.1", port))
    with context.wrap_socket(connection, server_hostname="localhost") as client:
        client.sendall(b"POST /ok HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        assert client.recv(100)


def test_a_hostile_server_keeps_no_small_write_back(monkeypatch):
    seen = []
    real = Hostile._converse
    monkeypatch.setattr(
        Hostile, "_converse", lambda self, connection: seen.append(sends_at_once(connection)) or real(self, connection)
    )
    with Hostile() as hostile:
        ask(hostile.port, hostile.ssl_context)
    assert seen == [True]


def test_a_receiver_keeps_no_small_write_back(monkeypatch):
    seen = []
    real = Server._converse

    async def noting(self, reader, writer):
        seen.append(sends_at_once(writer.get_extra_info("socket")))
        await real(self, reader, writer)

    monkeypatch.setattr(Server, "_converse", noting)
    with Receiver() as receiver:
        ask(receiver.port, receiver.ssl_context)
    assert seen == [True]
