"""A PostgreSQL server that refuses to write says why; the worker survives, and everything is sent afterwards."""

from __future__ import annotations

import logging
import os
import pwd
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import postgres_server
import psycopg
import pytest
from postgres_load import Load
from postgres_scene import add_webhook, emit, make_event, plan
from postgres_worker import delivered
from waiting import wait_for

from unihooks.abc import Capacity, Lease
from unihooks.exceptions import StoreError

pytestmark = pytest.mark.postgres

READ_ONLY = "the server is read-only; connect to its primary, or lift default_transaction_read_only"
FULL = "the server's disk is full; free space on it"


@pytest.fixture
def complaints(caplog):
    """Return the worker's log messages."""
    caplog.set_level(logging.ERROR, logger="unihooks.worker")
    return lambda: [one.getMessage() for one in caplog.records]


def stored(store, *events):
    [outcome] = emit(store, *events)
    if isinstance(outcome, Exception):
        raise outcome


def test_each_write_on_a_read_only_server_says_what_to_do(new_store, postgres_dsn):
    usual = new_store()
    add_webhook(usual)
    emit(usual)
    [claimed] = plan(usual, capacity=1).claimed
    emit(usual)
    plan(usual)
    emit(usual)
    store = new_store(psycopg.conninfo.make_conninfo(postgres_dsn, options="-c default_transaction_read_only=on"))
    once = make_event(store, idempotency_key="k", digest=b"d")
    for write in (
        lambda: stored(store),
        lambda: stored(store, once),
        lambda: plan(store),
        lambda: store.claim(Lease(token=2, seconds=30), Capacity(1, 1)),
        lambda: store.record([delivered(store, claimed)]),
        lambda: store.heartbeat("a worker"),
    ):
        with pytest.raises(StoreError, match=READ_ONLY):
            write()
    assert usual.record([delivered(usual, claimed)]).accepted


def set_read_only(dsn, value):
    with psycopg.connect(dsn, autocommit=True, options="-c default_transaction_read_only=off") as admin:
        admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        admin.execute("SELECT pg_reload_conf()")


@pytest.mark.slow
def test_read_only_server_loses_nothing(receiver, complaints):
    with postgres_server.serving() as server:
        load = Load(receiver, server.dsn)
        with load.running():
            load.goes_on()
            set_read_only(server.dsn, "on")
            wait_for(lambda: len(load.refused) > 100)
            wait_for(complaints)
            set_read_only(server.dsn, "off")
            load.goes_on()
            load.judge("read-only for a while")
    assert all(READ_ONLY in one for one in load.refused)
    assert all(READ_ONLY in one for one in complaints())


@contextmanager
def small_disk(megabytes):
    """Mount a small file system that the server's user may write to."""
    if os.geteuid() != 0:
        pytest.skip("to mount a small disk takes root")
    folder = Path(tempfile.mkdtemp(prefix="unihooks-disk-"))
    user = pwd.getpwnam("nobody")
    options = f"size={megabytes}m,mode=700,uid={user.pw_uid},gid={user.pw_gid}"
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False)
        if mounted.returncode:
            pytest.skip("this system does not let its root mount a small disk")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


def fill(admin):
    """Fill the disk."""
    admin.execute("CREATE TABLE filler (noise text)")
    admin.execute("ALTER TABLE filler ALTER COLUMN noise SET STORAGE PLAIN")
    for size in (7_000, 700, 70):
        with suppress(psycopg.errors.DiskFull):
            while True:
                admin.execute("INSERT INTO filler SELECT repeat('x', %s) FROM generate_series(1, 50)", [size])


@pytest.mark.slow
def test_full_disk_loses_nothing(receiver, complaints):
    with small_disk(24) as disk, postgres_server.serving() as server:
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            admin.execute("ALTER DATABASE postgres SET default_tablespace = small")
        load = Load(receiver, server.dsn, size=4_000)
        with load.running(), psycopg.connect(server.dsn, autocommit=True) as admin:
            load.goes_on()
            fill(admin)
            wait_for(lambda: len(load.refused) > 20)
            admin.execute("DROP TABLE filler")
            load.goes_on()
            load.judge("the disk full for a while")
    assert all(FULL in one for one in load.refused)
    assert all(FULL in one for one in complaints())
