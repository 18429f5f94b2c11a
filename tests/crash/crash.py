"""Kill and freeze emitters and workers at random moments, and show that no event is lost.

Run `python tests/crash/crash.py --rounds 200 --seed 7`. A round strikes one or more
processes at a random moment. Four of five kill (SIGKILL), one after the other on one
database; every fifth freezes a worker (SIGSTOP) on a database of its own for about as
long as its lease, while another takes over, and thaws it again. With `--postgres` the
databases are PostgreSQL's, and now and then its connections are reset, or it crashes.
"""

from __future__ import annotations

import argparse
import random
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import Any

from attrs import asdict, define, field
from checks import SLOWEST_ANSWER, Figures, judge
from databases import Server, serving
from processes import Blow, Child, Processes
from roles import ENDPOINTS, ROLES, Scene, open_dispatcher, set_up

from unihooks import Dispatcher, Webhook
from unihooks.exceptions import StoreError
from unihooks.testing import Receiver
from unihooks.testing._answers import Answer

FREEZES_AT_ONCE = 5
SCRIPTED = 4000
SHARE_OF_THE_SERVER = 0.3
MOST_RESTARTS = 3
MORE_FREEZES = 10
# A worker tries again after half a second what it could not record. A kill before then would cost many results,
# and show nothing new.
RECORDED_AGAIN = 1.2


@define
class Stage:
    """The objects that all scenes of a run share."""

    processes: Processes
    receiver: Receiver
    folder: str
    seed: int
    server: Server | None = None
    # Where the receiver is, and how many times slower than usual emitters are.
    address: str = "127.0.0.1"
    slower: float = 1.0
    # Held while the server is struck, and while this process needs it.
    calm: Lock = field(factory=Lock)
    outages: list[Blow] = field(factory=list)

    @contextmanager
    def scene(self, name: str) -> Iterator[Play]:
        """Set up a scene, and end all of its processes afterwards."""
        authority = "".join(map(ssl.DER_cert_to_PEM_cert, self.receiver.ssl_context.get_ca_certs(binary_form=True)))
        dsn = self.server.address if self.server else ""
        scene = Scene(self.folder, name, self.receiver.port, authority, dsn, self.address, self.slower)
        with open_dispatcher(scene) as dispatcher:
            with self.calm:
                webhooks = set_up(scene, dispatcher)
            play = Play(self, scene, dispatcher, webhooks, random.Random(f"{self.seed} {name}"))
            try:
                yield play
            finally:
                for child in list(play.living):
                    play.kill(child)


@define
class Play:
    """A running scene: its processes, and what was done to them."""

    stage: Stage
    scene: Scene
    dispatcher: Dispatcher
    webhooks: list[Webhook]
    rng: random.Random
    living: list[Child] = field(factory=list)
    blows: list[Blow] = field(factory=list)
    started: int = 0
    restarts: int = 0
    cuts: int = 0

    def start(self, role: str, **more: Any) -> Child:
        """Start a process, with more options than its scene."""
        self.started += 1
        name = f"{self.scene.name}-{role}-{self.started}"
        child = self.stage.processes.start(role, name, **self.scene.options(), **more)
        self.living.append(child)
        return child

    def kill(self, child: Child) -> None:
        """End a process at once."""
        self.living.remove(child)
        self.blows.append(child.kill())

    def end(self, child: Child) -> None:
        """End a worker in order."""
        code = child.end(seconds=10)
        self.living.remove(child)
        assert code == 0, f"{child.name} ended with {code} after SIGTERM"

    def sleep(self, least: float, most: float) -> None:
        """Wait for a random time, in seconds."""
        time.sleep(self.rng.uniform(least, most))

    def settle(self, seconds: float) -> bool:
        """Wait until every event is planned and no delivery is pending; return whether that happened."""
        end = time.monotonic() + seconds
        while not self._is_settled():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def judge(self) -> Figures:
        """Compare journal, log and receiver."""
        prefix = f"/{self.scene.name}/"
        requests = [request for request in self.stage.receiver.requests if request.path.startswith(prefix)]
        with self.stage.calm:
            return judge(self.scene, self.dispatcher, self.webhooks, requests, self.blows + self.stage.outages)

    def _is_settled(self) -> bool:
        try:
            if self.dispatcher.stats().oldest_unplanned is not None:
                return False
            return not self.dispatcher.log.deliveries(state="pending", limit=1).items
        except StoreError:
            # The server is still starting.
            return False


def kill_rounds(stage: Stage, rounds: int) -> Figures:
    """Strike emitters, workers and processes that do both, again and again on one file."""
    with stage.scene("kills") as play:
        _script(stage, play)
        for left in reversed(range(rounds)):
            _fill(play)
            play.sleep(0.05, 0.4)
            is_due = play.rng.random() < SHARE_OF_THE_SERVER or not (left or play.restarts)
            if stage.server and is_due:
                _strike_the_server(stage.server, play)
                continue
            for child in play.rng.sample(play.living, play.rng.randint(1, len(play.living))):
                play.kill(child)
        _leave_one_worker(play)
        if not play.settle(120):
            return Figures(problems=[f"not at rest after 120 s: {play.dispatcher.stats()}"])
        play.end(play.living[0])
        figures = play.judge()
        figures.restarts, figures.cuts = play.restarts, play.cuts
        return figures


