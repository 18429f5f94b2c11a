"""Run the code blocks of the README and the documentation, each file in an empty folder; and start PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

sys.path.insert(0, str(Path(__file__).parent / "tests" / "stores"))

import postgres_server


def enter_folder(namespace: dict[str, Any]) -> None:
    """Work in a folder of the file's own, so that examples may write."""
    stack = namespace["_stack"] = ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    stack.enter_context(contextlib.chdir(folder))


def leave_folder(namespace: dict[str, Any]) -> None:
    """Remove the folder."""
    namespace["_stack"].close()


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """Name the database of a PostgreSQL server that is given, or started for the session."""
    given = os.environ.get(postgres_server.VARIABLE)
    if given:
        yield given
        return
    with postgres_server.serving() as server:
        yield server.dsn


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
