"""The properties that a mapping removes and renames."""

import copy
import pickle
import random
import time

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from unihooks._message.mapping import PayloadMapping, Preview
from unihooks._message.paths import ANY, parse_path
from unihooks._message.payload import MAX_DEPTH
from unihooks.exceptions import InvalidMapping, InvalidPayload

keys = st.sampled_from(["a", "b", "c", "d"])
payloads = st.recursive(
    st.none() | st.integers(0, 3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
    max_leaves=12,
)
steps = keys | st.sampled_from(["[0]", "[1]", "[*]"])
paths = st.lists(steps, min_size=1, max_size=4).map(
    lambda parts: "".join(part if part[0] == "[" else f".{part}" for part in parts).lstrip(".")
)
key_paths = st.builds(lambda path, key: f"{path}.{key}", paths, keys) | keys


@st.composite
def mappings(draw):
    try:
        return PayloadMapping(
            remove=draw(st.lists(paths, max_size=3)),
            rename=draw(st.dictionaries(key_paths, keys, max_size=3)),
        )
    except InvalidMapping:
        return reject()


def covers(path, place):
    """Return whether a rule's path names the place (a tuple of keys and indexes)."""
    return len(path) == len(place) and all(
        rule is ANY or (type(rule) is type(at) and rule == at) for rule, at in zip(path, place, strict=True)
    )


def oracle(mapping, value, place=()):
    """Apply a mapping the slow way: ask every rule about every place."""
    removed = [parse_path(text) for text in mapping.remove]
    renamed = [(parse_path(text), name) for text, name in mapping.rename.items()]

    def gone(at):
        return any(covers(path, at) for path in removed)

    def new_name(at):
        return next((name for path, name in renamed if covers(path, at)), None)

    if isinstance(value, list):
        kept = [(*place, index) for index in range(len(value)) if not gone((*place, index))]
        return [oracle(mapping, value[at[-1]], at) for at in kept]
    if isinstance(value, dict):
        kept = [(*place, key) for key in value if not gone((*place, key))]
        names = {new_name(at) for at in kept} - {None}
        return {
            new_name(at) or at[-1]: oracle(mapping, value[at[-1]], at)
            for at in kept
            if new_name(at) or at[-1] not in names
        }
    return value


def mapped(payload, remove=(), rename=None):
    return PayloadMapping(remove=remove, rename=rename or {}).apply(payload)[0]


@given(mappings(), payloads)
def test_result_is_what_asking_every_rule_about_every_place_gives(mapping, payload):
    result, _ = mapping.apply(payload)
    assert result == oracle(mapping, payload)
    assert repr(result) == repr(oracle(mapping, payload))


@given(mappings(), payloads, st.randoms())
def test_order_of_rules_has_no_meaning(mapping, payload, rng):
    remove, rename = list(mapping.remove), list(mapping.rename.items())
    rng.shuffle(remove)
    rng.shuffle(rename)
    other = PayloadMapping(remove=remove, rename=dict(rename))
    assert repr(other.apply(payload)) == repr(mapping.apply(payload))


@given(st.lists(st.lists(keys, min_size=1, max_size=4).map(".".join), max_size=4), payloads)
def test_removing_twice_is_removing_once(remove, payload):
    once = mapped(payload, remove)
    assert mapped(once, remove) == once


@given(st.dictionaries(keys, st.integers()))
def test_swapping_twice_is_swapping_never(payload):
    swap = {"a": "b", "b": "a"}
    assert list(mapped(mapped(payload, rename=swap), rename=swap).items()) == list(payload.items())


@given(st.text(max_size=20) | st.text("ab.[]*'\"\\$0", max_size=12))
def test_any_text_is_a_path_or_refused_with_its_name(text):
    try:
        path = parse_path(text)
    except InvalidMapping as refused:
        path = (refused.name,)
        assert (text or "path") == refused.name  # noqa: PT017 - either outcome is fine
    assert path


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_any_key_can_be_quoted_or_escaped(parts):
    quoted = "".join("['" + p.replace("\\", "\\\\").replace("'", "\\'") + "']" for p in parts)
    assert parse_path(quoted) == tuple(parts)
    if all(parts):
        assert parse_path(".".join("\\" + "\\".join(p) for p in parts)) == tuple(parts)


@pytest.mark.parametrize(
    "text, path",
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ("$.a.b", ("a", "b")),
        ("$[0].a", (0, "a")),
        ("a[0]", ("a", 0)),
        ("a.0", ("a", "0")),
        ("a[*].b", ("a", ANY, "b")),
        ("[*][*]", (ANY, ANY)),
        ("a['k.dot']", ("a", "k.dot")),
        ('a["k.dot"].b', ("a", "k.dot", "b")),
        (r"a\.b", ("a.b",)),
        (r"a\[0\]", ("a[0]",)),
        (r"a['it\'s']", ("a", "it's")),
        ("['*']", ("*",)),
        (r"\*", ("*",)),
        ("a*", ("a*",)),
        (r"\$.a", ("$", "a")),
        ("$a", ("$a",)),
        ("['']", ("",)),
        ("naïve key", ("naïve key",)),
        ("a\nb", ("a\nb",)),
    ],
)
def test_path_text_is_read_as_steps(text, path):
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$.",
        ".",
        ".a",
        "a.",
        "a..b",
        "$..a",
        "a[",
        "a]",
        "a[]",
        "a[-1]",
        "a[01]",
        "a[1:2]",
        "a[0,1]",
        "a[?(@.b)]",
        "a[b]",
        "a['b]",
        "a.[0]",
        "a[0]b",
        "a[ 0 ]",
        "a[\u0661]",
        "a[9999999999]",
        "a.*",
        "*",
        "a\\",
        "a\ud800",
        ".".join("a" * 33),
    ],
)
def test_bad_path_is_refused_by_name(text):
    with pytest.raises(InvalidMapping) as caught:
        PayloadMapping(remove=["ok", text])
    assert caught.value.name == (text or "path")


