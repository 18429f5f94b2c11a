"""SQLAlchemy and Django can lead to an SQLite file, too."""

from __future__ import annotations

import pytest
from host_scene import django_connection, make_event, scoped, session, sqlalchemy_engine, stored_ids

from unihooks.exceptions import IdempotencyConflict, StoreError
from unihooks.stores import SQLiteStore


class TestLibrariesOnSQLite:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "host.db"

    @pytest.fixture
    def file(self, path):
        store = SQLiteStore(path, busy_timeout=1)
        store.migrate()
        yield store
        store.close()

    def steps(self, store, connection, commit, rollback):
        store.emit_on(connection, make_event(store))
        rollback()
        first = store.emit_on(connection, make_event(store, idempotency_key="k", digest=b"one"))
        with pytest.raises(IdempotencyConflict):
            store.emit_on(connection, make_event(store, idempotency_key="k", digest=b"two"))
        commit()
        assert stored_ids(store) == [first.id]

    @pytest.mark.parametrize("wrap", [lambda connection: connection, session, scoped])
    def test_sqlalchemy(self, file, path, wrap):
        with sqlalchemy_engine(f"sqlite:///{path}") as engine, engine.connect() as raw:
            connection = wrap(raw)
            self.steps(file, connection, connection.commit, connection.rollback)
            connection.close()

    def test_django(self, file, path):
        with django_connection("sqlite3", path) as connection:
            connection.set_autocommit(False)
            self.steps(file, connection, connection.commit, connection.rollback)

    async def test_sqlalchemy_with_aiosqlite(self, file, path):
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        async with AsyncSession(engine) as connection:
            await file.aemit_on(connection, make_event(file))
            await connection.rollback()
            event = await file.aemit_on(connection, make_event(file))
            await connection.commit()
        await engine.dispose()
        assert stored_ids(file) == [event.id]

    def test_other_file_is_an_error_that_says_so(self, file, tmp_path):
        elsewhere = pytest.raises(StoreError, match="another database")
        with sqlalchemy_engine(f"sqlite:///{tmp_path / 'other.db'}") as engine, engine.connect() as one, elsewhere:
            file.emit_on(one, make_event(file))
        with django_connection("sqlite3", tmp_path / "other.db") as other, elsewhere:
            file.emit_on(other, make_event(file))
