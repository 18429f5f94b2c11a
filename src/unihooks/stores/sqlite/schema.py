"""Create the tables in an SQLite file, or bring them up to date, or refuse."""

from __future__ import annotations

import sqlite3
import time
from importlib.resources import files
from uuid import uuid4

from unihooks.exceptions import StoreError

SCHEMA_VERSION = 1

_FILES = files("unihooks.stores.sqlite") / "migrations"
_WAL_RETRY = 0.02


def migrate(connection: sqlite3.Connection, path: str, now: int) -> list[str]:
    """Bring the file to SCHEMA_VERSION in one transaction; return the names of the steps taken."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        steps = _migrate(connection, path, now)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return steps


def check(connection: sqlite3.Connection, path: str) -> str:
    """Return the store's id, or raise StoreError if the schema is missing, old or newer than this library."""
    version = _version(connection)
    if version < SCHEMA_VERSION:
        found = (
            "has no unihooks tables" if version == 0 else f"has schema {version}, this version needs {SCHEMA_VERSION}"
        )
        raise StoreError(f"the database {path} {found}; run `unihooks migrate`", name="path")
    _refuse_newer(version, path)
    return str(connection.execute("SELECT store_id FROM main.unihooks_store").fetchone()[0])


def use_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Switch the file to WAL, which stays; others that open it at the same time may be in the way for a moment."""
    deadline = time.monotonic() + patience
    while True:
        try:
            if connection.execute("PRAGMA main.journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA main.journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY)
        else:
            return


def statements(name: str) -> list[str]:
    """Return the statements of one of the SQL files."""
    script = (_FILES / name).read_text(encoding="utf-8")
    return [statement for statement in script.split(";\n") if statement.strip()]


def migrations() -> list[str]:
    """Return the names of the numbered migrations, in order."""
    return sorted(item.name for item in _FILES.iterdir() if item.name[:4].isdigit())


def _migrate(connection: sqlite3.Connection, path: str, now: int) -> list[str]:
    version = _version(connection)
    _refuse_newer(version, path)
    steps = [name for name in migrations() if int(name[:4]) > version] if version else ["schema.sql"]
    for statement in (statement for name in steps for statement in statements(name)):
        connection.execute(statement)
    if version == 0:
        row = (f"sto_{uuid4().hex}", SCHEMA_VERSION, now)
        connection.execute(
            "INSERT INTO main.unihooks_store (store_id, schema_version, created_at) VALUES (?, ?, ?)", row
        )
    elif steps:
        connection.execute("UPDATE main.unihooks_store SET schema_version = ?", (SCHEMA_VERSION,))
    return [name.removesuffix(".sql") for name in steps]


def _version(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT 1 FROM main.sqlite_master WHERE name = 'unihooks_store'").fetchone()
    row = found and connection.execute("SELECT schema_version FROM main.unihooks_store").fetchone()
    return int(row[0]) if row else 0


def _refuse_newer(version: int, path: str) -> None:
    if version > SCHEMA_VERSION:
        sentence = f"the database {path} has schema {version}, newer than {SCHEMA_VERSION}; install a newer unihooks"
        raise StoreError(sentence, name="path")
