"""The store in memory keeps the contract, and shares nothing with other processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlite_scene import emit, make_event

from unihooks.abc import EventFilter, Window
from unihooks.stores import MemoryStore
from unihooks.testing import StoreContract

SECRET = "only this process knows"


@pytest.fixture
def store():
    store = MemoryStore()
    yield store
    store.close()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return the folder that holds all temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self, store):
        return store

    async def test_no_connection_leads_to_memory(self, scene):
        event = scene.event()
        with pytest.raises(TypeError, match="emit without `connection`"):
            scene.store.emit_on(object(), event)
        with pytest.raises(TypeError, match="emit without `connection`"):
            await scene.store.aemit_on(object(), event)


def run_python(code, temporary):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=os.environ | {"TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()


EMIT = """
    from unihooks import Dispatcher
    from unihooks.stores import MemoryStore

    store = MemoryStore()
    Dispatcher(store).emit("shop", "paid", {"n": 1})
"""


def holding(folder, text):
    """Return the files below the folder that hold this text."""
    return [path for path in Path(folder).rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def events_in(store):
    return len(store.list_events("default", EventFilter(), Window(limit=10)))


def test_two_stores_share_nothing(store):
    emit(store, make_event(store))
    other = MemoryStore()
    assert (events_in(store), events_in(other)) == (1, 0)
    other.close()


def test_its_content_is_still_there_after_close(store):
    emit(store, make_event(store))
    store.close()
    assert events_in(store) == 1


def test_nobody_else_may_read_its_file(temporary):
    store = MemoryStore()
    emit(store, make_event(store, body=f'"{SECRET}"'.encode()))
    assert holding(temporary, SECRET)
    [folder] = temporary.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    store.close()


def test_nothing_is_left_of_a_store_without_references(temporary):
    store = MemoryStore()
    emit(store, make_event(store))
    store.close()
    assert list(temporary.iterdir())
    del store
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("end", ["", "    store.close()\n", "    raise SystemExit\n"], ids=["open", "closed", "exit"])
def test_nothing_is_left_when_the_process_has_ended(temporary, end):
    run_python(EMIT + end, temporary)
    assert not list(temporary.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork there")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_shares_it_with_its_parent_and_takes_nothing_away(temporary):
    told = run_python(
        EMIT
        + """
    import os, sys
    from unihooks.abc import EventFilter, Window

    child = os.fork()
    Dispatcher(store).emit("shop", "paid", {"n": 2})
    if child:
        assert os.waitpid(child, 0)[1] == 0
        print(len(store.list_events("default", EventFilter(), Window(limit=10))))
    """.replace("import os, sys", "import os, warnings\n    warnings.simplefilter('ignore')"),
        temporary,
    )
    assert told == ["3"]
    assert not list(temporary.iterdir())
