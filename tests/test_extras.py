"""An extra changes only the speed: with and without it, the same is accepted and the same bytes are sent."""

from __future__ import annotations

import asyncio
import os
import re
import socketserver
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from unihooks import (
    Dispatcher,
    EventSubscription,
    HeaderSet,
    PayloadMapping,
    RetryPolicy,
    Secret,
    TargetPolicy,
    Webhook,
)
from unihooks._base import ids
from unihooks.stores import MemoryStore
from unihooks.testing import FakeClock

pytest.importorskip("uvloop")

TESTS = Path(__file__).parent
# The tests of what is accepted and sent. The other tests of the transport and of the worker choose the event loop.
SUITE = [
    "test_end_to_end.py",
    "message/test_payload.py",
    "message/test_mapping.py",
    "message/test_headers.py",
    "message/test_header_pairs.py",
    "message/test_signing.py",
    "message/test_requests.py",
    "transport/test_contract.py",
]
ANSWERS = {
    "/none": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/long": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nX-One: 1\r\nX-One: 2\r\n\r\n" + b"x" * 100_000,
    "/chunked": b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: 1\r\n\r\n",
    "/old": b"HTTP/1.0 200 OK\r\n\r\nto the end",
    "/early": b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "/busy": b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 4\r\n\r\nbusy",
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbroken",
    "/bare": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "/folded": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "/twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "/both": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "/junk": b"SSH-2.0-OpenSSH_9.2\r\n",
    "/mute": b"",
}
LASTING = {"/none", "/long", "/chunked", "/early", "/busy"}
PAYLOADS = [
    {},
    {"text": "héllo \u2028 \U0001f600 \x7f", "sender": {"name": "n"}, "content": {"text": "hi"}},
    [1, -0.0, 1e-07, 1e22, 10**30, None, True, {"": [[]]}],
    {"text": "x" * 200_000},
]


@pytest.mark.slow
def test_accepting_and_sending_are_tested_without_uvloop_too(tmp_path):
    # Python finds this file before the real uvloop, also in the processes that the tests start.
    (tmp_path / "uvloop.py").write_text("raise ModuleNotFoundError('it is away', name='uvloop')")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))

    def python(*arguments):
        command = [sys.executable, *arguments]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(
            command, env=environment, cwd=TESTS.parent, capture_output=True, text=True, timeout=300, check=False
        )

    assert "it is away" in python("-c", "import uvloop").stderr
    run = python(
        "-m", "pytest", "-qx", "-pno:cacheprovider", "-knot uvloop and not postgres", *(f"tests/{one}" for one in SUITE)
    )
    assert run.returncode == 0, run.stdout[-4000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed
    assert int(passed[1]) > 400


def test_same_bytes_are_sent_and_same_responses_accepted_with_and_without_uvloop(monkeypatch):
    with Endpoints(("127.0.0.1", 0), Exchange) as recorder:
        threading.Thread(target=recorder.serve_forever, args=(0.01,), daemon=True).start()
        fast = recorder.record(monkeypatch)
        monkeypatch.setitem(sys.modules, "uvloop", None)
        plain = recorder.record(monkeypatch)
        recorder.shutdown()
    assert fast.loops == {"uvloop"}
    assert plain.loops == {"asyncio"}
    assert fast.attempts == plain.attempts
    assert {one[0] for one in fast.attempts} == {f"{recorder.url}{path}" for path in ANSWERS}
    assert fast.sent == plain.sent
    assert fast.sent.keys() == ANSWERS.keys()


class Exchange(socketserver.StreamRequestHandler):
    """One connection: it records the bytes it receives, and responds according to the path."""

    def handle(self):
        while head := self.head():
            path = head.split(b" ")[1].decode()
            length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
            self.server.sent[path].append(head + b"\r\n" + self.rfile.read(length))
            self.wfile.write(ANSWERS[path])
            if path not in LASTING:
                return

    def head(self):
        lines = []
        while (line := self.rfile.readline()) not in {b"\r\n", b""}:
            lines.append(line)
        return b"".join(lines)


class Endpoints(socketserver.ThreadingTCPServer):
    """Every customer's endpoint: it records what is sent by a host with fixed time, ids and secret."""

    daemon_threads = True
    sent: dict[str, list[bytes]]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def record(self, monkeypatch):
        self.sent = defaultdict(list)
        monkeypatch.setattr(ids, "os", SimpleNamespace(urandom=bytes, getpid=os.getpid))
        monkeypatch.setattr(ids, "_sequence", ids._Sequence())
        loops = set()
        clock = FakeClock()
        targets = TargetPolicy(allow_http=True, allow=["127.0.0.0/8"])
        retries = RetryPolicy.from_delays([60], jitter=0)

        async def note(_):
            loops.add(type(asyncio.get_running_loop()).__module__.partition(".")[0])

        options = {"clock": clock, "targets": targets, "retries": retries, "on_delivery": note, "breaker": None}
        with Dispatcher(MemoryStore(), **options) as dispatcher:
            for path in ANSWERS:
                self.add_webhook(dispatcher, path)
            for payload in PAYLOADS:
                dispatcher.emit("chat", "message.received", payload)
            for _ in range(2):
                dispatcher.drain()
                clock.advance(3600)
            deliveries = dispatcher.log.deliveries(limit=250)
            attempts = [attempt for one in deliveries for attempt in dispatcher.log.attempts(one.id)]
        told = sorted(
            (
                one.url,
                one.delivery_id,
                one.number,
                one.status_code,
                str(one.error),
                one.request_headers,
                one.response_headers,
                one.response_body,
                one.warnings,
            )
            for one in attempts
        )
        return SimpleNamespace(
            loops=loops, attempts=told, sent={path: sorted(sent) for path, sent in self.sent.items()}
        )

    def add_webhook(self, dispatcher, path):
        webhook = dispatcher.webhooks.add(
            Webhook(
                name=path,
                endpoints=[self.url + path],
                subscriptions=[EventSubscription("chat", "*")],
                mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
                headers=HeaderSet({"Authorization": "Bearer s3cr3t", "X-Path": path}),
                secrets=[Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
            )
        )
        dispatcher.webhooks.activate(webhook.id)
