"""The documentation's lists are complete: every public name, by its public path, and every guide."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
API = (DOCS / "reference/api.md").read_text()


@pytest.mark.parametrize("module", ["unihooks", "unihooks.console", "unihooks.stores", "unihooks.testing"])
def test_every_public_name_is_on_the_page(module):
    names = importlib.import_module(module).__all__
    missing = [name for name in names if not re.search(rf":: {module}\.{name}\b", API)]
    assert missing == []


def test_no_private_path_is_on_the_page():
    assert "._" not in API


def test_every_guide_is_listed_by_task():
    listed = (DOCS / "how-to/index.md").read_text()
    guides = {page.name for page in (DOCS / "how-to").glob("*.md")} - {"index.md"}
    assert {name for name in guides if f"({name})" not in listed} == set()


def test_every_package_and_file_that_the_page_of_the_structure_names_is_there():
    page = (DOCS / "explanation/structure.md").read_text()
    source = DOCS.parent / "src/unihooks"
    named = {name for name in re.findall(r"`([\w/]+(?:/|\.py))`", page) if "/" in name or (source / name).exists()}
    missing = [
        name for name in named if not any((root / name).exists() for root in (source, source / "console", DOCS.parent))
    ]
    assert missing == []
    packages = {f"{path.name}/" for path in source.iterdir() if path.is_dir() and path.name != "__pycache__"}
    modules = {path.name for path in source.glob("*.py")} - {"__init__.py"}
    assert {name for name in packages | modules if f"`{name}`" not in page} == set()
