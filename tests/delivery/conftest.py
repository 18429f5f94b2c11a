"""Fixtures for tests of deliveries: stores that fail, and a worker that does not wait long."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading

import pytest
from processes import START, end_all

from unihooks import Dispatcher, EventSubscription, Webhook
from unihooks.exceptions import StoreError
from unihooks.stores import SQLiteStore
from unihooks.testing import Receiver


@pytest.fixture
def failing(monkeypatch):
    """Make a method of a store raise this many times, then work again."""

    def fail(store, verb, *, times=1, error=None):
        whole, left = getattr(type(store), verb), [times]

        def broken(self, *args, **options):
            if left[0] > 0:
                left[0] -= 1
                raise error or StoreError("the disk is full")
            return whole(self, *args, **options)

        monkeypatch.setattr(type(store), verb, broken)
        return left

    return fail


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.pacing._STORE_PATIENCE_SECONDS", 0.01)


@pytest.fixture
def until():
    """Return a function that waits until a condition holds; it returns whether that happened within the timeout."""

    def until(condition, timeout=15):
        pause = threading.Event()
        for _ in range(timeout * 100):
            if condition():
                return True
            pause.wait(0.01)
        return False

    return until


@pytest.fixture
def processes(receiver: Receiver, tmp_path):
    """Start Python processes with a dispatcher of the same file; end those that are left, with their children."""
    authority = tmp_path / "authority.pem"
    (certificate,) = receiver.ssl_context.get_ca_certs(binary_form=True)
    authority.write_text(ssl.DER_cert_to_PEM_cert(certificate))
    started = []

    def start(script: str, *, before: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", f"{before}\n{START}\n{script}", str(tmp_path / "webhooks.db"), str(authority)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        end_all(process)


@pytest.fixture
def dispatcher(receiver: Receiver, tmp_path):
    """Give a dispatcher of the file that the processes use, with a webhook."""
    store = SQLiteStore(tmp_path / "webhooks.db")
    with Dispatcher(store, targets=receiver.targets, ssl_context=receiver.ssl_context) as dispatcher:
        dispatcher.webhooks.add(
            Webhook(
                name="n",
                endpoints=[f"https://127.0.0.1:{receiver.port}/in"],
                subscriptions=[EventSubscription("chat", "*")],
                status="active",
            )
        )
        yield dispatcher
