"""The rules that every store keeps to, one file for each capability, and the scene in which they are tested."""

from pkgutil import iter_modules

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in iter_modules(__path__)))
