"""The event loops on which the asynchronous tests run."""

from __future__ import annotations


def test_asynchronous_tests_run_on_asyncio_alone_whatever_is_installed(request):
    # anyio would run each test once for every library that it finds, with that library's name.
    chosen = {item.callspec.params.get("anyio_backend") for item in request.session.items if hasattr(item, "callspec")}
    # Some choose between asyncio's own loop and uvloop.
    assert chosen <= {None, False, True}
