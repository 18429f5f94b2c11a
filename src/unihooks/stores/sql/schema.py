"""Create a database's tables by its numbered migrations, bring them up to date, or refuse them."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from uuid import uuid4

from attrs import frozen

from unihooks.exceptions import StoreError
from unihooks.stores.sql.statements import Dialect, translated
from unihooks.stores.sql.transaction import Transaction

SCHEMA_VERSION = 1
_SHARED = files("unihooks.stores.sql") / "migrations"


@frozen
class Migrations:
    """The numbered migrations in a folder, each of which follows what all databases share of it."""

    folder: Traversable
    dialect: Dialect = ()

    def between(self, since: int, until: int) -> list[str]:
        """Return the names of the migrations that lead from one version to another, in order."""
        names = sorted(item.name for item in self.folder.iterdir() if item.name[:4].isdigit())
        return [name for name in names if since < int(name[:4]) <= until]

    def script(self, name: str) -> str:
        """Return the SQL of a migration."""
        shared = _SHARED / name
        text = translated(shared.read_text(encoding="utf-8"), self.dialect) if shared.is_file() else ""
        return text + (self.folder / name).read_text(encoding="utf-8")


@frozen
class Place:
    """The place of the tables as errors name it, "the database webhooks.db"; `name` is the store's parameter for it."""

    text: str
    name: str


def migrate(tx: Transaction, migrations: Migrations, place: Place) -> list[str]:
    """Bring the schema to SCHEMA_VERSION in the open transaction; return the names of the steps."""
    tx.fetch("lock_schema")
    version = version_of(tx, place)
    steps = migrations.between(version, SCHEMA_VERSION)
    for name in steps:
        tx.script(migrations.script(name))
    if version == 0:
        tx.run("add_store", store_id=f"sto_{uuid4().hex}", version=SCHEMA_VERSION, now=tx.now)
    elif steps:
        tx.run("set_schema_version", version=SCHEMA_VERSION)
    return [name.removesuffix(".sql") for name in steps]


def check(tx: Transaction, place: Place) -> str:
    """Return the store's id, or raise StoreError if the schema is missing, old or newer than this library."""
    version = version_of(tx, place)
    if version < SCHEMA_VERSION:
        found = (
            "has no unihooks tables" if version == 0 else f"has schema {version}, this version needs {SCHEMA_VERSION}"
        )
        raise StoreError(f"{place.text} {found}; run `unihooks migrate`", name=place.name)
    return str(tx.fetch("store_id")[0][0])


def version_of(tx: Transaction, place: Place) -> int:
    """Return the version of the schema, 0 if there is none, or raise StoreError if a newer unihooks has made it."""
    row = tx.fetch_one("schema_version") if tx.fetch("store_table") else None
    version = int(row[0]) if row else 0
    if version > SCHEMA_VERSION:
        sentence = f"{place.text} has schema {version}, newer than {SCHEMA_VERSION}; install a newer unihooks"
        raise StoreError(sentence, name=place.name)
    return version
