"""Django's transactions decide what is emitted; commands of the example run as documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("django")

from unihooks import Dispatcher
from unihooks.exceptions import StoreError
from unihooks.stores import SQLiteStore

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "django"
_numbers = count(1)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request, tmp_path):
    """Give Django's settings of a database, and the options of a store there."""
    if request.param == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "host.db"}, {}
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(request.getfixturevalue("postgres_dsn"))
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    settings = {theirs: given.get(ours, "") for theirs, ours in names.items()}
    return {"ENGINE": "django.db.backends.postgresql", **settings}, {"schema": request.getfixturevalue("schema")}


@pytest.fixture
def using(database):
    """Name a database of Django's."""
    from django.apps import apps
    from django.conf import settings
    from django.db import connections
    from django.db.utils import ConnectionHandler

    if not settings.configured:
        settings.configure(USE_TZ=True)
        apps.populate([])
    alias = f"hooks{next(_numbers)}"
    connections.settings[alias] = ConnectionHandler({"default": database[0]}).settings["default"]
    yield alias
    connections[alias].close()
    del connections[alias]
    del connections.settings[alias]


@pytest.fixture
def dispatcher(using, database):
    from unihooks.integrations.django import store

    with Dispatcher(store(using, **database[1])) as dispatcher:
        dispatcher.migrate()
        yield dispatcher


def emitted(dispatcher):
    return [event.payload for event in dispatcher.log.events()]


def test_an_event_is_there_exactly_if_djangos_transaction_commits(dispatcher, using):
    from django.db import transaction

    from unihooks.integrations.django import emit

    def emit_and_fail(payload):
        with transaction.atomic(using=using):
            emit(dispatcher, "shop", "paid", payload, using=using)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        emit_and_fail(1)
    with transaction.atomic(using=using):
        emit(dispatcher, "shop", "paid", 2, using=using)
        with pytest.raises(RuntimeError):
            emit_and_fail(3)
        assert emitted(dispatcher) == []
    assert emitted(dispatcher) == [2]


def test_workers_are_woken_after_the_commit_and_not_before(dispatcher, using):
    from django.db import transaction

    from unihooks.integrations.django import emit

    woken = []
    dispatcher.settings.wakers.add(lambda: woken.append(emitted(dispatcher)))
    with transaction.atomic(using=using):
        emit(dispatcher, "shop", "paid", 1, using=using)
        assert woken == []
    assert woken == [[1]]


def test_outside_of_atomic_an_event_is_committed_right_away(dispatcher, using):
    from unihooks.integrations.django import emit

    first = emit(dispatcher, "shop", "paid", 1, using=using, tenant="acme", idempotency_key="k")
    assert emit(dispatcher, "shop", "paid", 1, using=using, tenant="acme", idempotency_key="k") == first
    assert dispatcher.log.event(first.id, tenant="acme").payload == 1


async def test_aemit_emits_from_async_views(dispatcher, using):
    from asgiref.sync import sync_to_async
    from django.db import connections

    from unihooks.integrations.django import aemit

    event = await aemit(dispatcher, "shop", "paid", 1, using=using)
    assert dispatcher.log.event(event.id).payload == 1
    await sync_to_async(connections.close_all)()  # in the thread that it belongs to


def test_another_database_than_the_stores_is_an_error(using, tmp_path):
    from unihooks.integrations.django import emit

    with (
        Dispatcher(SQLiteStore(tmp_path / "other.db")) as dispatcher,
        pytest.raises(StoreError, match="another database"),
    ):
        emit(dispatcher, "shop", "paid", 1, using=using)


def test_the_store_follows_djangos_settings(using, tmp_path):
    from unihooks.integrations.django import _conninfo, store

    store(using).close()
    with pytest.raises(StoreError, match="SQLite or PostgreSQL"):
        store("default")  # nothing is set there
    given = {"NAME": "shop", "USER": "me", "HOST": "", "PORT": "5433", "OPTIONS": {"sslmode": "require", "pool": True}}
    assert _conninfo(given) == {"dbname": "shop", "user": "me", "port": "5433", "sslmode": "require"}


def run_example(folder, *command):
    given = os.environ | {"SHOP_DATABASE": str(folder / "shop.sqlite3"), "DJANGO_SETTINGS_MODULE": "settings"}
    given |= {"PYTHONPATH": str(EXAMPLE), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], check=False, cwd=folder, env=given, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_example_migrates_and_emits_in_its_views(tmp_path):
    run_example(tmp_path, str(EXAMPLE / "manage.py"), "migrate", "--verbosity=0")
    script = """
import django, json
django.setup()
from django.test import Client
from shop.hooks import dispatcher
client = Client(raise_request_exception=False)
statuses = [client.get("/buy/7").status_code, client.get("/buy/8?fail=1").status_code]
print(json.dumps([statuses, [event.payload for event in dispatcher().log.events()]]))
"""
    assert json.loads(run_example(tmp_path, "-c", script)) == [[200, 500], [{"number": 7}]]
    shown = run_example(tmp_path, "-m", "unihooks.cli", "events", "list", "--app", "shop.hooks:dispatcher")
    assert "order.paid" in shown
