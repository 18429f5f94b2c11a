"""Headers of requests and responses keep their order and can be looked up by name."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from unihooks._message.header_pairs import HeaderPairs

PAIRS = (("Via", "a"), ("X-Seen", "1"), ("via", "b"))


def test_they_are_the_pairs_in_their_order():
    headers = HeaderPairs(PAIRS)
    assert headers == PAIRS
    assert list(headers) == headers.items() == list(PAIRS)
    assert (headers[1], headers[:1], len(headers)) == (("X-Seen", "1"), (("Via", "a"),), 3)
    assert ("X-Seen", "1") in headers
    assert json.loads(json.dumps(headers)) == [list(pair) for pair in PAIRS]


def test_a_name_is_looked_up_without_regard_to_case():
    headers = HeaderPairs(PAIRS)
    assert (headers["x-seen"], headers["VIA"]) == ("1", "a, b")
    assert (headers.get("X-SEEN"), headers.get("x-lost"), headers.get("x-lost", "0")) == ("1", None, "0")
    assert "via" in headers
    assert "x-lost" not in headers
    with pytest.raises(KeyError, match="x-lost"):
        headers["x-lost"]


def test_they_become_a_dict():
    assert dict(HeaderPairs(PAIRS)) == {"Via": "a, b", "X-Seen": "1"}


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it)), HeaderPairs])
def test_a_copy_works_like_it(again):
    headers = again(HeaderPairs(PAIRS))
    assert headers == PAIRS
    assert headers["x-seen"] == "1"
