"""The public names of the testing kit."""

from __future__ import annotations

import subprocess
import sys

import pytest

import unihooks.testing


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Recevier"):
        _ = unihooks.testing.Recevier


def test_every_name_is_listed():
    assert dir(unihooks.testing) == sorted(unihooks.testing.__all__)


@pytest.mark.parametrize("name", unihooks.testing.__all__)
def test_every_name_can_be_imported(name):
    assert getattr(unihooks.testing, name).__name__ == name


def test_plugin_loads_nothing_of_the_kit_by_itself():
    code = (
        "import sys, unihooks.testing.pytest_plugin;"
        "print([name for name in sys.modules if name.startswith('unihooks.testing._') or name == 'trustme'])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
