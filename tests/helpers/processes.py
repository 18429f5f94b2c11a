"""Python processes that use a dispatcher on the same file."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from contextlib import suppress
from typing import IO

START = """
import os, ssl, sys
from unihooks import Dispatcher, TargetPolicy, Worker
from unihooks.stores import SQLiteStore

path, authority = sys.argv[1:]
dispatcher = Dispatcher(
    SQLiteStore(path),
    targets=TargetPolicy(allow=["127.0.0.0/8"]),
    ssl_context=ssl.create_default_context(cafile=authority),
)
"""


def line_of(stream: IO[str], seconds: float = 60) -> str:
    """Return the first line that a process writes; fail if there is none."""
    assert select.select([stream], [], [], seconds)[0], "the process has written nothing in time"
    return stream.readline()


def end_all(process: subprocess.Popen[str]) -> None:
    """End a process that has its own session, and its children, which would keep its pipes open."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors
