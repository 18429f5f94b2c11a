"""Python processes that use a dispatcher of one file."""

from __future__ import annotations

import subprocess

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


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors
