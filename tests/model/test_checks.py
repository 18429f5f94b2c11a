from __future__ import annotations

import pytest

from unihooks._model.checks import check_tenant, storable
from unihooks.exceptions import InvalidArgument


def test_a_tenant_is_any_short_text():
    for tenant in ("t", "t" * 256, "mandant/7 ü"):
        assert check_tenant(tenant) == tenant
    for tenant in ("", "t" * 257, "\0", "\ud800", 7, None):
        with pytest.raises(InvalidArgument):
            check_tenant(tenant)


def test_storable_text_has_no_nul_and_no_lone_surrogate():
    assert storable("grüße 🎉")
    assert not storable("a\0")
    assert not storable("\udfff")
