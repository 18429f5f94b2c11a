"""How SQLite runs a named statement: rows in chunks of few sizes, many rows back in one step."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from unihooks.stores.sql.statements import parse
from unihooks.stores.sql.transaction import Call
from unihooks.stores.sqlite import transaction
from unihooks.stores.sqlite.transaction import SQLiteTransaction

STATEMENTS = """
-- name: make
CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, value BLOB)

-- name: add
-- rows: id, text
INSERT INTO t (id, text) SELECT column1 + :more, column2 || :suffix FROM (VALUES :rows) WHERE column1 < :most
RETURNING id

-- name: give
-- rows: id, value
-- bytes: value
WITH news (id, value) AS (VALUES :rows) UPDATE t SET value = news.value FROM news WHERE t.id = news.id

-- name: by_json
-- rows: id, text
SELECT json_extract(k.value, '$[1]') FROM json_each(:rows) AS k WHERE json_extract(k.value, '$[0]') > :least

-- name: texts
-- columns: id, text
SELECT id, text FROM t ORDER BY id DESC

-- name: values
-- columns: id, value
-- bytes: value
SELECT id, value FROM t ORDER BY id

-- name: grouped
-- groups: odd; id, text
SELECT json_group_array(json_array(odd.value, (
    SELECT json_group_array(json_array(id, text)) FROM t WHERE id % 2 = odd.value
))) FROM json_each('[0, 1]') AS odd

-- name: nothing
"""


@pytest.fixture
def tx(monkeypatch):
    for statement in parse(STATEMENTS):
        monkeypatch.setitem(transaction.STATEMENTS, statement.name, statement)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        tx = SQLiteTransaction(connection, lambda: 7)
        tx.run("make")
        tx.steps = []
        connection.set_trace_callback(tx.steps.append)
        yield tx
    transaction._compiled.cache_clear()


def add(tx, count, **more):
    return tx.fetch("add", [(number, f"t{number}") for number in range(count)], **{"more": 100, "suffix": "!", **more})


@pytest.mark.parametrize(
    "count, sizes", [(1, [1]), (16, [16]), (17, [16, 1]), (100, [64, 32, 4]), (600, [256, 256, 64, 16, 8])]
)
def test_rows_go_in_chunks_of_few_sizes(tx, count, sizes):
    assert len(add(tx, count, most=10_000)) == count
    assert [step.count("),(") + step.count("), (") + 1 for step in tx.steps if "VALUES" in step] == sizes


def test_parameters_before_and_behind_the_rows_find_their_places(tx):
    assert [row[0] for row in add(tx, 300, most=20)] == list(range(100, 120))
    assert tx.fetch("texts")[0] == [119, "t19!"]


def test_many_rows_come_back_in_one_step(tx):
    add(tx, 300, most=300)
    tx.steps.clear()
    assert [list(row) for row in tx.fetch("texts")] == [[100 + n, f"t{n}!"] for n in reversed(range(300))]
    assert len(tx.steps) == 1


def test_groups_come_back_as_rows_that_share_common_values(tx):
    add(tx, 4, most=3)
    assert [list(row) for row in tx.fetch("grouped")] == [[0, 100, "t0!"], [0, 102, "t2!"], [1, 101, "t1!"]]


def test_no_rows_come_back_as_none(tx):
    assert tx.fetch("texts") == tx.fetch("values") == tx.fetch("grouped") == []


def test_bytes_come_back_beside_the_other_columns(tx):
    add(tx, 4, most=4)
    given = [b"", b"\0\xff", b"x" * 5_000, b'"']
    assert tx.run("give", [(100 + number, value) for number, value in enumerate(given)]) == 4
    assert [row[1] for row in tx.fetch("values")] == given


def test_bytes_that_are_not_there_come_back_empty_and_move_no_others(tx):
    add(tx, 3, most=3)
    tx.run("give", [(100, b"ab"), (102, b"cd")])
    assert [row[1] for row in tx.fetch("values")] == [b"ab", b"", b"cd"]


def test_rows_may_go_in_as_json(tx):
    assert tx.fetch("by_json", [(1, "a"), (2, 'é"'), (3, None)], least=1) == [('é"',), (None,)]


def test_a_statement_without_sql_takes_no_step(tx):
    tx.steps.clear()
    assert (tx.fetch("nothing"), tx.run("nothing"), tx.pipeline(Call("nothing"))) == ([], 0, [([], 0)])
    assert tx.steps == []


def test_the_time_of_the_transaction_is_that_of_the_store(tx):
    assert (tx.now, tx.time()) == (7, 7)
