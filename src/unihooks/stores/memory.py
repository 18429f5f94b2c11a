"""A store that ends with its process: the SQLite store in a private temporary file, not synced to disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from weakref import finalize

from unihooks._contract.planning import NewEvent
from unihooks._model.log import Event
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

    def emit_on(self, connection: Any, event: NewEvent, per_minute: int | None = None) -> Event:  # noqa: ARG002 - there is none to the private file
        """Raise TypeError, because no connection leads to this store."""
        raise TypeError(_NO_CONNECTION)

    async def aemit_on(self, connection: Any, event: NewEvent, per_minute: int | None = None) -> Event:
        """Raise TypeError, because no connection leads to this store."""
        return self.emit_on(connection, event, per_minute)


def _remove(folder: str, made_in: int) -> None:
    # A forked child must not remove its parent's file.
    if os.getpid() == made_in:
        shutil.rmtree(folder, ignore_errors=True)
