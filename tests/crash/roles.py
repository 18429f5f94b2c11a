"""The roles of the processes that are killed and frozen: emitter, worker, or both."""

from __future__ import annotations

import os
import random
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import asdict, define, frozen
from databases import ERRORS, Database

from unihooks import (
    CircuitBreaker,
    DeliveryPolicy,
    Dispatcher,
    Emission,
    EventSubscription,
    PayloadMapping,
    RetryPolicy,
    TargetPolicy,
    Webhook,
    Worker,
)
from unihooks._message import requests
from unihooks.exceptions import StoreError

DEADLINE = 1.0
LEASE = DEADLINE + 5
# A frozen process keeps its locks in PostgreSQL for so many seconds; until then, others cannot record.
HELD_UP = 5
CONCURRENCY = 16
PER_ENDPOINT = 8
# Two of a plain webhook, and one each of a mapped, an ordered and a rate-limited one.
ENDPOINTS = 5
MAPPED, ORDERED, LIMITED = 2, 3, 4
# Per second: so few that some wait while events come fast.
RATE = 100
SUBJECTS = 8
PRODUCT, EVENT_TYPE = "crash", "something.happened"


@frozen
class Scene:
    """A database with a journal, and the receiver's paths that belong to it."""

    folder: str
    name: str
    port: int
    authority: str
    dsn: str = ""
    # The receiver's, and how many times slower than usual emitters are.
    address: str = "127.0.0.1"
    slower: float = 1.0

    @property
    def place(self) -> Database:
        """The store's database, which is the host's own as well."""
        return Database(self.dsn, self.name) if self.dsn else Database(str(Path(self.folder) / f"{self.name}.db"))

    @property
    def lease(self) -> float:
        """The duration of a lease, in seconds."""
        return LEASE + HELD_UP if self.dsn else LEASE

    @property
    def journal(self) -> str:
        """The file in which emitters take notes before and after each emit."""
        return str(Path(self.folder) / f"{self.name}.journal")

    def path(self, number: int) -> str:
        """The path of one of the endpoints."""
        return f"/{self.name}/{number}"

    def options(self) -> dict[str, Any]:
        """The options that a process needs."""
        return {"scene": asdict(self)}


def open_dispatcher(scene: Scene) -> Dispatcher:
    """Return a new dispatcher on the scene's database."""
    return Dispatcher(
        scene.place.store(),
        targets=TargetPolicy(allow=[f"{scene.address}/32"]),
        retries=RetryPolicy.from_delays([0.1] * 200, jitter=0.2),
        ssl_context=ssl.create_default_context(cadata=scene.authority),
        deadline=DEADLINE,
        breaker=CircuitBreaker(pause=1.0, longest=2.0),
    )


def set_up(scene: Scene, dispatcher: Dispatcher) -> list[Webhook]:
    """Register a webhook with two endpoints, a mapped, an ordered and a limited one, and a table of the host's own."""
    urls = [f"https://{scene.address}:{scene.port}{scene.path(number)}" for number in range(ENDPOINTS)]
    subscriptions = [EventSubscription(PRODUCT, EVENT_TYPE)]
    plain = Webhook(name="plain", endpoints=urls[:2], subscriptions=subscriptions)
    mapped = Webhook(
        name="mapped",
        endpoints=[urls[MAPPED]],
        subscriptions=subscriptions,
        mapping=PayloadMapping(rename={"text": "words"}),
    )
    ordered = Webhook(name="ordered", endpoints=[urls[ORDERED]], subscriptions=subscriptions, ordered=True)
    limited = Webhook(
        name="limited", endpoints=[urls[LIMITED]], subscriptions=subscriptions, policy=DeliveryPolicy(rate=RATE)
    )
    added = [dispatcher.webhooks.add(webhook, tenant="default") for webhook in (plain, mapped, ordered, limited)]
    for webhook in added:
        dispatcher.webhooks.activate(webhook.id, tenant="default")
    scene.place.make_orders()
    return added


