"""Conditions: which payloads they hold for, and what is refused when they are built."""

from __future__ import annotations

import copy
import enum
import json
import operator
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unihooks import Condition
from unihooks._message.conditions import Operator, conditions
from unihooks.exceptions import InvalidWebhook

PAYLOAD = {
    "amount": 100,
    "rate": 1.5,
    "paid": True,
    "name": "Ada",
    "none": None,
    "tags": ["a", "b", 1, None, True],
    "lines": [{"sku": "A-1", "n": 1}, {"sku": "B-2"}, 7],
    "empty": [],
    "deep": {"x": {"y": [[1, 2], [3]]}},
    "odd.key": 1,
}


@pytest.mark.parametrize(
    "path,op,value",
    [
        ("amount", "eq", 100),
        ("amount", "eq", 100.0),
        ("rate", "eq", 1.5),
        ("paid", "eq", True),
        ("none", "eq", None),
        ("name", "eq", "Ada"),
        ("amount", "ne", 99),
        ("paid", "ne", False),
        ("name", "ne", "ada"),
        ("amount", "in", [1, "x", 100.0]),
        ("none", "in", [None]),
        ("amount", "not_in", [1, "x"]),
        ("amount", "lt", 100.5),
        ("amount", "le", 100),
        ("amount", "gt", -1),
        ("amount", "ge", 100.0),
        ("name", "lt", "Adb"),
        ("name", "ge", "A"),
        ("name", "prefix", "A"),
        ("name", "suffix", "da"),
        ("name", "contains", "d"),
        ("tags", "contains", "b"),
        ("tags", "contains", 1.0),
        ("tags", "contains", None),
        ("lines[*].sku", "prefix", "B-"),
        ("lines[*].n", "eq", 1),
        ("lines[0].sku", "eq", "A-1"),
        ("lines[2]", "eq", 7),
        ("deep.x.y[*][*]", "eq", 3),
        ("deep[*].y[1][0]", "eq", 3),
        ("['odd.key']", "eq", 1),
        ("$.amount", "eq", 100),
        ("tags[*]", "eq", "a"),
        ("tags[*]", "ne", "a"),
    ],
)
def test_conditions_that_hold(path, op, value):
    assert Condition(path, op, value).holds(PAYLOAD)


@pytest.mark.parametrize(
    "path,op,value",
    [
        ("paid", "eq", 1),
        ("amount", "eq", "100"),
        ("amount", "eq", True),
        ("none", "eq", 0),
        ("gone", "eq", None),
        ("gone", "ne", 1),
        ("name", "ne", 1),
        ("none", "ne", 1),
        ("none", "ne", None),
        ("paid", "ne", 0),
        ("amount", "not_in", [100.0]),
        ("name", "not_in", [1]),
        ("gone", "not_in", [1]),
        ("paid", "ge", 0),
        ("name", "lt", 5),
        ("amount", "prefix", "1"),
        ("tags", "prefix", "a"),
        ("tags", "contains", "ab"),
        ("tags", "contains", 0),
        ("lines", "contains", "A-1"),
        ("name", "contains", 1),
        ("amount", "contains", 1),
        ("deep", "eq", "x"),
        ("empty[*]", "eq", 1),
        ("lines[*].n", "ne", 1),
        ("lines[9]", "eq", 7),
        ("name[0]", "eq", "A"),
        ("lines.sku", "eq", "A-1"),
    ],
)
def test_conditions_that_do_not_hold_are_no_error(path, op, value):
    assert not Condition(path, op, value).holds(PAYLOAD)


@pytest.mark.parametrize("path", ["none", "tags", "tags[*]", "lines[*].n", "deep.x"])
def test_a_present_value_exists_even_null(path):
    assert Condition(path, "exists").holds(PAYLOAD)
    assert not Condition(path, "missing").holds(PAYLOAD)


@pytest.mark.parametrize("path", ["gone", "empty[*]", "empty[*].x", "name.x", "lines[*].gone", "lines[3]", "amount[*]"])
def test_an_absent_value_is_missing(path):
    assert Condition(path, "missing").holds(PAYLOAD)
    assert not Condition(path, "exists").holds(PAYLOAD)


@pytest.mark.parametrize("payload", [None, 1, "text", [], [1], {}, True])
@pytest.mark.parametrize("op", list(Operator))
def test_no_payload_is_an_error(payload, op):
    value = {"in": [[1]], "not_in": [[1]], "exists": [], "missing": []}.get(op, ["x"])
    assert Condition("a[*].b", op, *value).holds(payload) is (op is Operator.MISSING)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 1.5]) | st.sampled_from("ab")


def kind_of(value):
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


