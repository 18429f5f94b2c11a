"""The page of the Python API: every public name, and by its public path."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

API = (Path(__file__).parent.parent / "docs/reference/api.md").read_text()


@pytest.mark.parametrize("module", ["unihooks", "unihooks.stores", "unihooks.testing"])
def test_every_public_name_is_on_the_page(module):
    names = importlib.import_module(module).__all__
    missing = [name for name in names if not re.search(rf":: {module}\.{name}\b", API)]
    assert missing == []


def test_no_private_path_is_on_the_page():
    assert "._" not in API
