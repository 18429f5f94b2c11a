"""How PostgreSQL runs a named statement: rows as JSON, bytes in one piece, several statements in one round trip."""

from __future__ import annotations

import json

import pytest

from unihooks.stores.postgres import transaction
from unihooks.stores.postgres.transaction import STATEMENTS, Schema, _table
from unihooks.stores.sql.statements import Selection, Statement
from unihooks.stores.sql.transaction import Call

pytestmark = pytest.mark.postgres

WORKER = {"id": "wrk_1", "host": "here", "pid": 7, "now": 1}


@pytest.fixture
def write(store):
    store.migrate()
    return store._database.write


def workers(connection, schema):
    return connection.execute(f"SELECT count(*) FROM {schema}.workers").fetchone()[0]


def test_rows_become_objects_of_json():
    statement = Statement("add", "INSERT", ("id", "text"))
    assert json.loads(_table(statement, [("a", None), ("b", 'é"')])["rows"]) == [
        {"id": "a", "text": None},
        {"id": "b", "text": 'é"'},
    ]


def test_bytes_go_beside_the_rows_in_one_piece():
    statement = Statement("add", "INSERT", ("id", "value", "number"), (), "value")
    given = _table(statement, [("a", b"\0\xff", 1), ("b", b"", 2), ("c", b"xyz", 3)])
    assert given["value_all"] == b"\0\xffxyz"
    assert json.loads(given["rows"]) == [
        {"id": "a", "number": 1, "value_start": 1, "value_length": 2},
        {"id": "b", "number": 2, "value_start": 3, "value_length": 0},
        {"id": "c", "number": 3, "value_start": 3, "value_length": 3},
    ]


def test_other_bytes_are_written_in_hexadecimal():
    statement = Statement("add", "INSERT", ("id", "digest"))
    assert json.loads(_table(statement, [("a", b"\x01\xff")])["rows"]) == [{"id": "a", "digest": "\\x01ff"}]


def test_statements_run_in_the_schema_of_the_store_and_keep_casts():
    placed = Schema('a "b"').placed("SELECT x::text, :one FROM unihooks.t WHERE id = :two_2")
    assert placed == 'SELECT x::text, %(one)s FROM "a ""b""".t WHERE id = %(two_2)s'


def test_a_pipeline_takes_one_round_trip_and_may_commit(write, admin, schema, monkeypatch):
    sent = []
    fetch_sets = transaction.fetch_sets

    def noted(connection, text):
        sent.append(text)
        return fetch_sets(connection, text)

    def work(tx):
        monkeypatch.setattr(transaction, "fetch_sets", noted)
        outcomes = tx.pipeline(
            Call("heartbeat", values=WORKER), Call("heartbeat", values={**WORKER, "id": "wrk_2"}), commit=True
        )
        assert [one.changed for one in outcomes] == [1, 1]
        assert len(sent) == 1
        # Others see it, and it stays.
        assert workers(admin, schema) == 2
        raise LookupError

    with pytest.raises(LookupError):
        write(work)
    assert workers(admin, schema) == 2


def test_without_commit_a_pipeline_lasts_as_long_as_its_transaction(write, admin, schema):
    def work(tx):
        tx.pipeline(Call("heartbeat", values=WORKER))
        assert workers(admin, schema) == 0
        raise LookupError

    with pytest.raises(LookupError):
        write(work)
    assert workers(admin, schema) == 0


def test_a_pipeline_of_nothing_may_commit(write, admin, schema):
    def work(tx):
        tx.run("heartbeat", **WORKER)
        [outcome] = tx.pipeline(Call("add_endpoints", []), commit=True)
        assert (outcome.rows, outcome.changed) == ([], 0)
        assert workers(admin, schema) == 1

    write(work)


def test_a_single_statement_that_asks_needs_no_transaction(store):
    store.migrate()
    found = store._database.ask(lambda tx: tx.pipeline(Call("config_versions", values={"tenants": ["t"]})))
    assert [one.rows for one in found] == [[]]
    selection = Selection(values={"tenant": "t"})
    assert store._database.ask(lambda tx: tx.count("delivery_ids", selection)) == 0


@pytest.mark.parametrize("name", sorted(name for name, one in STATEMENTS.items() if one.text))
def test_no_statement_holds_a_percent_sign_that_the_driver_would_take(name):
    assert "%" not in STATEMENTS[name].text
