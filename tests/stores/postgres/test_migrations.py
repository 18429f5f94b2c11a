"""Alembic and Django create the store's tables with the migrations from the documentation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from postgres_scene import emit

from unihooks.exceptions import StoreError
from unihooks.stores import PostgresStore

pytestmark = pytest.mark.postgres

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples" / "postgresql"
ALEMBIC_ENVIRONMENT = """
from alembic import context
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
ASYNC_ALEMBIC_ENVIRONMENT = """
import asyncio
from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def connect():
    async with create_async_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
        await connection.run_sync(run)

asyncio.run(connect())
"""
DJANGO = """
import os, sys
import django
from django.conf import settings
from django.core.management import call_command
from psycopg.conninfo import conninfo_to_dict

given = conninfo_to_dict(os.environ["DSN"])
names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
database = {django_name: given.get(name, "") for django_name, name in names.items()}
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **database}}, INSTALLED_APPS=["webhooks"]
)
django.setup()
call_command("migrate", *sys.argv[1:], verbosity=0)
"""


@pytest.fixture
def dsn(admin):
    """Return the dsn of an empty database."""
    name = f"migrations_{os.getpid()}"
    admin.execute(f"CREATE DATABASE {name}")
    yield psycopg.conninfo.make_conninfo(admin.info.dsn, dbname=name)
    admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(folder, dsn, *arguments):
    given = os.environ | {"DSN": dsn}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=given, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def check_up_and_down(dsn, migrate, down):
    with closing(PostgresStore(dsn, migrate=False)) as store:
        with pytest.raises(StoreError, match="has no unihooks tables"):
            store.work()
        migrate()
        emit(store)
        assert store.work().new_events
        assert store.migrate() == []
    down()
    with closing(PostgresStore(dsn, migrate=False)) as gone, pytest.raises(StoreError, match="has no unihooks tables"):
        gone.work()


@pytest.mark.slow
@pytest.mark.parametrize(
    "driver, environment", [("psycopg", ALEMBIC_ENVIRONMENT), ("asyncpg", ASYNC_ALEMBIC_ENVIRONMENT)]
)
def test_alembic_runs_the_migration_of_the_documentation(dsn, tmp_path, driver, environment):
    versions = tmp_path / "versions"
    versions.mkdir()
    (tmp_path / "env.py").write_text(environment)
    shutil.copy(EXAMPLES / "alembic_migration.py", versions / "0007_webhooks.py")
    url = psycopg.conninfo.conninfo_to_dict(dsn)
    address = f"{url['user']}:{url.get('password', '')}@{url['host']}:{url['port']}/{url['dbname']}"
    (tmp_path / "alembic.ini").write_text(
        f"[alembic]\nscript_location = .\nsqlalchemy.url = postgresql+{driver}://{address}\n"
    )
    check_up_and_down(
        dsn,
        lambda: run(tmp_path, dsn, "-m", "alembic", "upgrade", "head"),
        lambda: run(tmp_path, dsn, "-m", "alembic", "downgrade", "base"),
    )


@pytest.mark.slow
def test_django_runs_the_migration_of_the_documentation(dsn, tmp_path):
    migrations = tmp_path / "webhooks" / "migrations"
    migrations.mkdir(parents=True)
    for package in (migrations.parent, migrations):
        (package / "__init__.py").touch()
    shutil.copy(EXAMPLES / "django_migration.py", migrations / "0001_unihooks.py")
    (tmp_path / "migrate.py").write_text(DJANGO)
    check_up_and_down(
        dsn, lambda: run(tmp_path, dsn, "migrate.py"), lambda: run(tmp_path, dsn, "migrate.py", "webhooks", "zero")
    )
