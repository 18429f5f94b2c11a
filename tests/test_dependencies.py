"""What the library imports is declared, as a dependency or in an extra."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import unihooks

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
# The first versions without a vulnerability that was known when they were chosen.
SAFE = {
    "aiohttp": "3.13.4",
    "cryptography": "46.0.7",
    "h11": "0.16",
    "idna": "3.15",
    "jinja2": "3.1.6",
    "pytest": "9.0.3",
    "starlette": "0.49.1",
}
# Django is the host's own dependency, and brings asgiref.
OF_THE_HOST = {"django", "asgiref"}


def imported():
    for path in Path(unihooks.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def required(*, groups):
    """Yield the requirements of the library, and with `groups` those of its development."""
    yield from map(Requirement, PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        yield from (one for one in map(Requirement, extra) if one.name != "unihooks")
    for group in PYPROJECT["dependency-groups"].values() if groups else ():
        yield from (Requirement(one) for one in group if isinstance(one, str))


@pytest.mark.parametrize("name", SAFE)
def test_no_version_with_a_known_hole_is_allowed(name):
    for one in required(groups=True):
        if one.name == name:
            [floor] = [part.version for part in one.specifier if part.operator == ">="]
            assert Version(floor) >= Version(SAFE[name]), one


def test_everything_that_the_library_needs_has_a_lowest_version():
    assert [str(one) for one in required(groups=False) if ">=" not in str(one.specifier)] == []


def test_the_constraints_name_one_version_of_everything_that_is_used_here():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {one.name: one.specifier for one in map(Requirement, filter(None, lines))}
    for one in required(groups=True):
        [version] = [part.version for part in pinned[one.name.lower()] if part.operator == "=="]
        assert one.specifier.contains(version), one


def test_every_licence_of_a_third_party_file_is_in_the_package():
    static = ROOT / "src/unihooks/console/static"
    named = set(re.findall(r"`([\w.]+\.LICENSE\.txt)`", (static / "README.md").read_text(encoding="utf-8")))
    shipped = {path.name for pattern in PROJECT["license-files"] for path in ROOT.glob(pattern)}
    assert named == {path.name for path in static.glob("*.LICENSE.txt")} == shipped - {"LICENSE"}
    assert PROJECT["license"] == "MIT AND 0BSD"


def test_every_import_is_declared():
    extras = PROJECT["optional-dependencies"].values()
    requirements = [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]
    declared = {re.split(r"[\[>=<; ]", one, maxsplit=1)[0].replace("-", "_") for one in requirements}
    assert not set(imported()) - declared - sys.stdlib_module_names - OF_THE_HOST - {"unihooks"}


def test_the_security_policy_says_how_to_report_and_is_in_the_package():
    headings = re.findall(r"^## (.+)$", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == ["Report a vulnerability", "Promises", "The host's responsibilities"]
    assert "SECURITY.md" in PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
