"""Turn what psycopg raises into sentences that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unihooks.exceptions import StoreError
from unihooks.stores.host.connections import sqlstate

if TYPE_CHECKING:
    import psycopg

_SENTENCES = {
    "3D000": "the database does not exist; create it, or correct the dsn",
    "28P01": "the user name or password was refused; correct the dsn",
    "28000": "this user may not connect to the database; correct the dsn or the server's pg_hba.conf",
    "42501": "the user lacks a right on the schema; grant it, or let its owner run `unihooks migrate`",
    "42P01": "a table of unihooks is missing; run `unihooks migrate`",
    "53100": "the server's disk is full; free space on it",
    "53300": "the server has no connection left; raise its max_connections or run fewer processes",
    "55P03": "another transaction holds this idempotency key; commit it, or pass its connection",
    "25006": "the server is read-only; connect to its primary, or lift default_transaction_read_only",
}
_READ_ONLY = "25006"
# What libpq says where the dsn asks for `target_session_attrs=read-write`.
_NO_PRIMARY = ("session is read-only", "server is in hot standby mode")
# Deadlocks, failed serialisation, and a process that stood still: the transaction is gone whole, and may be run again.
_TRANSIENT = ("40001", "40P01", "25P03")
_DATA = ("21", "22", "23")
# No such table, schema or column.
_MISSING = ("42P01", "3F000", "42703")
_UNPREPARED = ("26000", "42P05")
_POOLED = "a pooler mixed up prepared statements; open the connection without them (asyncpg: statement_cache_size=0)"


def driver() -> Any:
    """Return psycopg, or raise an error that names the extra."""
    try:
        import psycopg
    except ImportError as error:
        raise StoreError("PostgresStore needs psycopg 3; install unihooks[postgres]", name="store") from error
    return psycopg


def is_dsn(text: str) -> bool:
    """Return whether libpq can read the text."""
    from psycopg.conninfo import conninfo_to_dict

    try:
        conninfo_to_dict(text)
    except driver().ProgrammingError:
        return False
    return True


def explained(error: psycopg.Error) -> StoreError:
    """Return the StoreError for an error of our own connections."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "://" in text:
        # The driver quotes a dsn that it cannot read, password and all.
        text = "the dsn cannot be read; correct it"
    sentence = _SENTENCES.get(error.sqlstate or "")
    if sentence is not None:
        return StoreError(f"{sentence} ({text})", name="dsn")
    if any(one in text for one in _NO_PRIMARY):
        sentence = "no server of the dsn is a primary now; wait until one is promoted, or correct the dsn"
        return StoreError(f"{sentence} ({text})", name="dsn")
    if error.sqlstate is None or is_outage(error):
        return StoreError(f"PostgreSQL cannot be reached, or the connection was lost: {text}", name="dsn")
    return StoreError(f"PostgreSQL refused a statement: {text}", name="dsn")


def explained_on_host(error: BaseException) -> StoreError | None:
    """Return the StoreError for an error on a host's connection, None if the tables are not there."""
    if sqlstate(error) in _MISSING:
        return None
    if sqlstate(error) in _UNPREPARED:
        return StoreError(_POOLED, name="connection")
    return StoreError(f"the event could not be inserted on the connection: {error}", name="connection")


def is_transient(error: psycopg.Error) -> bool:
    """Return whether the same transaction may be run again."""
    return error.sqlstate in _TRANSIENT


def is_read_only(error: BaseException) -> bool:
    """Return whether the server takes no writes, as a standby does."""
    return sqlstate(error) == _READ_ONLY


def is_outage(error: psycopg.Error) -> bool:
    """Return whether the connection is gone, or the server going down."""
    state = error.sqlstate
    if state is not None:
        return state.startswith(("08", "57P"))
    return isinstance(error, driver().OperationalError)


def is_of_one_row(error: Exception) -> bool:
    """Return whether an error is about a row's content, or the wait for its key, rather than the connection."""
    state = getattr(error, "sqlstate", None)
    if not isinstance(error, driver().Error):
        return True
    if state is None:
        return isinstance(error, driver().DataError | driver().ProgrammingError)
    return str(state).startswith((*_DATA, "55P03"))
