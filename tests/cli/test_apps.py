"""How a command finds its dispatcher, and which error a wrong name gets."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

APP = """
from unihooks import Dispatcher
from unihooks.stores import MemoryStore

class Services:
    dispatcher = Dispatcher(MemoryStore())

def make():
    return Dispatcher(MemoryStore())

def needs(it):
    return it

number = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "hooks_app.py").write_text(APP)
    yield tmp_path
    for name in ("hooks_app", "broken_app"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("attribute", ["Services.dispatcher", "make"])
def test_app_is_a_dispatcher_or_makes_one(run, folder, attribute):
    result = run("status", "--app", f"hooks_app:{attribute}")
    assert result.exit_code == 0
    assert "due deliveries\t0" in result.stdout


def test_app_may_come_from_the_environment(run, folder):
    assert run("status", env={"UNIHOOKS_APP": "hooks_app:make"}).exit_code == 0


def test_sqlite_wins_over_the_environment_but_not_over_app(run, folder, past):
    assert run("status", "--sqlite", past.path, env={"UNIHOOKS_APP": "nowhere:x"}).exit_code == 0
    result = run("status", "--sqlite", past.path, "--app", "hooks_app:make")
    assert (result.exit_code, "exclude each other" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "app,code,sentence",
    [
        ("hooks_app", 2, "does not have the form module:attribute"),
        ("", 2, "does not have the form"),
        ("hooks_app:a b", 2, "does not have the form"),
        ("nowhere:x", 2, "there is no module 'nowhere'"),
        ("hooks_app.sub:x", 2, "there is no module 'hooks_app.sub'"),
        ("hooks_app:nothing", 2, "has no attribute 'nothing'"),
        ("hooks_app:number", 2, "must be a Dispatcher or return one, not 'int'"),
        ("hooks_app:needs", 1, "calling hooks_app:needs failed: TypeError"),
    ],
)
def test_slip_about_the_app_is_one_sentence(run, folder, app, code, sentence):
    result = run("status", "--app", app)
    assert result.exit_code == code
    assert sentence in result.stderr
    assert not result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "source,sentence",
    [
        ("1 / 0", "importing broken_app failed: ZeroDivisionError: division by zero (broken_app.py, line 1)"),
        ("import not_there_at_all", "it needs the module 'not_there_at_all', which is not installed"),
        ("raise SystemExit(3)", "importing broken_app failed: SystemExit: 3"),
        ("def f(:", "SyntaxError: invalid syntax (broken_app.py, line 1)"),
    ],
)
def test_an_error_on_import_of_the_app_names_its_place(run, folder, source, sentence):
    (folder / "broken_app.py").write_text(source)
    result = run("status", "--app", "broken_app:dispatcher")
    assert result.exit_code == 1
    assert sentence in result.stderr


def test_neither_app_nor_file_is_a_usage_error(run):
    for command in (["status"], ["worker"], ["deliveries", "list"]):
        result = run(*command)
        assert result.exit_code == 2
        assert "--app module:attribute" in result.stderr


def test_only_migrate_makes_a_file(run, tmp_path):
    path = tmp_path / "new.db"
    result = run("status", "--sqlite", path)
    assert (result.exit_code, path.exists()) == (2, False)
    assert "unihooks migrate" in result.stderr
    assert "applied" in run("migrate", "--sqlite", path).stdout
    assert "up to date" in run("migrate", "--sqlite", path).stdout
    assert run("status", "--sqlite", path).exit_code == 0


def test_migrate_prints_the_sql_for_migrations_of_the_host(run):
    printed = run("migrate", "--sql", "--schema", "hooks").stdout
    assert printed.startswith('CREATE SCHEMA IF NOT EXISTS "hooks";')
    assert 'CREATE TABLE "hooks".events' in printed
    assert not run("migrate", "--sql", "--since", "1").stdout


def test_the_name_of_a_schema_is_quoted_or_refused(run):
    assert 'CREATE TABLE "a;b".events' in run("migrate", "--sql", "--schema", "a;b").stdout
    for name in ("", "a%", "a\nb", "x" * 64, "unihooks.x"):
        refused = run("migrate", "--sql", "--schema", name)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "schema must be a name" in refused.stderr


def test_migrate_writes_its_steps_as_json(run_json, tmp_path):
    assert run_json("migrate", "--sqlite", tmp_path / "new.db")["steps"]
    assert run_json("migrate", "--sqlite", tmp_path / "new.db") == {"steps": []}


def test_file_that_is_no_database_or_empty_is_an_error(run, tmp_path):
    text, empty = tmp_path / "text.db", tmp_path / "empty.db"
    text.write_text("no database, but a text that is long enough to be looked at " * 20)
    empty.touch()
    for path, sentence in ((text, "is not an SQLite database"), (empty, "unihooks migrate")):
        result = run("status", "--sqlite", path)
        assert result.exit_code == 1
        assert sentence in result.stderr
    assert run("status", "--sqlite", tmp_path).exit_code == 2


@pytest.mark.slow
def test_locked_database_is_an_error(run, past):
    delivery = past.deliveries()[0]
    past.dispatcher.close()
    other = sqlite3.connect(past.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    result = run("deliveries", "replay", delivery.id, "--sqlite", past.path)
    other.close()
    assert result.exit_code == 1
    assert "locked" in result.stderr
    assert "0 of 1 delivery replayed" in result.stdout


def test_path_of_the_working_folder_is_searched_first(run, folder):
    run("status", "--app", "hooks_app:make")
    assert Path(sys.path[0]) == folder
