"""Put a pooler in transaction mode in front of a PostgreSQL server, if one is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from postgres_server import free_port
from waiting import wait_for

# With so few connections to the server, sessions have to share them.
SERVERS = 3


def binary() -> str | None:
    """Return where PgBouncer is installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextmanager
def pooling(dsn: str) -> Iterator[str]:
    """Run PgBouncer on a private port, and never as root; give the dsn that leads through it."""
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="unihooks-pgbouncer-") as folder:
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(_settings(given, port))
        user = _unprivileged(Path(folder))
        process = subprocess.Popen(
            [str(binary()), "-q", str(settings)], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user
        )
        try:
            wait_for(lambda: _answers(port))
            yield f"postgresql://{given.get('user', 'postgres')}@127.0.0.1:{port}/pooled"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def _settings(server: dict[str, object], port: int) -> str:
    password = f" password={server['password']}" if server.get("password") else ""
    user = server.get("user", "postgres")
    return f"""[databases]
pooled = host={server["host"]} port={server.get("port", 5432)} dbname={server["dbname"]} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SERVERS}
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
server_round_robin = 1
"""


def _unprivileged(folder: Path) -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    for path in (folder, *folder.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
