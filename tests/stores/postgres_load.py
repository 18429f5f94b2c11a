"""Emit beside a running worker while a PostgreSQL server has trouble, and check the result."""

from __future__ import annotations

import base64
import os
import sys
import threading
from collections import Counter
from contextlib import contextmanager

from waiting import wait_for

from unihooks import Dispatcher, EventSubscription, Webhook
from unihooks.abc import DeliveryFilter, EventFilter, Window
from unihooks.exceptions import StoreError
from unihooks.stores import PostgresStore

CONCURRENCY = 20
_PATIENCE = 40.0


class Load:
    """A thread that emits continuously beside a worker, and records what was stored and what was refused."""

    def __init__(self, receiver, dsn, schema="unihooks", size=100):
        self._store = PostgresStore(dsn, schema=schema)
        self.dispatcher = Dispatcher(self._store, targets=receiver.targets, ssl_context=receiver.ssl_context)
        self.stored = []
        self.refused = []
        self._size = size
        self._receiver = receiver
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._emit)

    @contextmanager
    def running(self):
        webhook = Webhook(
            name="CRM sync",
            endpoints=[self._receiver.url_for("/crm")],
            subscriptions=[EventSubscription("shop", "*")],
        )
        self.dispatcher.webhooks.activate(self.dispatcher.webhooks.add(webhook).id)
        self._thread.start()
        try:
            with self.dispatcher.running(concurrency=CONCURRENCY):
                yield
        finally:
            self.end_emitting()
            self.dispatcher.close()

    def goes_on(self, count=100):
        """Wait until more has been stored and delivered."""
        stored, received = len(self.stored) + count, len(self._receiver.requests) + count
        wait_for(lambda: len(self.stored) > stored and len(self._receiver.requests) > received, _PATIENCE)

    def judge(self, what):
        """Check that everything stored is delivered and recorded, and print the figures."""
        self.end_emitting()
        wait_for(self.is_idle, _PATIENCE)
        sent = Counter(one.headers["webhook-id"] for one in self._receiver.requests)
        again = sum(sent.values()) - len(sent)
        assert set(sent) == set(self.stored)
        everything = Window(limit=100_000)
        states = Counter(one.state for one in self._store.list_deliveries("default", DeliveryFilter(), everything))
        assert states == {"delivered": len(self.stored)}
        assert again <= CONCURRENCY
        sys.stdout.write(f"{what}: {len(self.stored)} stored, {len(self.refused)} refused, {again} sent again, 0 lost")

    def _emit(self):
        while not self._stopping.wait(0.004):
            noise = base64.b64encode(os.urandom(self._size)).decode()
            try:
                self.stored.append(self.dispatcher.emit("shop", "order.paid", {"noise": noise}).id)
            except StoreError as error:
                self.refused.append(str(error))

    def end_emitting(self):
        """Stop emitting."""
        self._stopping.set()
        self._thread.join()

    def kept(self):
        """Return the ids of the events that are in the log."""
        return {one.id for one in self._store.list_events("default", EventFilter(), Window(limit=100_000))}

    def is_listening(self):
        """Return whether the worker is notified of others' events."""
        return self._store._postgres._unchecked().signals.is_listening

    def is_waiting(self):
        """Return whether an emit has found the server unreachable."""
        plain = self._store._postgres._unchecked().emitter._plain
        return plain.trouble != plain._silent

    def is_idle(self):
        """Return whether everything is delivered."""
        stats = self.dispatcher.stats()
        return stats.oldest_unplanned is None and stats.due == stats.in_flight == 0
