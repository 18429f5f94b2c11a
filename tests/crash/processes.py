"""Start, stop, freeze and kill processes that never outlive this one.

They are forked from a small process of one thread that has everything imported:
a start costs milliseconds. It alone is their parent and reaps them only when
asked, so a process id stays theirs until then; when its socket closes, however
this process ended, it kills and reaps what is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Self

from attrs import define, frozen

_POLL_SECONDS = 0.002
_STILL_RUNNING = None


@frozen
class Blow:
    """A kill or a freeze of a process, and between which times (seconds since 1970) it happened."""

    name: str
    kind: str
    before: float
    after: float


@define
class Child:
    """A process that may be killed or frozen at any moment."""

    processes: Processes
    name: str
    pid: int

    def kill(self) -> Blow:
        """End it as a power cut would."""
        before = time.time()
        os.kill(self.pid, signal.SIGKILL)
        status = self._wait(10)
        assert os.WIFSIGNALED(status), f"{self.name} had ended by itself with {os.waitstatus_to_exitcode(status)}"
        return Blow(self.name, "kill", before, time.time())

    def freeze(self) -> Blow:
        """Stop it in the middle of whatever it does."""
        before = time.time()
        os.kill(self.pid, signal.SIGSTOP)
        status = self._wait(10)
        assert os.WIFSTOPPED(status), f"{self.name} has ended: {status}"
        return Blow(self.name, "freeze", before, time.time())

    def thaw(self) -> float:
        """Let it continue; return the time."""
        now = time.time()
        os.kill(self.pid, signal.SIGCONT)
        return now

    def end(self, seconds: float) -> int:
        """Ask it to end in order and return its exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return os.waitstatus_to_exitcode(self._wait(seconds))

    def _wait(self, seconds: float) -> int:
        end = time.monotonic() + seconds
        while (status := self.processes.ask(do="reap", pid=self.pid)) is _STILL_RUNNING:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.name} has not ended within {seconds} s")
            time.sleep(_POLL_SECONDS)
        return int(status)


class Processes:
    """A starter of processes by the name of their role; make it before the first thread starts."""

    def __init__(self, roles: Mapping[str, Callable[..., None]]) -> None:
        self._roles = roles
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _run(lambda: _serve(theirs, self._roles))
        theirs.close()
        self._socket = ours
        self._answers = ours.makefile("r")
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()
        os.waitpid(self._pid, 0)

    def start(self, role: str, name: str, **options: Any) -> Child:
        """Start a process that does its role with these options."""
        return Child(self, name, self.ask(do="start", role=role, options={"name": name, **options}))

    def ask(self, **order: Any) -> Any:
        """Send an order and return its result."""
        with self._lock:
            self._socket.sendall(json.dumps(order).encode() + b"\n")
            return json.loads(self._answers.readline())


def _serve(orders: socket.socket, roles: Mapping[str, Callable[..., None]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    living: set[int] = set()
    with orders.makefile("r") as lines:
        for line in lines:
            order = json.loads(line)
            answer = _reap(order["pid"], living) if order["do"] == "reap" else _start(order, orders, roles)
            if order["do"] == "start":
                living.add(answer)
            # The process that asked may have ended by now; then the loop ends.
            with contextlib.suppress(BrokenPipeError):
                orders.sendall(json.dumps(answer).encode() + b"\n")
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _start(order: dict[str, Any], orders: socket.socket, roles: Mapping[str, Callable[..., None]]) -> int:
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        orders.detach()
        _run(lambda: roles[order["role"]](**order["options"]))
    return pid


def _reap(pid: int, living: set[int]) -> int | None:
    reaped, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
    if not reaped:
        return _STILL_RUNNING
    if not os.WIFSTOPPED(status):
        living.discard(pid)
    return status


def _run(main: Callable[[], None]) -> None:
    code = 1
    try:
        main()
        code = 0
    except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's code
        traceback.print_exc()
    finally:
        os._exit(code)
