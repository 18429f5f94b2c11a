"""Run the code blocks of the README and the documentation, each file in an empty folder; and start PostgreSQL."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import postgres_server
import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

_SHARED_DSN = pytest.StashKey[str]()


def enter_folder(namespace: dict[str, Any]) -> None:
    """Work in a folder of the file's own, so that examples may write."""
    stack = namespace["_stack"] = ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    stack.enter_context(contextlib.chdir(folder))


def leave_folder(namespace: dict[str, Any]) -> None:
    """Remove the folder."""
    namespace["_stack"].close()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keep the collector of garbage away from the tests that are collected: to go through them all takes long."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Start one PostgreSQL server for all processes of a parallel run, unless one is given."""
    config.stash[_SHARED_DSN] = os.environ.get(postgres_server.VARIABLE, "")
    if config.stash[_SHARED_DSN]:
        return
    servers = ExitStack()
    config.add_cleanup(servers.close)
    # Where there is none, the tests that need it say so.
    with suppress(RuntimeError):
        config.stash[_SHARED_DSN] = servers.enter_context(postgres_server.serving(max_connections="300")).dsn


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of a parallel run where the server is."""
    node.workerinput["postgres_dsn"] = node.config.stash[_SHARED_DSN]


@pytest.fixture(scope="session")
def postgres_dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name a database of a PostgreSQL server: of a given one, or of one that is started for the session."""
    shared = getattr(request.config, "workerinput", {}).get("postgres_dsn")
    given = os.environ.get(postgres_server.VARIABLE)
    if shared:
        with _own_database(shared) as dsn:
            yield dsn
    elif given:
        yield given
    else:
        with postgres_server.serving() as server:
            yield server.dsn


@contextmanager
def _own_database(dsn: str) -> Iterator[str]:
    """Make a database, so that processes which share a server do not see each other's sessions."""
    import psycopg

    name = f"unihooks_test_{os.getpid()}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    yield urlsplit(dsn)._replace(path=f"/{name}").geturl()
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def shop(postgres_dsn: str) -> Iterator[None]:
    """Let `postgresql:///shop` be an empty database, as the documentation has it."""
    import psycopg

    given = psycopg.conninfo.conninfo_to_dict(postgres_dsn)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD"}
    with psycopg.connect(postgres_dsn, autocommit=True) as admin, pytest.MonkeyPatch.context() as environment:
        admin.execute("CREATE DATABASE shop")
        for name, variable in names.items():
            if given.get(name):
                environment.setenv(variable, str(given[name]))
        yield
        admin.execute("DROP DATABASE shop WITH (FORCE)")


_EXAMPLES: dict[str, Any] = {
    "parsers": [PythonCodeBlockParser(), SkipParser()],
    "setup": enter_folder,
    "teardown": leave_folder,
}
_ON_POSTGRESQL = "how-to/postgresql.md"

_ALL_BUT_POSTGRESQL = Sybil(patterns=["*.md"], excludes=["CHANGELOG.md", f"docs/{_ON_POSTGRESQL}"], **_EXAMPLES)
_POSTGRESQL = Sybil(path="docs", patterns=[_ON_POSTGRESQL], fixtures=["shop"], **_EXAMPLES)

pytest_collect_file = (_ALL_BUT_POSTGRESQL + _POSTGRESQL).pytest()
