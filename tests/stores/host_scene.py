"""Connections of hosts to PostgreSQL, by library."""

from __future__ import annotations

from contextlib import contextmanager

from attrs import frozen

from unihooks._base.ids import new_id
from unihooks._contract.planning import NewEvent
from unihooks.abc import EventFilter, Window


def make_event(store, **more):
    at = store.now()
    return NewEvent(new_id("evt_", at), "default", "shop", "order.paid", b'{"n":"\xc3\xa9"}', at, **more)


def stored_ids(store):
    return [item.id for item in store.list_events("default", EventFilter(), Window(limit=10))]


@frozen
class Host:
    """A connection of a host, with functions that run SQL, commit and roll back."""

    connection: object
    run: object
    commit: object
    rollback: object


@contextmanager
def psycopg_host(dsn):
    import psycopg
    from psycopg.rows import dict_row

    connection = psycopg.connect(dsn, row_factory=dict_row, cursor_factory=psycopg.ClientCursor)
    yield Host(connection, connection.execute, connection.commit, connection.rollback)
    connection.close()


@contextmanager
def psycopg2_host(dsn):
    import psycopg2
    from psycopg2.extras import DictCursor

    connection = psycopg2.connect(dsn, cursor_factory=DictCursor)
    yield Host(connection, lambda text: connection.cursor().execute(text), connection.commit, connection.rollback)
    connection.close()


@contextmanager
def sqlalchemy_engine(url, **options):
    from sqlalchemy import create_engine

    engine = create_engine(url, **options)
    yield engine
    engine.dispose()


def sqlalchemy_host(driver, wrap=lambda connection: connection):
    @contextmanager
    def host(dsn):
        from sqlalchemy import text

        with sqlalchemy_engine(dsn.replace("postgresql:", f"postgresql+{driver}:")) as engine, engine.connect() as raw:
            connection = wrap(raw)
            yield Host(connection, lambda line: connection.execute(text(line)), connection.commit, connection.rollback)
            connection.close()

    return host


def session(connection):
    from sqlalchemy.orm import Session

    return Session(connection.engine)


def scoped(connection):
    from sqlalchemy.orm import scoped_session, sessionmaker

    return scoped_session(sessionmaker(connection.engine))


@contextmanager
def django_host(dsn):
    with django_connection("postgresql", dsn) as connection:
        connection.set_autocommit(False)
        yield Host(connection, lambda line: execute(connection, line), connection.commit, connection.rollback)


def execute(connection, line):
    with connection.cursor() as cursor:
        cursor.execute(line)


@contextmanager
def django_connection(vendor, name):
    """Open a connection as Django does, without an application."""
    from django.apps import apps
    from django.conf import settings
    from django.db.utils import ConnectionHandler

    if not settings.configured:
        settings.configure(USE_TZ=True)
        apps.populate([])
    if vendor == "sqlite3":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": name}
    else:
        from psycopg.conninfo import conninfo_to_dict

        given = conninfo_to_dict(name)
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": given["dbname"],
            "USER": given.get("user", ""),
            "PASSWORD": given.get("password", ""),
            "HOST": given["host"],
            "PORT": given.get("port", ""),
        }
    connection = ConnectionHandler({"default": database})["default"]
    yield connection
    connection.close()


HOSTS = {
    "psycopg": psycopg_host,
    "psycopg2": psycopg2_host,
    "sqlalchemy-psycopg": sqlalchemy_host("psycopg"),
    "sqlalchemy-psycopg2": sqlalchemy_host("psycopg2"),
    "session": sqlalchemy_host("psycopg", session),
    "scoped-session": sqlalchemy_host("psycopg2", scoped),
    "django": django_host,
}


def asyncpg_steps(connection):
    async def end(how):
        await connection.execute(how)
        await connection.execute("BEGIN")

    return Host(connection, connection.execute, lambda: end("COMMIT"), lambda: end("ROLLBACK"))