@pytest.mark.parametrize(
    "rules",
    [
        {"remove": "a.b"},
        {"remove": 5},
        {"remove": {"a": "b"}},
        {"remove": ["$"]},
        {"remove": [5]},
        {"remove": [None]},
        {"rename": ["a"]},
        {"rename": {1: "a"}},
        {"rename": {"a": ""}},
        {"rename": {"a": None}},
        {"rename": {"a": "\ud800"}},
        {"rename": {"a[0]": "b"}},
        {"rename": {"a[*]": "b"}},
        {"rename": {"a": "x", "b": "x"}},
        {"rename": {"o.a": "x", "$.o.b": "x"}},
        {"rename": {"a": "x", "$.a": "y"}},
        {"rename": {"a": "x", "['a']": "x"}},
        {"rename": {"a[*].b": "x", "a[0].b": "y"}},
        {"rename": {"a[*].b": "x", "a.k.c": "x"}},
        {"remove": ["k" * 2049]},
        {"rename": {"a": "k" * 2049}},
        {"remove": [f"k{i}" for i in range(101)]},
        {"remove": [f"k{i}" for i in range(60)], "rename": {f"r{i}": f"n{i}" for i in range(41)}},
    ],
)
def test_bad_rules_are_refused_when_built(rules):
    with pytest.raises(InvalidMapping) as caught:
        PayloadMapping(**rules)
    assert caught.value.name
    assert isinstance(caught.value, ValueError)


def test_limits_themselves_are_allowed():
    assert PayloadMapping(remove=[f"k{i}" for i in range(100)])
    assert PayloadMapping(remove=[".".join("a" * 32)])
    assert PayloadMapping(remove=["k" * 2048])