def _strike_the_server(server: Server, play: Play) -> None:
    """Crash it or cut its connections; then wait until responses received meanwhile are recorded."""
    with play.stage.calm:
        before = time.time()
        if play.restarts < MOST_RESTARTS and play.restarts <= play.cuts:
            server.restart()
            play.restarts += 1
        else:
            server.cut()
            play.cuts += 1
        play.stage.outages.append(Blow("server", "outage", before, time.time()))
    time.sleep(RECORDED_AGAIN)


def _fill(play: Play) -> None:
    roles = {child.name.split("-")[1] for child in play.living}
    if "emit" not in roles:
        play.start("emit")
    if "work" not in roles:
        play.start("work")
    if len(play.living) < 4 and play.rng.random() < 0.4:
        play.start(play.rng.choice(["work", "host"]))


def _leave_one_worker(play: Play) -> None:
    for child in list(play.living):
        play.kill(child)
    play.start("work")


def _script(stage: Stage, play: Play) -> None:
    """Make responses take a while, and one in ten a failure."""
    for number in range(ENDPOINTS):
        delays = [play.rng.choice([0, play.rng.uniform(0, SLOWEST_ANSWER)]) for _ in range(SCRIPTED)]
        stage.receiver.on(play.scene.path(number)).answer(
            *[Answer(204 if play.rng.random() < 0.9 else 503, delay=delay) for delay in delays]
        )


def freeze_round(stage: Stage, number: int) -> Figures:
    """Freeze a worker for about as long as its lease, let another one take over, and thaw it."""
    with stage.scene(f"freeze{number}") as play:
        for endpoint in range(ENDPOINTS):
            delay = play.rng.uniform(SLOWEST_ANSWER / 2, SLOWEST_ANSWER)
            stage.receiver.on(play.scene.path(endpoint)).always(Answer(204, delay=delay))
        frozen = play.start(play.rng.choice(["work", "host"]))
        emitter = play.start("emit")
        play.sleep(0.2, 0.8)
        _freeze(play, frozen)
        stopped = time.monotonic()
        second = play.start("work")
        play.sleep(0.0, 0.3)
        play.kill(emitter)
        _wait_for_the_take_over(play, stopped)
        frozen.thaw()
        emitter = play.start("emit")
        play.sleep(0.7, 1.2)
        play.kill(emitter)
        _end_either_way(play, frozen)
        if not play.settle(30):
            return Figures(problems=[f"{play.scene.name} not at rest after 30 s: {play.dispatcher.stats()}"])
        play.end(second)
        return play.judge()


def _freeze(play: Play, child: Child) -> None:
    """Freeze it; rarely while it holds the database's lock, since then nobody can take over."""
    for _ in range(play.rng.choice([1, 10, 10, 10])):
        play.blows.append(child.freeze())
        if not play.scene.place.is_locked():
            break
        child.thaw()
        play.sleep(0.0, 0.05)
    else:
        play.blows.append(child.freeze())


def _wait_for_the_take_over(play: Play, stopped: float) -> None:
    if play.rng.random() < 0.5:
        play.settle(play.scene.lease + 2.5)
    else:
        thaw_at = stopped + play.scene.lease + play.rng.uniform(-0.8, 0.6)
        time.sleep(max(0.0, thaw_at - time.monotonic()))


def _end_either_way(play: Play, child: Child) -> None:
    if "-work-" in child.name:
        play.end(child)
    else:
        play.kill(child)


def run(rounds: int, seed: int, *, on_postgres: bool = False) -> Figures:
    """Run all rounds and return their figures."""
    figures = Figures()
    freezes = rounds // 5
    with (
        tempfile.TemporaryDirectory() as folder,
        Processes(ROLES) as processes,
        serving() if on_postgres else nullcontext() as server,
        Receiver() as receiver,
        ThreadPoolExecutor(FREEZES_AT_ONCE) as pool,
    ):
        stage = Stage(processes, receiver, folder, seed, server)
        freezing = [pool.submit(freeze_round, stage, number) for number in range(freezes)]
        figures.add(kill_rounds(stage, rounds - freezes))
        for one in freezing:
            figures.add(one.result())
        # On a busy machine a worker may have had nothing in hand whenever it was struck.
        for number in range(freezes, freezes + MORE_FREEZES if freezes else freezes):
            if figures.taken_over:
                break
            figures.add(freeze_round(stage, number))
    if freezes and not figures.taken_over:
        figures.problems.append("no delivery was taken over from a struck worker: the run shows nothing")
    return figures


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; return 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="the one printed by a run to look at again")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    say(f"rounds: {given.rounds}, seed: {seed}")
    began = time.monotonic()
    return report(run(given.rounds, seed, on_postgres=given.postgres), began)


def report(figures: Figures, began: float) -> int:
    """Print the figures; return 1 if a promise was broken."""
    for name, value in asdict(figures).items():
        if name != "problems":
            say(f"{name.replace('_', ' ')}: {value}")
    say(f"seconds: {time.monotonic() - began:.0f}")
    for problem in figures.problems[:50]:
        say(f"PROBLEM {problem}")
    say(f"problems: {len(figures.problems)}")
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
