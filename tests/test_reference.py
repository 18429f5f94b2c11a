"""The page of the Python API: every public name, and by its public path."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

API = (Path(__file__).parent.parent / "docs/reference/api.md").read_text()


@pytest.mark.parametrize("module", ["unihooks", "unihooks.stores", "unihooks.testing"])
def test_every_public_name_is_on_the_page(module):
    missing = [name for name in importlib.import_module(module).__all__ if f":: {module}.{name}" not in API]
    assert missing == []


def test_no_private_path_is_on_the_page():
    assert "._" not in API