@given(SCALARS, SCALARS)
def test_equal_and_unequal_split_the_values_of_one_kind(found, value):
    equal, unequal = (Condition("x", op, value).holds({"x": found}) for op in ("eq", "ne"))
    same_kind = kind_of(found) == kind_of(value)
    assert (equal, unequal) == (same_kind and found == value, same_kind and found != value)
    assert Condition("x", "in", [value]).holds({"x": found}) is equal
    assert Condition("x", "not_in", [value]).holds({"x": found}) is unequal


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.integers())
def test_numbers_compare_exactly(found, value):
    for op in ("lt", "le", "gt", "ge"):
        assert Condition("x", op, value).holds({"x": found}) is getattr(operator, op)(found, value)


@given(JSON)
def test_the_same_conditions_hold_after_encoding_and_decoding(payload):
    for one in (Condition("[*]", "exists"), Condition("a[0]", "ne", "x"), Condition("[*][*]", "contains", "a")):
        assert one.holds(payload) is one.holds(json.loads(json.dumps(payload)))


@pytest.mark.parametrize(
    "arguments,name",
    [
        (("a..b", "eq", 1), "a..b"),
        (("", "eq", 1), "path"),
        (("$", "eq", 1), "$"),
        ((7, "eq", 1), "7"),
        (("a", "equals", 1), "op"),
        (("a", None, 1), "op"),
        (("a", "eq"), "value"),
        (("a", "exists", True), "value"),
        (("a", "missing", None), "value"),
        (("a", "eq", float("nan")), "value"),
        (("a", "eq", float("inf")), "value"),
        (("a", "eq", [1]), "value"),
        (("a", "eq", {"b": 1}), "value"),
        (("a", "eq", b"x"), "value"),
        (("a", "eq", "\ud800"), "value"),
        (("a", "eq", "x" * 3000), "value"),
        (("a", "eq", 10**5000), "value"),
        (("a", "gt", -(10**5000)), "value"),
        (("a", "in", [1, 10**5000]), "value"),
        (("a", "eq", [10**5000]), "value"),
        (("a", 10**5000, 1), "op"),
        (("a", "in", "abc"), "value"),
        (("a", "in", []), "value"),
        (("a", "in", list(range(101))), "value"),
        (("a", "in", [[1]]), "value"),
        (("a", "lt", True), "value"),
        (("a", "ge", None), "value"),
        (("a", "prefix", ""), "value"),
        (("a", "suffix", 1), "value"),
    ],
)
def test_a_senseless_condition_is_refused_when_it_is_built(arguments, name):
    with pytest.raises(InvalidWebhook) as caught:
        Condition(*arguments)
    assert caught.value.name == name


def test_conditions_are_equal_by_value():
    assert Condition("a", "eq", 1) == Condition("a", Operator.EQ, 1)
    assert len({Condition("a", "eq", 1), Condition("a", "eq", value=True), Condition("a", "exists")}) == 3
    assert len({Condition("a", "in", [1, "x"]), Condition("a", "in", (1, "x"))}) == 1


@pytest.mark.parametrize(
    "one", [Condition("a", "eq", 1), Condition("a[*]", "in", ["x", None]), Condition("a", "exists")]
)
def test_they_are_copied_pickled_and_shown(one):
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert eval(repr(one)) == one
    assert Condition(**one.parts()) == one


def test_a_member_of_an_enumeration_counts_as_its_value():
    class Kind(enum.StrEnum):
        FAST = "fast"

    one = Condition("kind", "eq", Kind.FAST)
    assert one.holds({"kind": "fast"})
    assert one == Condition("kind", "eq", "fast")


@pytest.mark.parametrize("where", ["amount", Condition("a", "exists"), {"a": 1}, [("a", "eq", 1)], 7])
def test_where_is_a_list_of_conditions(where):
    with pytest.raises(InvalidWebhook) as caught:
        conditions(where)
    assert caught.value.name == "where"


def test_a_subscription_has_at_most_20_conditions():
    some = [Condition("a", "eq", number) for number in range(21)]
    assert len(conditions(some[:20])) == 20
    with pytest.raises(InvalidWebhook, match="at most 20"):
        conditions(some)


SCHEMA = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "lines": {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": False}},
        "open": {},
        "either": {"anyOf": [{"type": "object"}]},
        "never": False,
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("path", ["gone", "amount.x", "amount[0]", "lines.x", "lines[0].sku", "never", "never.x"])
def test_a_schema_rules_out_paths_that_it_does_not_allow(path):
    assert Condition(path, "exists").is_ruled_out(SCHEMA)


@pytest.mark.parametrize("path", ["amount", "lines[*].sku", "lines[3]", "open.x[0]", "either.x", "[*].x"])
def test_a_schema_does_not_rule_out_paths_that_it_may_allow(path):
    assert not Condition(path, "exists").is_ruled_out(SCHEMA)
    assert not Condition(path, "exists").is_ruled_out(schema=True)
