"""What the library imports is declared, as a dependency or in an extra."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import unihooks

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Django is the host's own dependency, and brings asgiref.
OF_THE_HOST = {"django", "asgiref"}


def imported():
    for path in Path(unihooks.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def test_every_import_is_declared():
    extras = PROJECT["optional-dependencies"].values()
    requirements = [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    declared = {re.split(r"[\[>=<; ]", one, maxsplit=1)[0].replace("-", "_") for one in requirements}
    assert not set(imported()) - declared - sys.stdlib_module_names - OF_THE_HOST - {"unihooks"}