def payload_of(nonce: str) -> dict[str, Any]:
    """Return the one payload that is emitted with this nonce."""
    return {"nonce": nonce, "text": "é" * (int(nonce.rpartition(".")[2]) % 50)}


def subject_of(nonce: str) -> str:
    """Return the subject of the event with this nonce: each emitter uses subjects of its own, in turn."""
    name, _, number = nonce.rpartition(".")
    return f"{name}/{int(number) % SUBJECTS}"


# The roles.


def emit(scene: dict[str, str], name: str) -> None:
    """Emit for ever."""
    there = Scene(**scene)
    _emit_for_ever(there, open_dispatcher(there), name)


def work(scene: dict[str, str], name: str) -> None:
    """Run a worker."""
    _sign_as(name)
    there = Scene(**scene)
    with open_dispatcher(there) as dispatcher:
        Worker(dispatcher, concurrency=CONCURRENCY, per_endpoint=PER_ENDPOINT, lease=there.lease).run()


def host(scene: dict[str, str], name: str) -> None:
    """Emit for ever, with the worker in a thread of the same process."""
    _sign_as(name)
    there = Scene(**scene)
    dispatcher = open_dispatcher(there)
    with dispatcher.running(concurrency=CONCURRENCY, per_endpoint=PER_ENDPOINT, lease=there.lease):
        _emit_for_ever(there, dispatcher, name)


ROLES: dict[str, Callable[..., None]] = {"emit": emit, "work": work, "host": host}


def _sign_as(name: str) -> None:
    # It tells which process made a request or an attempt of the log.
    requests.USER_AGENT = name


def _emit_for_ever(scene: Scene, dispatcher: Dispatcher, name: str) -> None:
    rng = random.Random(name)
    journal = os.open(scene.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    host = _Host(scene.place, dispatcher)
    number = 0
    while True:
        nonces = [f"{name}.{number + more}" for more in range(rng.choice([1, 1, 1, 3]))]
        number += len(nonces)
        joined = len(nonces) == 1 and rng.random() < 0.2
        for nonce in nonces:
            os.write(journal, f"{'join' if joined else 'try'} {nonce}\n".encode())
        try:
            ids = [host.emit(nonces[0])] if joined else _emit(dispatcher, nonces)
        except (StoreError, *ERRORS) as error:
            os.write(journal, f"refused {nonces[0]} {' '.join(str(error).split())}\n".encode())
        else:
            os.write(journal, "".join(f"ok {pair[0]} {pair[1]}\n" for pair in zip(nonces, ids, strict=True)).encode())
        time.sleep(rng.uniform(0.002, 0.012) * scene.slower)


def _emit(dispatcher: Dispatcher, nonces: list[str]) -> list[str]:
    if len(nonces) == 1:
        return [dispatcher.emit(PRODUCT, EVENT_TYPE, payload_of(nonces[0]), subject=subject_of(nonces[0])).id]
    emissions = [Emission(PRODUCT, EVENT_TYPE, payload_of(one), subject=subject_of(one)) for one in nonces]
    return [event.id for event in dispatcher.emit_many(emissions)]


@define
class _Host:
    """A host that emits in transactions of its own: its row and the event are committed together or not at all."""

    place: Database
    dispatcher: Dispatcher
    connection: Any = None

    def emit(self, nonce: str) -> str:
        if self.connection is None:
            self.connection = self.place.connect()
        try:
            emitted = self.place.order(self.connection, nonce, lambda connection: self._emit_on(connection, nonce))
        except BaseException:
            # Closing the connection rolls back an open transaction.
            self.connection.close()
            self.connection = None
            raise
        self.dispatcher.wake()
        return emitted

    def _emit_on(self, connection: Any, nonce: str) -> str:
        options = {"connection": connection, "subject": subject_of(nonce)}
        return self.dispatcher.emit(PRODUCT, EVENT_TYPE, payload_of(nonce), **options).id
