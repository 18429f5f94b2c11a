"""Cut hosts off from one another at random moments, and show that no event is lost.

Run `python tests/hosts/hosts.py --rounds 8 --seed 7`, as root on Linux. A database, three workers, a second emitter
beside one of them, and a receiver have a host each: a network namespace that this process makes itself. A round cuts
a worker off from the database or from everything, now longer than a lease and now shorter; for a part of that time
the receiver is cut off as well, from all workers. Packets vanish without a word. When they arrive again, the other
workers are ended, and the one that was cut off has to go on by itself.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

sys.path.insert(0, str(Path(__file__).parents[1] / "crash"))

from checks import SLOWEST_ANSWER, Figures
from crash import Play, Stage, report, say
from network import Network, Unavailable, enter
from processes import Blow, Child, Processes
from roles import DEADLINE, ENDPOINTS, ROLES

from unihooks.testing import Receiver
from unihooks.testing._answers import Answer

# `roles` has brought the folder of the helpers.
import postgres_server  # isort: skip

WORKERS = ("worker1", "worker2", "worker3")
HOSTS = ("database", "receiver", *WORKERS)
SLOWER = 10.0
# In fewer, the cuts may all have come between a record and the next request.
ENOUGH_ROUNDS = 4
# A connection that was cut off retransmits after growing pauses: the last one is as long as the cut.
PATIENCE = 60.0


def _elsewhere(role: Any) -> Any:
    def play(namespace: int, **options: Any) -> None:
        enter(namespace)
        role(**options)

    return play


@frozen
class Remote:
    """A database server at an address of its own."""

    address: str


@define
class Hosts:
    """The network, the processes on each worker's host, and the cuts so far."""

    play: Play
    network: Network
    workers: dict[str, Child] = field(factory=dict)
    slowest: float = 0.0
    # The hosts that were cut off, and the times of the cut.
    spans: list[tuple[str, float, float]] = field(factory=list)

    def start(self, role: str, name: str) -> Child:
        """Start a process on a host."""
        return self.play.start(role, namespace=self.network.hosts[name].namespace)

    def fill(self) -> None:
        """Start a worker on every host without one."""
        for name in WORKERS:
            if name not in self.workers:
                self.workers[name] = self.start("work", name)

    def leave_only(self, kept: str) -> None:
        """End all other workers in order."""
        for name in [name for name in self.workers if name != kept]:
            self.play.end(self.workers.pop(name))

    @contextmanager
    def cut(self, struck: str, name: str, other: str = "") -> Iterator[None]:
        """Cut a host off, and record for how long."""
        before = time.time()
        with self.network.cut(name, other):
            yield
        self.spans.append((name, before, time.time()))
        # Until its leases have ended, a worker may send what it had claimed before.
        after = max(time.time(), before + self.play.scene.lease) if name in WORKERS else time.time()
        self.play.blows.append(Blow(struck, "cut", before, after))

    def longest_silence(self) -> float:
        """Return the longest time without a request while a worker, but not the receiver, was cut off."""
        deaf = [(start, end + DEADLINE) for name, start, end in self.spans if name == "receiver"]
        times = [request.received_at.timestamp() for request in self.play.stage.receiver.requests]
        silences = [0.0]
        for name, start, end in self.spans:
            marks = sorted([start, *(at for at in times if start < at < end), end])
            silences += [
                later - earlier
                for earlier, later in pairwise(marks)
                if name != "receiver" and not any(first < later and earlier < last for first, last in deaf)
            ]
        return max(silences)


def cut_round(hosts: Hosts, number: int) -> None:
    """Cut a worker off, and the receiver for a part of that time; then let this worker continue alone."""
    play, rng, lease = hosts.play, hosts.play.rng, hosts.play.scene.lease
    hosts.fill()
    play.sleep(0.3, 1.0)
    name = _next_to_send(hosts)
    play.sleep(0.0, 2 * SLOWEST_ANSWER)
    seconds = rng.uniform(lease + 0.5, lease + 2.0) if number % 2 == 0 else rng.uniform(1.0, 5.0)
    with hosts.cut(hosts.workers[name].name, name, "database" if number % 4 < 2 else ""):
        before = rng.uniform(0.0, seconds / 2)
        time.sleep(before)
        with hosts.cut("receiver", "receiver"):
            meanwhile = rng.uniform(0.3, seconds / 3)
            time.sleep(meanwhile)
        time.sleep(seconds - before - meanwhile)
    _go_on_alone(hosts, name)


