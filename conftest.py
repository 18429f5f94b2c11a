"""Run the code blocks of the README and the documentation, each file in an empty folder."""

from __future__ import annotations

import contextlib
import tempfile
from contextlib import ExitStack
from typing import Any

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser


def enter_folder(namespace: dict[str, Any]) -> None:
    """Work in a folder of the file's own, so that examples may write."""
    stack = namespace["_stack"] = ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    stack.enter_context(contextlib.chdir(folder))


def leave_folder(namespace: dict[str, Any]) -> None:
    """Remove the folder."""
    namespace["_stack"].close()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
    excludes=["CHANGELOG.md"],
    setup=enter_folder,
    teardown=leave_folder,
).pytest()
