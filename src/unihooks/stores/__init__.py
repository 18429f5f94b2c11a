"""The stores, each of which is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unihooks.stores.memory import MemoryStore
    from unihooks.stores.postgres.store import PostgresStore, migration_sql, migration_statements
    from unihooks.stores.sqlite.store import SQLiteStore

__all__ = ["MemoryStore", "PostgresStore", "SQLiteStore", "migration_sql", "migration_statements"]

_HOMES = {
    "MemoryStore": "memory",
    "PostgresStore": "postgres.store",
    "SQLiteStore": "sqlite.store",
    "migration_sql": "postgres.store",
    "migration_statements": "postgres.store",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
