from __future__ import annotations

import copy
import pickle

import pytest

from unihooks import Webhook
from unihooks.exceptions import InvalidWebhook


def webhook(metadata):
    return Webhook(name="CRM", endpoints=["https://example.com/in"], metadata=metadata)


def test_metadata_are_texts_by_name_in_the_order_given():
    made = webhook({"plan": "gold", "account": ""})
    assert made.metadata == {"plan": "gold", "account": ""}
    assert list(made.metadata) == ["plan", "account"]
    assert webhook(made.metadata) == made
    assert webhook({}).metadata == {}


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_metadata_can_be_copied_and_hashed_and_not_be_changed(again):
    made = webhook({"plan": "gold"})
    assert again(made) == made
    assert hash(again(made).metadata) == hash(made.metadata)
    with pytest.raises(TypeError):
        made.metadata["plan"] = "silver"


def test_the_limits_are_accepted_and_one_more_is_refused():
    fits = {"n" * 64: "t" * 256} | {str(number): "" for number in range(19)}
    assert len(webhook(fits).metadata) == 20
    with pytest.raises(InvalidWebhook, match="at most 20"):
        webhook(fits | {"more": ""})


@pytest.mark.parametrize(
    "metadata, name",
    [
        (None, "metadata"),
        ([("plan", "gold")], "metadata"),
        ({7: "gold"}, "metadata"),
        ({"": "gold"}, "metadata"),
        ({"a\nb": "gold"}, "metadata"),
        ({"n" * 65: "gold"}, f"metadata.{'n' * 64}"),
        ({"plan": 7}, "metadata.plan"),
        ({"plan": None}, "metadata.plan"),
        ({"plan": "t" * 257}, "metadata.plan"),
        ({"plan": "\0"}, "metadata.plan"),
        ({"plan": "\ud800"}, "metadata.plan"),
    ],
)
def test_metadata_that_are_no_short_texts_by_name_are_refused(metadata, name):
    with pytest.raises(InvalidWebhook, match="metadata") as refused:
        webhook(metadata)
    assert refused.value.name == name