def _next_to_send(hosts: Hosts) -> str:
    """Wait for a request and return its worker's host: a worker with nothing in flight would show nothing."""
    receiver = hosts.play.stage.receiver
    request = receiver.wait_for(len(receiver.requests) + 1, PATIENCE)[-1]
    return next(name for name, child in hosts.workers.items() if child.name == request.headers["user-agent"])


def _go_on_alone(hosts: Hosts, name: str) -> None:
    """Wait until the worker delivers an event that was emitted after all others had ended."""
    began = time.monotonic()
    play, worker = hosts.play, hosts.workers[name].name
    hosts.leave_only(name)
    newest = play.dispatcher.log.events(limit=1).items[0].id
    while not any(
        request.headers["webhook-id"] > newest and request.headers["user-agent"] == worker
        for request in reversed(play.stage.receiver.requests)
    ):
        if time.monotonic() > began + PATIENCE:
            raise TimeoutError(f"{worker} on {name} has not gone on {PATIENCE:g} s after it was cut off")
        time.sleep(0.05)
    hosts.slowest = max(hosts.slowest, time.monotonic() - began)


def run(rounds: int, seed: int) -> Figures:
    """Run all rounds and return their figures."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        network = stack.enter_context(Network(*HOSTS))
        processes = stack.enter_context(Processes({name: _elsewhere(role) for name, role in ROLES.items()}))
        # The checks of this process, and the server itself, are on the database's host.
        database, outside = network.hosts["database"], network.hosts["receiver"]
        stack.enter_context(database.visited())
        server = stack.enter_context(postgres_server.serving(database.address, fsync="on", max_connections="200"))
        receiver = Receiver(names=[outside.address])
        receiver._server.address = outside.address
        with outside.visited():
            stack.enter_context(receiver)
        stage = Stage(processes, receiver, folder, seed, Remote(server.dsn), address=outside.address, slower=SLOWER)
        play = stack.enter_context(stage.scene("hosts"))
        return _play(Hosts(play, network), rounds)


def _play(hosts: Hosts, rounds: int) -> Figures:
    play = hosts.play
    for number in range(ENDPOINTS):
        delay = play.rng.uniform(SLOWEST_ANSWER / 2, SLOWEST_ANSWER)
        play.stage.receiver.on(play.scene.path(number)).always(Answer(204, delay=delay))
    emitters = [hosts.start("emit", name) for name in ("database", WORKERS[-1])]
    for number in range(rounds):
        cut_round(hosts, number)
        say(f"{number + 1} of {rounds}: {len(play.stage.receiver.requests)} requests")
    hosts.fill()
    for emitter in emitters:
        play.kill(emitter)
    if not play.settle(PATIENCE):
        return Figures(problems=[f"not at rest after {PATIENCE:g} s: {play.dispatcher.stats()}"])
    hosts.leave_only("")
    figures = play.judge()
    figures.cuts = len(hosts.spans)
    say(f"most seconds until a worker went on: {hosts.slowest:.1f}")
    say(f"most seconds without a request while a worker was cut off: {hosts.longest_silence():.1f}")
    if rounds >= ENOUGH_ROUNDS and not figures.duplicates + figures.responses_lost:
        figures.problems.append("no cut came between a request and its record: the run shows nothing")
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=None, help="the one printed by a run to look at again")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    began = time.monotonic()
    try:
        say(f"rounds: {given.rounds}, seed: {seed}")
        return report(run(given.rounds, seed), began)
    except Unavailable as reason:
        say(f"skipped: no network namespaces can be made here, which takes root on Linux ({reason})")
        return 0


if __name__ == "__main__":
    sys.exit(main())
