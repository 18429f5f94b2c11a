"""What tests of deliveries share: stores that fail, and a worker that does not wait long."""

from __future__ import annotations

import threading

import pytest

from unihooks.exceptions import StoreError


@pytest.fixture
def failing(monkeypatch):
    """Make a verb of a store raise so many times, then work again."""

    def fail(store, verb, *, times=1, error=None):
        whole, left = getattr(type(store), verb), [times]

        def broken(self, *args, **options):
            if left[0] > 0:
                left[0] -= 1
                raise error or StoreError("the disk is full")
            return whole(self, *args, **options)

        monkeypatch.setattr(type(store), verb, broken)
        return left

    return fail


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("unihooks._delivery.engine._STORE_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("unihooks._delivery.sending._STORE_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("unihooks._delivery.results._PATIENCE_SECONDS", 0.01)


@pytest.fixture
def until():
    """Give what waits until a condition holds; it says whether that was so within the timeout."""

    def until(condition, timeout=15):
        pause = threading.Event()
        for _ in range(timeout * 100):
            if condition():
                return True
            pause.wait(0.01)
        return False

    return until
