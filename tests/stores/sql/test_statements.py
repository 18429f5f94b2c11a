import re
from importlib.resources import files

import pytest

from unihooks.exceptions import StoreError
from unihooks.stores.postgres.transaction import STATEMENTS as POSTGRES
from unihooks.stores.postgres.transaction import Schema
from unihooks.stores.sql.statements import Selection, Statement, Statements, parse
from unihooks.stores.sqlite.transaction import STATEMENTS as SQLITE
from unihooks.stores.sqlite.transaction import _compiled

NAMED = re.compile(r"(?<![:\w]):(\w+)")
# Each database's own code runs these: how it emits in groups, and where it looks for its tables.
OWN = {"add_events", "add_events_again", "times_of_events", "has_schema", "store_table", "become_listener"}
# Only one keeps the log by days.
OWN |= {one.name for one in parse((files("unihooks.stores.postgres") / "statements" / "days.sql").read_text())}
# One database gets these from the statement before, the other as parameters; and a hint that only one needs.
MORE = {"found_config_versions": {"after", "tenants"}, "due_deliveries": {"share"}}


def test_both_databases_have_the_same_statements():
    assert set(SQLITE) - OWN == set(POSTGRES) - OWN


@pytest.mark.parametrize("name", sorted((set(SQLITE) & set(POSTGRES)) - OWN))
def test_a_statement_takes_the_same_in_both_databases(name):
    sqlite, postgres = SQLITE[name], POSTGRES[name]
    if sqlite.text and postgres.text:
        assert sqlite.rows == postgres.rows
        table = {"rows", *(sqlite.rows if sqlite.list else ())}
        assert (_parameters(sqlite) ^ _parameters(postgres)) - table <= MORE.get(name, set())


FILE = """\
-- What stands before the first name is a comment.

-- name: add
-- rows: id text, state ,value bytea
-- bytes: value
-- Rows that are there already stay.
INSERT INTO t (id, state, value)
-- Nothing of this line, either.
VALUES :rows

-- name: lock, share

-- name: all_of
-- columns: id, value
SELECT id, value
FROM t  -- what follows SQL on its line is SQL
WHERE tenant = :tenant
"""


def test_a_file_is_read_by_its_headers():
    assert list(parse(FILE)) == [
        Statement(
            "add",
            "INSERT INTO t (id, state, value)\nVALUES :rows",
            ("id", "state", "value"),
            (),
            "value",
            typed="id text, state ,value bytea",
        ),
        Statement("lock", ""),
        Statement("share", ""),
        Statement(
            "all_of",
            "SELECT id, value\nFROM t  -- what follows SQL on its line is SQL\nWHERE tenant = :tenant",
            (),
            ("id", "value"),
        ),
    ]


def test_a_file_without_names_holds_no_statements():
    assert list(parse("-- nothing\nSELECT 1\n")) == []


def test_the_statements_of_all_sql_files_of_a_folder_are_known(tmp_path):
    (tmp_path / "a.sql").write_text("-- name: one\nSELECT 1\n")
    (tmp_path / "b.sql").write_text("-- name: two\nSELECT 'é'\n", encoding="utf-8")
    (tmp_path / "c.txt").write_text("-- name: three\nSELECT 3\n")
    statements = Statements(tmp_path)
    own = {name: one.text for name, one in statements.items() if name in {"one", "two", "three"}}
    assert own == {"one": "SELECT 1", "two": "SELECT 'é'"}


def test_shared_statements_are_translated_for_each_database():
    assert "FROM unihooks.tenants WHERE tenant = ANY(:tenants)" in POSTGRES["config_versions"].text
    in_sqlite = "FROM main.unihooks_tenants WHERE tenant IN (SELECT value FROM json_each(:tenants))"
    assert in_sqlite in SQLITE["config_versions"].text


def test_a_database_may_replace_a_shared_statement(tmp_path):
    (tmp_path / "own.sql").write_text("-- name: config_versions\nSELECT 1\n")
    assert Statements(tmp_path)["config_versions"].text == "SELECT 1"


