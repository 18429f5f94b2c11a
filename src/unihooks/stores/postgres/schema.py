"""Create the tables in a PostgreSQL schema, or bring them up to date, or refuse."""

# ruff: noqa: S608 - only names are put into statements, never values

from __future__ import annotations

from importlib.resources import files
from uuid import uuid4

from unihooks.exceptions import StoreError
from unihooks.stores.postgres.statements import NOW, Schema, Statements

SCHEMA_VERSION = 1

_FILES = files("unihooks.stores.postgres") / "migrations"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('unihooks migrate ' || CAST(%(schema)s AS text), 0))"
_TABLE = """
SELECT 1 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = 'store'
"""
_ADD_STORE = """
INSERT INTO unihooks.store (store_id, schema_version, created_at) VALUES (%(store_id)s, %(version)s, %(now)s)
"""


def migrate(it: Statements) -> list[str]:
    """Bring the schema to SCHEMA_VERSION in the open transaction; return the names of the steps taken."""
    it.fetch(_LOCK, schema=it.schema.name)
    version = _version(it)
    _refuse_newer(version, it.schema)
    steps = [name for name in migrations() if int(name[:4]) > version] if version else ["schema.sql"]
    if version == 0:
        _create_schema(it)
    for name in steps:
        it.run(script(name))
    if version == 0:
        it.run(_ADD_STORE, store_id=f"sto_{uuid4().hex}", version=SCHEMA_VERSION, now=it.now)
    elif steps:
        it.run("UPDATE unihooks.store SET schema_version = %(version)s", version=SCHEMA_VERSION)
    return [name.removesuffix(".sql") for name in steps]


def check(it: Statements) -> str:
    """Return the store's id, or raise StoreError if the schema is missing, old or newer than this library."""
    version = _version(it)
    if version < SCHEMA_VERSION:
        found = (
            "has no unihooks tables" if version == 0 else f"has version {version}, this library needs {SCHEMA_VERSION}"
        )
        raise StoreError(f"the schema {it.schema.quoted} {found}; run `unihooks migrate`", name="schema")
    _refuse_newer(version, it.schema)
    return str(it.fetch("SELECT store_id FROM unihooks.store")[0][0])


def migration_sql(schema: str = "unihooks", *, since: int = 0, until: int = SCHEMA_VERSION) -> str:
    """Return the SQL that leads from version `since` (0: nothing is there) to version `until`, the newest one.

    For those who run their own migrations: one script, to be run in one
    transaction. A migration that names `until` says the same in every later
    release. Raises `StoreError` for a version that this release does not know.
    """
    if not 0 <= since <= SCHEMA_VERSION or not 0 <= until <= SCHEMA_VERSION:
        raise StoreError(f"since and until must be versions from 0 to {SCHEMA_VERSION}", name="until")
    place = Schema(schema)
    steps = [name for name in migrations() if since < int(name[:4]) <= until]
    if not steps:
        return ""
    parts = [f"-- {name}\n{place.renamed(script(name)).strip()}" for name in steps]
    if since == 0:
        parts.insert(0, f"CREATE SCHEMA IF NOT EXISTS {place.quoted};")
        # Each database gets an id of its own, by which emits find out whether they are in the right one.
        parts.append(
            f"INSERT INTO {place.quoted}.store (store_id, schema_version, created_at)\n"
            f"VALUES ('sto_' || replace(CAST(gen_random_uuid() AS text), '-', ''), {until}, {NOW});"
        )
    else:
        parts.append(f"UPDATE {place.quoted}.store SET schema_version = {until};")
    return "\n\n".join(parts) + "\n"


def script(name: str) -> str:
    """Return one of the SQL files."""
    return (_FILES / name).read_text(encoding="utf-8")


def migrations() -> list[str]:
    """Return the names of the numbered migrations, in order."""
    return sorted(item.name for item in _FILES.iterdir() if item.name[:4].isdigit())


def _create_schema(it: Statements) -> None:
    # Asked first: IF NOT EXISTS would need the right to create one even where it is there.
    found = it.fetch("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s", schema=it.schema.name)
    if not found:
        it.run(f"CREATE SCHEMA {it.schema.quoted}")


def _version(it: Statements) -> int:
    if not it.fetch(_TABLE, schema=it.schema.name):
        return 0
    row = it.fetch_one("SELECT schema_version FROM unihooks.store")
    return int(row[0]) if row else 0


def _refuse_newer(version: int, schema: Schema) -> None:
    if version > SCHEMA_VERSION:
        sentence = f"the schema {schema.quoted} has version {version}, newer than {SCHEMA_VERSION}"
        raise StoreError(f"{sentence}; install a newer unihooks", name="schema")