@pytest.mark.parametrize(
    "payload, remove, rename, expected",
    [
        ({"a": {"b": 1, "c": 2}}, ["a.b"], {}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, ["a.b"], {}, {"a": {}}),
        ({"a": 1}, ["a"], {}, {}),
        ({"a": None}, [], {"a": "b"}, {"b": None}),
        ({"a": 1}, ["b", "a.b", "a[0]"], {"c": "d"}, {"a": 1}),
        ({"b": 1}, [], {"a": "b"}, {"b": 1}),
        ({"a": 1}, ["a"], {"a": "b"}, {}),
        ({"a": 1, "b": 2}, ["a"], {"a": "b"}, {"b": 2}),
        ({"a": 1, "b": 2}, ["b"], {"a": "b"}, {"b": 1}),
        ({"a": 1, "b": 2}, [], {"a": "b"}, {"b": 1}),
        ({"a": 1, "b": 2}, [], {"a": "b", "b": "a"}, {"b": 1, "a": 2}),
        ({"a": 1, "b": 2, "c": 3}, [], {"a": "b", "b": "c", "c": "a"}, {"b": 1, "c": 2, "a": 3}),
        ({"a": 1}, [], {"a": "b", "b": "c"}, {"b": 1}),
        ({"a": 1}, [], {"a": "x.y[0]"}, {"x.y[0]": 1}),
        ({"a": {"b": 1}}, [], {"a": "x", "a.b": "y"}, {"x": {"y": 1}}),
        ({"a": {"b": 1, "c": 2}}, ["a.b"], {"a": "x"}, {"x": {"c": 2}}),
        ({"a": [1, 2, 3]}, ["a[0]", "a[2]"], {}, {"a": [2]}),
        ({"a": [1, 2]}, ["a[*]"], {}, {"a": []}),
        ({"a": {"b": 1}}, ["a[*]"], {}, {"a": {}}),
        ({"a": [{"b": 1}, {"b": 2}, 3]}, [], {"a[*].b": "c"}, {"a": [{"c": 1}, {"c": 2}, 3]}),
        ({"a": [{"b": 1}, {"b": 2}]}, ["a[0].b"], {"a[*].b": "c"}, {"a": [{}, {"c": 2}]}),
        ({"a": {"0": 1}}, ["a[0]"], {}, {"a": {"0": 1}}),
        ({"a": {"0": 1}}, ["a.0"], {}, {"a": {}}),
        ({"a": [1]}, ["a.0"], {}, {"a": [1]}),
        ([{"a": 1}, {"a": 2}], ["[1].a"], {}, [{"a": 1}, {}]),
        ([{"a": 1}], ["$[*].a"], {}, [{}]),
        ("text", ["a"], {"b": "c"}, "text"),
        (None, ["a"], {}, None),
        ({"é": 1}, ["e\u0301"], {}, {"é": 1}),
        ({"a": (1, {"b": 2})}, ["a[1].b"], {}, {"a": [1, {}]}),
        ({"a": 1, "b": 2}, [], {"a": "a"}, {"a": 1, "b": 2}),
    ],
)
def test_rules_address_the_original_payload(payload, remove, rename, expected):
    assert mapped(payload, remove, rename) == expected


def test_key_order_is_kept():
    assert list(mapped({"c": 1, "a": 2, "b": 3}, ["b"], {"a": "z"})) == ["c", "z"]


def test_renamed_value_wins_over_an_unmapped_one_with_a_warning():
    mapping = PayloadMapping(rename={"items[*].a": "b"})
    result, warnings = mapping.apply({"items": [{"b": 1, "a": 2}, {"a": 3, "b": 4}]})
    assert result == {"items": [{"b": 2}, {"b": 3}]}
    assert warnings == ("renaming 'items[*].a' to 'b' replaced a property of that name",)


@pytest.mark.parametrize(
    "rules",
    [
        {"rename": {"a": "b", "b": "a"}},
        {"rename": {"a": "b"}, "remove": ["b"]},
        {"rename": {"a": "b"}, "remove": ["a"]},
        {"rename": {"a": "a"}},
        {"rename": {"missing": "b"}},
    ],
)
def test_nothing_is_warned_of_when_nothing_is_replaced(rules):
    assert PayloadMapping(**rules).apply({"a": 1, "b": 2})[1] == ()


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 10_000])
def test_payload_nested_too_deep_is_an_own_error(levels):
    payload = 1
    for _ in range(levels):
        payload = {"a": payload}
    with pytest.raises(InvalidPayload, match="more than 64 levels"):
        PayloadMapping(remove=["a.b"]).apply(payload)