def test_sqlite_joins_in_the_order_that_is_written_and_locks_no_rows():
    own = POSTGRES["deliveries_to_replay"].text, SQLITE["deliveries_to_replay"].text
    assert [text.count("CROSS JOIN") for text in own] == [0, 1]
    assert [text.count("LEFT JOIN") for text in own] == [2, 2]
    assert [text.count("FOR KEY SHARE OF e") for text in own] == [1, 0]
    assert [POSTGRES["prune_answers"].text.count("SKIP LOCKED"), SQLITE["prune_answers"].text.count("LOCKED")] == [1, 0]


def test_hints_and_flags_are_said_in_the_words_of_each():
    hints = "INDEXED BY unihooks_lanes_due_by_tenant", "INDEXED BY unihooks_deliveries_due", "l.open = 1"
    assert [hint in SQLITE["tenants"].text for hint in hints] == [True] * 3
    assert [hint in POSTGRES["tenants"].text for hint in (*hints, "l.open = true")] == [False] * 3 + [True]
    assert "WHERE +d.tenant" in SQLITE["delivery_ids_by_key"].text
    assert "WHERE d.tenant" in POSTGRES["delivery_ids_by_key"].text


def test_postgres_inserts_rows_with_the_types_of_their_table():
    columns = "id, definition, kept_at"
    assert SQLITE["keep_renderings"].text.startswith(f"INSERT INTO main.unihooks_renderings ({columns}) VALUES :rows")
    rows = "json_populate_recordset(CAST(NULL AS unihooks.renderings), CAST(:rows AS json))"
    assert f"({columns})\nSELECT {columns}\nFROM {rows}" in POSTGRES["keep_renderings"].text


def test_rows_are_a_table_in_the_words_of_each():
    assert "FROM :rows AS k\nJOIN" in POSTGRES["event_bodies"].text
    in_postgres = "FROM json_to_recordset(CAST(%(rows)s AS json)) AS k (tenant text, id text)\nJOIN"
    assert in_postgres in Schema("unihooks").text("event_bodies")
    in_sqlite = _compiled("event_bodies", is_utf8=False)
    assert in_sqlite.before == "WITH k (tenant, id) AS ("
    assert "FROM k CROSS JOIN" in in_sqlite.after


def test_bytes_of_rows_are_cut_from_those_of_all_rows_in_postgres():
    text = Schema("unihooks").text("add_attempts")
    assert "substr(CAST(%(response_body_all)s AS bytea), response_body_start, response_body_length) AS resp" in text
    assert "response_body_start integer, response_body_length integer, warnings text)) AS r" in text
    assert SQLITE["add_attempts"].text.endswith(")\nVALUES :rows")


def test_a_name_that_two_files_give_is_refused(tmp_path):
    for name in ("a.sql", "b.sql"):
        (tmp_path / name).write_text("-- name: one\nSELECT 1\n")
    with pytest.raises(StoreError, match="one is defined twice"):
        Statements(tmp_path)


def test_a_selection_becomes_one_text(tmp_path):
    (tmp_path / "a.sql").write_text(
        "-- name: all_of\nSELECT id FROM t WHERE a = :a\n-- name: closed\nSELECT 1 FROM l WHERE NOT open\n"
    )
    statements = Statements(tmp_path)
    selection = Selection(["b = :b", "NOT EXISTS ({closed})"], {"a": 1, "b": 2}, "id DESC", 3)
    text = statements.selecting("all_of", selection)
    conditions = "a = :a AND b = :b AND NOT EXISTS (SELECT 1 FROM l WHERE NOT open)"
    assert " ".join(text.split()) == f"SELECT id FROM t WHERE {conditions} ORDER BY id DESC LIMIT :limit"
    assert statements.selecting("all_of", Selection()).strip() == "SELECT id FROM t WHERE a = :a"
    with pytest.raises(KeyError):
        statements.selecting("all_of", Selection(["id IN ({unknown})"]))


def test_a_condition_holds_where_one_of_its_values_is_given():
    selection = Selection()
    selection.where("a = :a", a=None)
    selection.where("b = :b", b=0)
    selection.where("c BETWEEN :c AND :d", c=None, d=1)
    assert selection.conditions == ["b = :b", "c BETWEEN :c AND :d"]
    assert selection.values == {"b": 0, "c": None, "d": 1}


def _parameters(statement):
    return set(NAMED.findall(statement.text)) - {f"{statement.bytes}_all"}
