"""A database in Django's settings, of each kind."""

from __future__ import annotations

from itertools import count

import pytest

_numbers = count(1)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request, tmp_path):
    """Yield Django's settings of a database, and the options of a store there."""
    if request.param == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "host.db"}, {}
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(request.getfixturevalue("postgres_dsn"))
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    settings = {theirs: given.get(ours, "") for theirs, ours in names.items()}
    return {"ENGINE": "django.db.backends.postgresql", **settings}, {"schema": request.getfixturevalue("schema")}


@pytest.fixture
def using(database):
    """Return the name of a database in Django's settings."""
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
