"""A store that ends with its process: the SQLite store in a private temporary file, not synced to disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from weakref import finalize

from unihooks.stores.sqlite.store import SQLiteStore

_NO_CONNECTION = "a MemoryStore has no database that a connection could lead to; emit without `connection`"


class MemoryStore(SQLiteStore):
    """A store for tests and experiments: nothing outlives the process, and nothing waits for the disk.

    Children of a fork share it with their parent, for as long as that lives.
    """

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="unihooks-")
        # Registered first, so that it runs last: the store closes its file before that is removed.
        finalize(self, _remove, self._folder, os.getpid())
        path = Path(self._folder) / "memory.db"
        # Files that SQLite puts beside it get the same permissions.
        path.touch(mode=0o600)
        super().__init__(path, _durable=False)

    def _check(self, connection: Any) -> None:  # noqa: ARG002 - none leads to the private file
        raise TypeError(_NO_CONNECTION)


def _remove(folder: str, made_in: int) -> None:
    # A forked child must not remove its parent's file.
    if os.getpid() == made_in:
        shutil.rmtree(folder, ignore_errors=True)
