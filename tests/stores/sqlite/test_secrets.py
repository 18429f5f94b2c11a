"""Only its user may read a file that the store creates, and no deleted secret stays in it."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from unihooks import Dispatcher, EventSubscription, HeaderSet, Secret, Webhook
from unihooks.abc import StateKey, StateKind
from unihooks.stores import SQLiteStore

TOKEN = "Bearer a-token-of-a-customer"
URL = "https://crm.example.com/in"


@pytest.fixture
def folder(tmp_path):
    """Yield a folder in which new files are readable by everybody."""
    usual = os.umask(0)
    yield tmp_path
    os.umask(usual)


@pytest.fixture
def dispatcher(tmp_path):
    with Dispatcher(SQLiteStore(tmp_path / "webhooks.db")) as dispatcher:
        yield dispatcher


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.db*")}


def left(folder):
    return b"".join(path.read_bytes() for path in folder.glob("webhooks.db*"))


def webhook(**more):
    subscriptions = [EventSubscription("shop", "*")]
    return Webhook(name="CRM", endpoints=[URL], subscriptions=subscriptions, headers={"authorization": TOKEN}, **more)


@pytest.mark.parametrize("first", ["migrate", "webhooks.list", "emit"])
def test_a_file_that_the_store_creates_is_readable_by_its_user_alone(folder, first):
    with Dispatcher(SQLiteStore(folder / "webhooks.db")) as dispatcher:
        if first == "migrate":
            dispatcher.migrate()
        elif first == "emit":
            with closing(sqlite3.connect(":memory:")):
                dispatcher.emit("shop", "paid", 1)
        dispatcher.webhooks.list()
        dispatcher.emit("shop", "paid", 1)
        assert modes(folder) == dict.fromkeys(["webhooks.db", "webhooks.db-wal", "webhooks.db-shm"], 0o600)


def test_a_link_to_a_file_that_is_not_there_makes_no_difference(folder):
    (folder / "link.db").symlink_to(folder / "webhooks.db")
    with Dispatcher(SQLiteStore(folder / "link.db")) as dispatcher:
        dispatcher.emit("shop", "paid", 1)
        assert set(modes(folder).values()) == {0o600}


def test_a_file_that_exists_keeps_its_mode(folder):
    path = folder / "webhooks.db"
    path.touch(mode=0o640)
    with Dispatcher(SQLiteStore(path)) as dispatcher:
        dispatcher.emit("shop", "paid", 1)
        assert set(modes(folder).values()) == {0o640}


def test_secrets_of_a_deleted_webhook_are_gone_from_the_open_file(dispatcher, tmp_path):
    added = dispatcher.webhooks.add(webhook())
    other = dispatcher.webhooks.add(webhook(secrets=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]))
    dispatcher.webhooks.update(added.id, name="renamed")
    gone, kept = added.secrets[0].reveal().encode(), other.secrets[0].reveal().encode()
    assert gone in left(tmp_path)
    dispatcher.webhooks.delete(added.id)
    assert gone not in left(tmp_path)
    assert kept in left(tmp_path)
    dispatcher.webhooks.delete(other.id)
    assert kept not in left(tmp_path)
    assert TOKEN.encode() not in left(tmp_path)


def test_values_that_were_replaced_are_gone_from_the_open_file(dispatcher, tmp_path):
    added = dispatcher.webhooks.add(webhook())
    dispatcher.webhooks.update(added.id, headers=HeaderSet({"authorization": "another"}))
    assert TOKEN.encode() not in left(tmp_path)
    old = added.secrets[0].reveal().encode()
    dispatcher.webhooks.rotate_secret(added.id, overlap=0)
    dispatcher.webhooks.rotate_secret(added.id, overlap=0)
    assert old not in left(tmp_path)
    assert isinstance(added.secrets[0], Secret)


@pytest.mark.parametrize("is_dropped", [True, False])
def test_expired_state_of_a_console_is_gone_from_the_open_file(dispatcher, tmp_path, is_dropped):
    store, key = dispatcher.settings.open_store, StateKey("acme", "ada", StateKind.DRAFT, "drf_1")
    store.put_state(key, {"headers": TOKEN}, keep_us=1 if not is_dropped else 10**9, at_most=5)
    assert TOKEN.encode() in left(tmp_path)
    if is_dropped:
        assert store.drop_state(key)
    else:
        assert store.expire_state(store.now() + 1, 10) == 1
    assert TOKEN.encode() not in left(tmp_path)


def test_while_a_reader_is_in_the_way_they_go_with_a_later_commit(dispatcher, tmp_path, monkeypatch):
    monkeypatch.setattr("unihooks.stores.sqlite.database._PATIENCE_FOR_LATER", 0)
    monkeypatch.setattr("unihooks.stores.sqlite.writer._LOOK_SECONDS", 0)
    added = dispatcher.webhooks.add(webhook())
    secret = added.secrets[0].reveal().encode()
    with closing(sqlite3.connect(tmp_path / "webhooks.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM unihooks_webhooks").fetchone()
        dispatcher.webhooks.delete(added.id)
        assert secret in left(tmp_path)
    monkeypatch.setattr("unihooks.stores.sqlite.writer._LOOK_AGAIN_SECONDS", 0)
    dispatcher.emit("shop", "paid", 1)
    dispatcher.emit("shop", "paid", 2)
    assert secret not in left(tmp_path)
