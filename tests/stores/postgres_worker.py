"""A worker in a separate process that plans, claims, "sends" to a file and records, until it is killed.

`python postgres_worker.py DSN SCHEMA FILE LEASE` works; with `emit` as the fifth argument it emits
and prints the ids of what is stored.
"""

from __future__ import annotations

import os
import secrets
import sys
import time

from unihooks._base.ids import new_id
from unihooks._contract.planning import NewEvent
from unihooks._model.log import DeliveryState
from unihooks.abc import AttemptRow, Capacity, Lease, Result
from unihooks.exceptions import StoreError
from unihooks.stores import PostgresStore


def work(store, path, seconds):
    sent = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    tell("ready")
    while True:
        try:
            claimed = taken(store, seconds)
            for one in claimed:
                os.write(sent, f"{one.event_id}:{one.endpoint_id} {os.getpid()}\n".encode())
                time.sleep(0.0005)
            store.record([delivered(store, one) for one in claimed])
        except StoreError:
            time.sleep(0.02)
        else:
            time.sleep(0 if claimed else 0.01)


def tell(*lines):
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def taken(store, seconds):
    lease = Lease(token=secrets.randbits(62), seconds=seconds)
    planned = store.plan(lease, Capacity(10, 5), 20).claimed
    return planned or store.claim(lease, Capacity(10, 5))


def delivered(store, claimed):
    attempt = AttemptRow(claimed.attempt_count + 1, "https://x/", store.now(), 5, 200, None, "[]", "[]", b"")
    return Result(claimed, attempt, DeliveryState.DELIVERED)


def emit(store):
    tell("ready")
    while True:
        at = store.now()
        events = [NewEvent(new_id("evt_", at), "default", "shop", "order.paid", b"{}", at) for _ in range(5)]
        try:
            outcomes = store.submit_events(events).result()
        except StoreError:
            time.sleep(0.02)
            continue
        stored = [one.id for one in outcomes if not isinstance(one, Exception)]
        if stored:
            tell(*stored)
        time.sleep(0.005)


if __name__ == "__main__":
    opened = PostgresStore(sys.argv[1], schema=sys.argv[2])
    opened.now()
    if sys.argv[5:] == ["emit"]:
        emit(opened)
    work(opened, sys.argv[3], float(sys.argv[4]))