@pytest.mark.parametrize("payload", [{"a": float("inf")}, [float("nan")], "\ud800", {"a": b""}, "x" * 300_000])
def test_a_preview_refuses_payloads_that_could_not_be_sent(payload):
    with pytest.raises(InvalidPayload):
        PayloadMapping(remove=["b"]).preview(payload)


def test_preview_names_the_rules_that_found_nothing():
    mapping = PayloadMapping(remove=["a", "a.b", "list[*].x", "list[7]", "gone"], rename={"c.d": "e", "b": "a"})
    payload = {"a": {"b": 1}, "list": [{"x": 1}], "b": 2}
    assert mapping.preview(payload) == Preview(
        result={"list": [{}], "a": 2}, unmatched=("list[7]", "gone", "c.d"), warnings=()
    )


def test_wildcards_that_combine_without_end_are_refused():
    rng = random.Random(1)
    rules = {"".join(rng.choice(["[*]", "['a']", "['b']"]) for _ in range(31)) + f"['k{i}']" for i in range(99)}
    with pytest.raises(InvalidMapping, match="too many ways"):
        PayloadMapping(remove=rules)


def test_mapping_without_rules_is_falsy_and_changes_nothing():
    assert not PayloadMapping()
    assert PayloadMapping().apply({"a": [1]}) == ({"a": [1]}, ())
    assert PayloadMapping(remove=["a"])
    assert PayloadMapping(rename={"a": "b"})


def test_mapping_is_a_value():
    mapping = PayloadMapping(remove=["x[*].y"], rename={"a": "b", "c": "d"})
    same = PayloadMapping(remove=("x[*].y",), rename={"c": "d", "a": "b"})
    assert mapping == same
    assert hash(mapping) == hash(same)
    assert mapping != PayloadMapping(remove=["x[*].y"])
    assert mapping.remove == ("x[*].y",)
    assert mapping.rename == {"a": "b", "c": "d"}
    assert mapping.rename["a"] == "b"
    assert repr(mapping) == "PayloadMapping(remove=('x[*].y',), rename={'a': 'b', 'c': 'd'})"
    assert repr(ANY) == "[*]"
    with pytest.raises(TypeError):
        mapping.rename["a"] = "z"


def test_copies_of_a_mapping_work_like_it():
    mapping = PayloadMapping(remove=["x[*].y"])
    for twin in (pickle.loads(pickle.dumps(mapping)), copy.deepcopy(mapping)):
        assert twin == mapping
        assert twin.preview({"x": [{"y": 1}]}).result == {"x": [{}]}
        assert twin.preview({"x": [{"y": 1}]}).unmatched == ()


@given(mappings(), payloads)
def test_preview_finds_what_each_rule_alone_would_find_and_never_changes_its_input(mapping, payload):
    before = copy.deepcopy(payload)

    def exists(value, path):
        if not path:
            return True
        return any(exists(child, path[1:]) for at, child in places(value) if covers(path[:1], (at,)))

    def places(value):
        return value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()

    rules = dict.fromkeys([*mapping.remove, *mapping.rename])
    missing = tuple(text for text in rules if not exists(payload, parse_path(text)))
    assert mapping.preview(payload).unmatched == missing
    assert repr(payload) == repr(before)


def test_a_preview_of_many_rules_and_a_large_payload_takes_one_walk():
    mapping = PayloadMapping(remove=[f"[*][*].missing{number}" for number in range(100)])
    begun = time.process_time()
    assert len(mapping.preview([[0] * 4] * 25_000).unmatched) == 100
    assert time.process_time() - begun < 3
