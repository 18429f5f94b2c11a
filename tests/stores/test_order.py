"""Order over worker processes: retries, responses at random speed, and a kill do not change it."""

from __future__ import annotations

import json
import random
import ssl
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from processes import line_of
from waiting import wait_for

from unihooks import Emission, EventSubscription, Webhook
from unihooks.testing import Receiver
from unihooks.testing._answers import Answer

SCRIPT = Path(__file__).with_name("worker_process.py")
PATHS = ("/crm", "/audit")
STUCK = "order/0"
# Of a worker that was killed, what it had leased goes on when the lease has ended. A breaker would pause the endpoint
# of which one subject is stuck, once all others are done.
HURRIED = {"deadline": 1.0, "lease": 6.0, "delays": [0.05, 0.1, 0.2, 0.5, *[1.0] * 500], "breaker": False}


class Moody(Receiver):
    """A receiver that responds after a random time, fails sometimes, and always for one subject at one endpoint."""

    def __init__(self):
        super().__init__()
        self.rng = random.Random(7)
        self.is_stuck = True

    def _handle(self, request):
        super()._handle(request)
        if self.is_stuck and request.path == PATHS[0] and request.headers["unihooks-subject"] == STUCK:
            return Answer(503)
        return Answer(
            204 if self.rng.random() < 0.95 else 503, delay=self.rng.choice([0, 0, self.rng.uniform(0, 0.03)])
        )

    def arrived(self):
        """Return the numbers of the events that have arrived, by path and subject, in the order of their arrival."""
        numbers = defaultdict(list)
        for one in self.requests:
            numbers[one.path, one.headers["unihooks-subject"]].append(json.loads(one.body)["n"])
        return numbers


@pytest.fixture
def receiver():
    with Moody() as receiver:
        yield receiver


@pytest.fixture
def start_worker(place, receiver):
    """Start worker processes; those alive at the end have to end in order."""
    kind, options = place
    authority = "".join(map(ssl.DER_cert_to_PEM_cert, receiver.ssl_context.get_ca_certs(binary_form=True)))
    told = json.dumps({"kind": kind.__name__, "options": options, "authority": authority, **HURRIED})
    running = []

    def start():
        process = subprocess.Popen([sys.executable, str(SCRIPT), told], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert line_of(process.stdout) == "ready\n"
        return process

    yield start
    living = [process for process in running if process.poll() is None]
    for process in living:
        process.terminate()
    codes = [process.wait(25) for process in living]
    for process in running:
        process.stdout.close()
    assert set(codes) <= {0}


def out_of_order(numbers):
    """Return the arrivals that are neither the next event of their subject nor a repetition of the last one."""
    last, wrong = -1, []
    for number in numbers:
        if number not in (last, last + 1):
            wrong.append(number)
        last = max(last, number)
    return wrong


@pytest.mark.slow
def test_events_of_a_subject_arrive_in_order_over_worker_processes_of_which_one_is_killed(
    open_dispatcher, receiver, start_worker
):
    subjects, events, processes = 50, 200, 4
    dispatcher = open_dispatcher()
    webhook = Webhook(
        name="CRM sync",
        endpoints=[receiver.url_for(path) for path in PATHS],
        subscriptions=[EventSubscription("shop", "*")],
        ordered=True,
    )
    dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)
    workers = [start_worker() for _ in range(processes)]
    for number in range(events):
        dispatcher.emit_many(
            [Emission("shop", "order.changed", {"n": number}, subject=f"order/{one}") for one in range(subjects)]
        )
    wait_for(lambda: len(receiver.requests) > subjects * events / 3, 120)
    workers[0].kill()
    workers[0].wait(30)

    patience = 20 + subjects * events / 50
    wanted = {(path, f"order/{one}") for path in PATHS for one in range(subjects)}
    others = wanted - {(PATHS[0], STUCK)}
    wait_for(lambda: all(events - 1 in receiver.arrived()[key] for key in others), patience)
    assert set(receiver.arrived()[PATHS[0], STUCK]) == {0}
    receiver.is_stuck = False
    wait_for(lambda: not dispatcher.log.deliveries(state="pending", limit=1).items, patience)

    arrived = receiver.arrived()
    assert set(arrived) == wanted
    assert {len(set(numbers)) for numbers in arrived.values()} == {events}
    assert {key: wrong for key, numbers in arrived.items() if (wrong := out_of_order(numbers))} == {}
