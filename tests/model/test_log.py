from __future__ import annotations

import attrs
import pytest

from unihooks import Attempt, Delivery, DeliveryState, Event


def test_an_attempt_succeeded_with_a_2xx_only():
    fields = dict.fromkeys(field.name for field in attrs.fields(Attempt)) | {
        "request_headers": (),
        "response_headers": (),
    }
    for status, succeeded in [(None, False), (199, False), (200, True), (299, True), (300, False)]:
        assert Attempt(**{**fields, "status_code": status}).succeeded is succeeded


@pytest.mark.parametrize("kind", [Event, Delivery, Attempt])
def test_values_are_frozen(kind):
    assert kind.__setattr__ is not object.__setattr__
    name = attrs.fields(kind)[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(object.__new__(kind), name, None)


def test_states_are_texts():
    assert [str(state) for state in DeliveryState] == ["pending", "delivered", "failed", "cancelled"]
