"""Hosts made of network namespaces, joined by a router between which packets can vanish.

Namespaces have no names, only open files: when the processes that use them have ended, however they ended, the
kernel removes them with their links. It takes root and Linux.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from attrs import frozen

# Python has `os.setns` and `os.unshare` from 3.12 on.
_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_FORWARDS = Path("/proc/sys/net/ipv4/ip_forward")


class Unavailable(Exception):
    """The reason why no network can be made here."""


@frozen
class Host:
    """A network namespace with one address, as an open file."""

    name: str
    namespace: int
    address: str

    def enter(self) -> None:
        """Move the calling thread there, with all sockets, threads and processes that it creates from then on."""
        enter(self.namespace)

    @contextmanager
    def visited(self) -> Iterator[None]:
        """Move there while the block runs."""
        home = os.open(_OWN, os.O_RDONLY)
        try:
            self.enter()
            yield
        finally:
            enter(home)
            os.close(home)


class Network:
    """Hosts by name, each of which reaches all others through a router."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Self:
        try:
            self._router = Host("router", _new_namespace(), "")
            with self._router.visited():
                _FORWARDS.write_text("1")
            for number, name in enumerate(self._names, 1):
                self.hosts[name] = self._join(name, number)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable(str(getattr(error, "stderr", "") or error).strip()) from error
        return self

    def __exit__(self, *_: object) -> None:
        for host in (self._router, *self.hosts.values()):
            os.close(host.namespace)

    @contextmanager
    def cut(self, name: str, other: str = "") -> Iterator[None]:
        """Drop every packet between two hosts, or between one and all others, while the block runs.

        Nobody is told: links stay up and the router answers nothing, as when a cable far away is pulled.
        """
        one, rest = self.hosts[name].address, self.hosts[other].address if other else "0.0.0.0/0"
        self._rules("add", one, rest)
        try:
            yield
        finally:
            self._rules("del", one, rest)

    def _rules(self, verb: str, one: str, other: str) -> None:
        with self._router.visited():
            for source, target in ((one, other), (other, one)):
                _ip("rule", verb, "pref", "100", "from", source, "to", target, "blackhole")

    def _join(self, name: str, number: int) -> Host:
        host = Host(name, _new_namespace(), f"10.77.{number}.2")
        with self._router.visited():
            port, theirs = f"port{number}", f"/proc/{os.getpid()}/fd/{host.namespace}"
            _ip("link", "add", "name", port, "type", "veth", "peer", "name", "uplink", "netns", theirs)
            _ip("address", "add", f"10.77.{number}.1/24", "dev", port)
            _ip("link", "set", port, "up")
        with host.visited():
            _ip("address", "add", f"{host.address}/24", "dev", "uplink")
            _ip("link", "set", "uplink", "up")
            _ip("route", "add", "default", "via", f"10.77.{number}.1")
        return host


def enter(namespace: int) -> None:
    """Move the calling thread into a namespace."""
    _call(_LIBC.setns, namespace, _CLONE_NEWNET)


def _new_namespace() -> int:
    home = os.open(_OWN, os.O_RDONLY)
    try:
        _call(_LIBC.unshare, _CLONE_NEWNET)
        made = os.open(_OWN, os.O_RDONLY)
        _ip("link", "set", "lo", "up")
        return made
    finally:
        enter(home)
        os.close(home)


def _call(function: Any, *arguments: int) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
