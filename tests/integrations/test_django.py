"""Django's transactions decide what is emitted; commands of the example run as documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("django")

from unihooks import Dispatcher
from unihooks.exceptions import StoreError
from unihooks.stores import SQLiteStore

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "django"


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


def test_workers_are_woken_after_the_commit_and_not_before(dispatcher, using, monkeypatch):
    from django.db import transaction

    from unihooks.integrations.django import emit

    woken = []
    monkeypatch.setattr(type(dispatcher.settings.store), "wake", lambda _self: woken.append(emitted(dispatcher)))
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
    from unihooks.integrations._django_store import conninfo
    from unihooks.integrations.django import store

    store(using).close()
    with pytest.raises(StoreError, match="SQLite or PostgreSQL"):
        store("default")  # nothing is set there
    given = {"NAME": "shop", "USER": "me", "HOST": "", "PORT": "5433", "OPTIONS": {"sslmode": "require", "pool": True}}
    assert conninfo(given) == {"dbname": "shop", "user": "me", "port": "5433", "sslmode": "require"}


def run_example(folder, *command, **environment):
    given = os.environ | {"SHOP_DATABASE": str(folder / "shop.sqlite3"), "DJANGO_SETTINGS_MODULE": "settings"}
    given |= {
        "PYTHONPATH": os.pathsep.join([str(EXAMPLE), str(Path(__file__).parent), *sys.path]),
        # The example's folder must stay unchanged, and one test's compiled files serve the next one.
        "PYTHONPYCACHEPREFIX": str(folder.parent / "compiled"),
    }
    command = [sys.executable, *command]
    done = subprocess.run(
        command, check=False, cwd=folder, env=given | environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout + done.stderr


@pytest.fixture(
    params=[
        "memory",
        pytest.param("file", marks=pytest.mark.slow),
        pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.postgres]),
    ]
)
def test_database(request, tmp_path):
    """Return the environment that leads the example's tests to one kind of database."""
    if request.param == "memory":
        yield {}
    elif request.param == "file":
        yield {"SHOP_TEST_DATABASE": str(tmp_path / "test.sqlite3")}
    else:
        yield from on_postgres(request.getfixturevalue("postgres_dsn"))


def on_postgres(dsn):
    import psycopg

    given = psycopg.conninfo.conninfo_to_dict(dsn)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    places = {variable: str(given[name]) for name, variable in names.items() if given.get(name)}
    yield places | {"DJANGO_SETTINGS_MODULE": "settings_postgresql"}
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "test_{given["dbname"]}"')  # which --keepdb has kept


@pytest.mark.parametrize("way", [[], ["--parallel", "2"], ["--keepdb", "--reverse"]], ids=["", "parallel", "keepdb"])
def test_the_examples_own_tests_pass_and_leave_nothing_open(tmp_path, test_database, way):
    if "--keepdb" in way and not test_database:
        pytest.skip("what is in memory cannot be kept")
    said = run_example(tmp_path, str(EXAMPLE / "manage.py"), "test", "shop", *way, **test_database)
    assert "Ran 5 tests" in said
    left = [path.name for path in tmp_path.glob("*.sqlite3*")]
    assert left == (["test.sqlite3"] if test_database.get("SHOP_TEST_DATABASE") and "--keepdb" in way else [])


def test_cases_of_djangos_own_runner_do_not_disturb_one_another(tmp_path, test_database):
    said = run_example(tmp_path, str(EXAMPLE / "manage.py"), "test", "django_cases", "--shuffle", **test_database)
    assert "\nOK" in said


CASES_OF_PYTEST = """
import pytest
from shop.hooks import dispatcher
from unihooks import Webhook

def check(client):
    assert (list(dispatcher().log.events()), list(dispatcher().webhooks.list())) == ([], [])
    assert client.get("/buy/7").status_code == 200
    dispatcher().webhooks.add(Webhook(name="CRM", endpoints=["https://crm.example.com"]))
    assert dispatcher().drain().planned == 1

@pytest.mark.parametrize("time", [1, 2])
def test_in_a_transaction(client, unihooks_django, time):
    check(client)

@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", [1, 2])
def test_committed(client, unihooks_django, time):
    check(client)
"""
# The same as pytest-django, for projects without it.
WITHOUT_PYTEST_DJANGO = """
import django, pytest
from django.test import Client
from django.test.utils import setup_databases, setup_test_environment, teardown_databases

@pytest.fixture(scope="session")
def databases():
    django.setup()
    setup_test_environment()
    made = setup_databases(0, False)
    yield
    teardown_databases(made, 0)

@pytest.fixture
def client(databases):
    yield Client()
    from shop.models import Order
    Order.objects.all().delete()

def pytest_configure(config):
    config.addinivalue_line("markers", "django_db: of pytest-django")
"""


@pytest.mark.parametrize("plugin", ["pytest_django", ""])
def test_the_fixture_of_pytest_leaves_nothing(tmp_path, test_database, plugin):
    options = ["-q", "--color=no", "--rootdir", str(tmp_path), "-p", "unihooks.testing.pytest_plugin"]
    if plugin:
        pytest.importorskip(plugin)
        options += ["-p", "pytest_django.plugin"]
    else:
        (tmp_path / "conftest.py").write_text(WITHOUT_PYTEST_DJANGO)
    (tmp_path / "test_shop.py").write_text(CASES_OF_PYTEST)
    said = run_example(tmp_path, "-m", "pytest", *options, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **test_database)
    assert "4 passed" in said


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
