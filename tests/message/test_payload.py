"""What is accepted as a payload, and how it is encoded."""

import json
import sys
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unihooks._message.payload import (
    _ENCODER,
    MAX_DEPTH,
    MAX_PAYLOAD,
    _long_texts_to_text,
    _to_text,
    check,
    decode,
    encode,
    has_long_texts,
    step,
)
from unihooks.exceptions import InvalidPayload


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Deaf(str):
    """A text with misleading methods, like some template classes."""

    __slots__ = ()

    def __contains__(self, part):
        return False

    def replace(self, *_):
        return self


class Plain(Enum):
    A = "a"


Point = namedtuple("Point", "x y")  # noqa: PYI024 - a host may have one

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
payloads = st.recursive(scalars | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=20)


# Long enough for the other way of escaping, with characters to escape at the start, later, or nowhere.
# What is repeated is short: two of these have to fit into one payload.
repeated = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
long_texts = st.builds(lambda a, b, c, d: a + b * 1_500 + c + "." * 5_000 + d, texts, repeated, texts, texts)


def nested(levels, innermost=None):
    for _ in range(levels):
        innermost = [innermost]
    return innermost


@given(payloads)
def test_bytes_are_those_of_compact_utf8_json_and_are_decoded_to_the_same(payload):
    expected = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    assert encode(payload) == expected.encode()
    assert decode(encode(payload)) == payload


@given(st.lists(long_texts, max_size=2) | st.dictionaries(long_texts, payloads, max_size=2) | long_texts)
def test_bytes_are_the_same_where_texts_are_long(payload):
    expected = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    assert encode(payload) == _long_texts_to_text(payload).encode() == expected.encode()
    assert decode(encode(payload)) == payload


@pytest.mark.parametrize("character", [*map(chr, range(32)), '"', "\\", "\x7f", "\u2028", "é", "\U0001f600"])
@pytest.mark.parametrize("count", [1, 3_000])
def test_each_character_is_escaped_in_a_long_text(character, count):
    text = "x" * 5_000 + character * count + "y" * 5_000
    assert encode({"a": text}) == json.dumps({"a": text}, ensure_ascii=False, separators=(",", ":")).encode()


def test_methods_of_a_class_of_text_change_nothing():
    text = 'x"\n' * 1_000 + "x" * 50_000
    assert encode([Deaf(text)]) == encode([text])


def test_a_long_text_with_a_lone_surrogate_is_refused():
    with pytest.raises(InvalidPayload, match=r"^\$\.a: the text holds a lone surrogate"):
        encode({"a": "x" * 5_000 + "\ud800"})


@pytest.mark.parametrize(
    "payload, expected",
    [({"a": "x" * 20_000}, True), (["short"] * 5_000, False), ("x" * 1_000, False), ({"a": 'x"' * 9_000}, False)],
)
def test_it_is_seen_whether_a_body_consists_of_long_texts(payload, expected):
    assert has_long_texts(encode(payload)) is expected


def test_key_order_is_kept():
    assert encode({"b": 1, "a": 2}) == b'{"b":1,"a":2}'


@pytest.mark.parametrize("payload", [None, True, 0, 1.5, "text", [], {}])
def test_top_level_may_be_any_json_value(payload):
    assert decode(encode(payload)) == payload


@pytest.mark.parametrize(
    "payload, body",
    [
        ((1, (2, 3)), b"[1,[2,3]]"),
        (Point(1, 2), b"[1,2]"),
        (Colour.RED, b'"red"'),
        ({Colour.RED: Level.HIGH}, b'{"red":3}'),
        (OrderedDict(a=1), b'{"a":1}'),
        (10**400, b"1" + b"0" * 400),
    ],
)
def test_subclasses_count_as_their_base_type(payload, body):
    assert encode(payload) == body


