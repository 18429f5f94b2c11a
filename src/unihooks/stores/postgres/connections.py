"""Open connections to PostgreSQL on which each end notices within seconds that the other has vanished."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from math import inf
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict

from unihooks.exceptions import StoreError
from unihooks.stores.postgres.prepared import note_direct

RV = TypeVar("RV")

# Applies to each host of the dsn, so that all of them are tried within the deadline of an emit.
_CONNECT_SECONDS = 8
_MOST_PER_HOST = 4
_LEAST_PER_HOST = 2
# In seconds, except the last one in milliseconds. Without these settings the system would wait a quarter of an hour for
# a machine that has vanished, and two hours if there is nothing to send.
_TIMEOUTS = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 5_000}
_DEFAULTS: dict[str, str | int] = {"application_name": "unihooks", **_TIMEOUTS}
# How often the server checks whether its client is still there.
_CHECK = {"client_connection_check_interval": "2s"}
_ENCODING = "UTF8"


class Connection(psycopg.Connection[Any]):
    """A connection on which nobody waits beyond `ends_at`; it has rested since `rests_since`."""

    ends_at = inf
    rests_since = 0.0

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """Drive an exchange with the server until it ends."""
        bounded = gen if self.ends_at == inf else _until(gen, self.ends_at)
        return super().wait(bounded, *args, **kwargs)


def connect(dsn: str, ends_at: float = inf) -> Connection:
    """Open a connection that keeps no state on a pooler's server; OperationalError after `ends_at`."""
    given = _with_defaults(dsn, ends_at)
    try:
        connection = Connection.connect("", **given, client_encoding="utf8", autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        raise _located(error, given) from error
    connection.add_notice_handler(lambda _: None)
    connection.ends_at = ends_at
    try:
        _check_encoding(connection)
        if _is_direct(connection, _session_settings(given)):
            note_direct(connection)
    except BaseException:
        connection.close()
        raise
    connection.ends_at = inf
    return connection


def place(dsn: str) -> str:
    """Return the hosts and ports that a dsn names, never its password."""
    return _place(conninfo_to_dict(dsn))


def _with_defaults(dsn: str, ends_at: float) -> dict[str, Any]:
    given = conninfo_to_dict(dsn)
    hosts = len(_split(given, "host", "hostaddr"))
    usual = max(min(_CONNECT_SECONDS // hosts, _MOST_PER_HOST), _LEAST_PER_HOST)
    given.setdefault("connect_timeout", usual)
    for name, value in _DEFAULTS.items():
        given.setdefault(name, value)
    if ends_at != inf:
        left = ends_at - monotonic()
        if left <= 0:
            raise psycopg.OperationalError(f"{_place(given)} has not answered in time")
        # 0 would mean for ever.
        most = _number(given["connect_timeout"], usual) or usual
        given["connect_timeout"] = max(min(most, int(left) // hosts), _LEAST_PER_HOST)
    return given


def _until(gen: PQGen[RV], ends_at: float) -> Generator[Any, Any, RV]:
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            # Nothing has arrived; the driver reports that ten times a second.
            if not ready and monotonic() >= ends_at:
                raise psycopg.OperationalError("the server has not answered in time")
            wanted = gen.send(ready)
    except StopIteration as done:
        answer: RV = done.value
        return answer


def _is_direct(connection: Connection, settings: Mapping[str, str]) -> bool:
    """Return whether the connection leads to the server itself; if so, apply the session's settings.

    Through a pooler, they would stay with a connection that other clients get next.
    """
    made = ", ".join(["''", *(f"set_config('{name}', '{value}', false)" for name, value in settings.items())])
    text = f"SELECT pg_backend_pid(), CASE pg_backend_pid() WHEN {connection.info.backend_pid} THEN concat({made}) END"
    try:
        [(process, _)] = connection.execute(text.encode()).fetchall()
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        # A server on another operating system may not support one of them.
        [(process,)] = connection.execute(b"SELECT pg_backend_pid()").fetchall()
    return bool(process == connection.info.backend_pid)


def _session_settings(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings for the server's end, except those that the host's options set."""
    # The server's names for the same, in the same units, begin with tcp_.
    known = {f"tcp_{name.removeprefix('tcp_')}": str(_number(given[name], 0)) for name in _TIMEOUTS}
    # The host may have switched keepalives off.
    settings = _CHECK if str(given.get("keepalives")) == "0" else known | _CHECK
    options = f"{given.get('options') or ''} {os.environ.get('PGOPTIONS', '')}"
    return {name: value for name, value in settings.items() if name not in options}


def _check_encoding(connection: Connection) -> None:
    encoding = connection.info.parameter_status("server_encoding") or _ENCODING
    if encoding != _ENCODING:
        sentence = (
            f"the database's encoding is {encoding}, which cannot hold every text; create it with ENCODING 'UTF8'"
        )
        raise StoreError(sentence, name="dsn")


def _located(error: psycopg.OperationalError, given: Mapping[str, Any]) -> psycopg.OperationalError:
    """Return an error that names the server, which the driver does only for some."""
    first = str(error).strip().partition("\n")[0]
    return type(error)(first if "port" in first else f"{_place(given)}: {first}")


def _place(given: Mapping[str, Any]) -> str:
    hosts = _split(given, "host", "hostaddr")
    ports = _split(given, "port") * len(hosts)
    named = zip(hosts, ports, strict=False)
    return ", ".join(f"{host or 'the local server'} port {port or 5432}" for host, port in named)


def _split(given: Mapping[str, Any], *names: str) -> list[str]:
    return next((str(given[name]).split(",") for name in names if given.get(name)), [""])


def _number(value: object, otherwise: int) -> int:
    try:
        return int(str(value))
    except ValueError:
        return otherwise