@pytest.mark.parametrize(
    "value, advice",
    [
        (Decimal("1.5"), "Decimal is not JSON; convert it to text or float first"),
        (datetime(2026, 1, 1, tzinfo=UTC), "datetime is not JSON; convert it to text with .isoformat()"),
        (date(2026, 1, 1), "date is not JSON; convert it to text with .isoformat()"),
        (UUID(int=1), "UUID is not JSON; convert it to text with str()"),
        (b"raw", "bytes is not JSON; convert it to text, such as base64, first"),
        ({1, 2}, "set is not JSON; convert it to a list first"),
        (Plain.A, "Plain is not JSON; convert it to its .value first"),
        (object(), "object is not JSON; convert it to dict, list"),
        (iter([]), "list_iterator is not JSON"),
        (float("nan"), "NaN and Infinity are not JSON"),
        (float("-inf"), "NaN and Infinity are not JSON"),
        pytest.param(10**5000, "too many digits", id="huge-int"),
        ("\ud800", "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        ({1: "a"}, "a key is of type int; JSON keys are text"),
        ({True: "a"}, "a key is of type bool; JSON keys are text"),
        ({None: "a"}, "a key is of type NoneType; JSON keys are text"),
        ({(1, 2): "a"}, "a key is of type tuple; JSON keys are text"),
    ],
)
@pytest.mark.parametrize(
    "wrap, path",
    [
        (lambda value: value, "$"),
        (lambda value: {"order": {"items": [1, 2, {"price": value}]}}, "$.order.items[2].price"),
        (lambda value: ({"a": "ok"}, {"unit price": value}), "$[1]['unit price']"),
    ],
)
def test_a_value_that_is_not_json_is_refused_by_path(value, advice, wrap, path):
    with pytest.raises(InvalidPayload) as caught:
        encode(wrap(value))
    assert caught.value.name == path
    assert str(caught.value).startswith(f"{path}: ")
    assert advice in str(caught.value)


def test_first_of_several_faults_in_reading_order_is_named():
    with pytest.raises(InvalidPayload) as caught:
        encode({"a": [1, {"b": {1}}], "c": b""})
    assert caught.value.name == "$.a[1].b"


def test_message_can_always_be_written_as_utf8():
    with pytest.raises(InvalidPayload) as caught:
        encode({"a": {"\ud800": 1}})
    assert str(caught.value).encode()


@pytest.mark.parametrize("fits", [MAX_DEPTH, 1])
def test_nesting_up_to_the_limit_is_accepted(fits):
    assert decode(encode(nested(fits))) == nested(fits)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 5000, 100_000])
def test_nesting_over_the_limit_is_refused_and_no_recursion_error(levels):
    with pytest.raises(InvalidPayload, match="more than 64 levels deep"):
        encode(nested(levels))


def test_value_that_contains_itself_is_refused_by_path():
    payload = {"a": []}
    payload["a"].append(payload)
    with pytest.raises(InvalidPayload, match="contains itself") as caught:
        encode(payload)
    assert caught.value.name == "$.a[0]"


def test_value_that_occurs_twice_is_accepted():
    shared = {"a": 1}
    assert encode([shared, shared]) == b'[{"a":1},{"a":1}]'


def test_shared_parts_that_unfold_without_end_are_refused():
    payload = ["x"]
    for _ in range(60):
        payload = [payload, payload]
    with pytest.raises(InvalidPayload, match="larger than 256 KiB"):
        encode(payload)


def test_shared_text_that_unfolds_over_the_limit_is_refused():
    with pytest.raises(InvalidPayload, match="larger than 256 KiB"):
        encode(["x" * 100_000] * 100_000)


@pytest.mark.parametrize("text", ["x", "é"])
def test_size_limit_is_in_encoded_bytes(text):
    room = (MAX_PAYLOAD - 2) // len(text.encode())
    assert len(encode(text * room)) == MAX_PAYLOAD
    with pytest.raises(InvalidPayload, match="larger than 256 KiB"):
        encode(text * (room + 1))


def test_many_small_values_over_the_limit_are_refused():
    with pytest.raises(InvalidPayload, match="larger than 256 KiB"):
        encode([0] * MAX_PAYLOAD)


def test_check_accepts_plain_values():
    assert check({"a": [1, "b", None, (2.5, True)]}) is False


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"[Infinity]", b"\xff", pytest.param(b"[" * 100_000, id="deep")])
def test_bytes_that_are_not_json_are_refused(body):
    with pytest.raises(InvalidPayload, match="is not JSON"):
        decode(body)


@pytest.mark.parametrize(
    "key, path",
    [
        ("a", "$.a"),
        ("a-b_1", "$.a-b_1"),
        (0, "$[0]"),
        ("0", "$['0']"),
        ("a.b", "$['a.b']"),
        ("", "$['']"),
        (Colour.RED, "$.red"),
        ("\ud800", "$['\\ud800']"),
    ],
)
def test_path_step_quotes_keys_that_need_it(key, path):
    assert step("$", key) == path


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="only CPython has it")
def test_the_private_part_of_the_encoder_is_there():
    assert _to_text != _ENCODER.encode
