"""The list of events: all and single ones, search, examples, and conditions as rows, without JavaScript."""

from __future__ import annotations

import re

import pytest
from console_browser import fields_of, text_of

from unihooks import Condition, EventSubscription, PayloadMapping
from unihooks.console.draft.condition_rows import ConditionField, rows_of, to_condition, to_text
from unihooks.console.draft.conditions_text import read, write
from unihooks.console.draft.draft import Room, of_form
from unihooks.console.draft.payload_preview import is_empty, lines_of
from unihooks.console.http.forms import Form
from unihooks.exceptions import InvalidWebhook

RECEIVED = "whatsapp message.received"


@pytest.fixture
def events(browser, webhook):
    """Return a function that opens the section of events."""
    return lambda: browser.get(f"/webhooks/{webhook.id}/settings/events")


@pytest.fixture
def subscriptions(dispatcher, webhook):
    return lambda: dispatcher.webhooks.get(webhook.id, tenant="acme").subscriptions


def row(at: int, path: str, op: str, value: str) -> list[tuple[str, str]]:
    values = {"at": at, "event": RECEIVED, "group": 0, "path": path, "op": op, "value": value, "saved": ""}
    return [(f"condition_{name}", str(value)) for name, value in values.items()]


def chosen(answer) -> set[str]:
    return {value for name, value in fields_of(answer) if name == "event"}


async def test_all_events_leave_no_place_for_single_ones(browser, events, subscriptions):
    answer = await browser.press(await events(), "stay", {"event": ["whatsapp *", RECEIVED, "sms sent"]})
    assert chosen(answer) == {"whatsapp *", "sms sent"}
    await browser.press(answer, "save")
    assert subscriptions() == (EventSubscription("whatsapp", "*"), EventSubscription("sms", "sent"))


async def test_only_some_of_all_events_leave_single_ones_as_they_are(
    browser, dispatcher, webhook, events, subscriptions
):
    given = (
        EventSubscription("whatsapp", "*", where=[Condition("id", "gt", 7)]),
        EventSubscription("whatsapp", "message.read"),
    )
    dispatcher.webhooks.update(webhook.id, tenant="acme", subscriptions=given)
    answer = await browser.press(await events(), "stay")
    assert chosen(answer) == {"whatsapp *", "whatsapp message.read"}
    await browser.press(answer, "save")
    assert subscriptions() == given


async def test_a_pattern_is_added_from_those_that_the_catalog_has(browser, webhook, events, subscriptions):
    page = await events()
    assert re.findall(r'<option value="([^"]+\*)">', page.text) == ["whatsapp message.*"]
    answer = await browser.press(page, "add-pattern", {"pattern": "whatsapp message.*"})
    assert chosen(answer) == {RECEIVED, "whatsapp message.*"}
    assert "WhatsApp Messages of your numbers 2 of 2" in text_of(answer)
    assert answer.text.count('class="event begun"') == 2
    assert 'name="pattern"' not in answer.text
    answer = await browser.press(answer, "add-pattern", {"pattern": "whatsapp message.*"})
    await browser.press(answer, "save", {"event": ["whatsapp message.*"]})
    assert subscriptions() == (EventSubscription("whatsapp", "message.*"),)
    settings = text_of(await browser.get(f"/webhooks/{webhook.id}/settings"))
    assert "All events of WhatsApp that begin with \N{LEFT-TO-RIGHT ISOLATE}message." in settings
    answer = await browser.press(await events(), "stay", {"event": ["whatsapp *"]})
    assert 'name="pattern"' not in answer.text


@pytest.mark.parametrize("typed", ["", "whatsapp message.read", "whatsapp *"])
async def test_a_malformed_pattern_is_not_added(browser, events, typed):
    assert chosen(await browser.press(await events(), "add-pattern", {"pattern": typed})) == {RECEIVED}


async def test_chosen_event_types_are_counted(browser, events):
    answer = await events()
    text = text_of(answer)
    assert "Chosen: 1" in text
    assert "WhatsApp Messages of your numbers 1 of 2" in text
    assert "sms 0 of 1" in text
    text = text_of(await browser.press(answer, "stay", {"event": ["whatsapp *"]}))
    assert "Chosen: 2" in text
    assert "WhatsApp Messages of your numbers all, also later ones" in text


async def test_products_are_folded_if_there_are_many_events_and_none_of_theirs_is_chosen(
    browser, catalog, dispatcher, webhook, events
):
    for number in range(25):
        catalog["sms"].add_event(f"sent.{number}")
    assert re.findall(r'<details id="product-\d+" *(open)? *>', (await events()).text) == ["open", ""]
    answer = await browser.press(await events(), "stay", {"event": ["sms sent.7"]})
    assert re.findall(r'<details id="product-\d+" *(open)? *>', answer.text) == ["", "open"]
    dispatcher.webhooks.update(webhook.id, tenant="acme", subscriptions=[])
    # With nothing chosen, the first one shows what there is.
    assert re.findall(r'<details id="product-\d+" *(open)? *>', (await events()).text) == ["open", ""]


async def test_a_search_hides_the_others_and_keeps_chosen_events(browser, events):
    answer = await browser.press(await events(), "stay", {"find": "MESSAGE READ"})
    hidden = re.findall(r'class="event" hidden>.*?value="([^"]+)"', answer.text, re.DOTALL)
    assert hidden == [RECEIVED, "sms sent"]
    assert RECEIVED in chosen(answer)
    assert ("find", "MESSAGE READ") in fields_of(answer)
    answer = await browser.press(answer, "stay", {"find": "<nothing>"})
    assert re.search(r'id="none-found" *>', answer.text)
    assert chosen(answer) == {RECEIVED}


async def test_an_example_is_shown_beside_the_list_until_it_is_closed(browser, events):
    answer = await browser.press(await events(), "example:whatsapp message.read")
    assert 'id="example"' in answer.text
    answer = await browser.press(answer, "stay")
    assert 'id="example"' in answer.text
    assert 'id="example"' not in (await browser.press(answer, "example:")).text
    for odd in ("whatsapp gone", "gone gone", "", "\0"):
        assert 'id="example"' not in (await browser.press(answer, f"example:{odd}")).text


async def test_conditions_are_entered_as_rows_and_alternatives(browser, events, subscriptions):
    answer = await browser.press(await events(), f"add-condition:{RECEIVED}")
    fields = {"condition_path": "sender.id", "condition_op": "le", "condition_value": "7"}
    answer = await browser.press(answer, f"add-alternative:{RECEIVED}", fields)
    assert "The example would be sent." in text_of(answer)
    paths = {"condition_path": ["sender.id", "sender.name"], "condition_value": ["7", "Grace"]}
    answer = await browser.press(answer, "stay", {**paths, "condition_op": ["gt", "eq"]})
    assert "The example would not be sent." in text_of(answer)
    await browser.press(answer, "save")
    assert subscriptions() == (
        EventSubscription("whatsapp", "message.received", where=[Condition("sender.id", "gt", 7)]),
        EventSubscription("whatsapp", "message.received", where=[Condition("sender.name", "eq", "Grace")]),
    )
    answer = await browser.press(await events(), "drop-condition:0")
    await browser.press(answer, "save")
    assert [one.where for one in subscriptions()] == [(Condition("sender.name", "eq", "Grace"),)]


async def test_a_condition_makes_its_event_chosen(browser, events, subscriptions):
    answer = await browser.press(await events(), "add-condition:whatsapp message.read", {"event": []})
    assert chosen(answer) == {"whatsapp message.read"}
    await browser.press(answer, "save", {"condition_path": "id", "condition_value": "1"})
    assert subscriptions() == (EventSubscription("whatsapp", "message.read", where=[Condition("id", "eq", 1)]),)


@pytest.mark.parametrize(
    "wrong, told",
    [
        (("", "eq", "5"), "Choose a property"),
        (("a", "eq", ""), "Enter a value"),
        (("a..b", "eq", "5"), "a..b"),
        (("a", "lt", "true"), "true"),
        (("a", "no such", "5"), "no such"),
    ],
)
async def test_the_error_of_a_row_is_shown_beside_it(browser, events, wrong, told):
    path, op, value = wrong
    answer = await browser.press(await events(), f"add-condition:{RECEIVED}")
    given = {"condition_path": path, "condition_op": op, "condition_value": value}
    answer = await browser.press(answer, "save", given)
    assert answer.status_code == 422
    part = answer.text.partition('class="condition"')[2].partition("datalist")[0]
    assert told in part
    assert ("condition_value", value) in fields_of(answer)


async def test_rows_of_events_that_are_not_chosen_say_nothing_and_are_kept(browser, events, subscriptions):
    answer = await browser.press(await events(), f"add-condition:{RECEIVED}")
    given = {"condition_path": "sender.id", "condition_value": "7"}
    answer = await browser.press(answer, "stay", {**given, "event": ["whatsapp message.read"]})
    assert ("condition_value", "7") in fields_of(answer)
    await browser.press(answer, "save")
    assert subscriptions() == (EventSubscription("whatsapp", "message.read"),)


async def test_conditions_are_edited_as_text_and_as_rows_again(browser, events, subscriptions):
    answer = await browser.press(await events(), f"add-condition:{RECEIVED}")
    given = {"condition_path": "sender.id", "condition_value": "7"}
    answer = await browser.press(answer, "stay", given)
    answer = await browser.press(answer, "conditions:text")
    assert ("conditions", f"{RECEIVED}\nsender.id eq 7") in fields_of(answer)
    assert not [name for name, _ in fields_of(answer) if name.startswith("condition_")]
    assert "add-condition:" not in answer.text
    answer = await browser.press(answer, f"add-condition:{RECEIVED}")
    assert ("conditions", f"{RECEIVED}\nsender.id eq 7") in fields_of(answer)
    answer = await browser.press(answer, "conditions:rows", {"conditions": f"{RECEIVED}\nnonsense"})
    assert ("conditions", f"{RECEIVED}\nnonsense") in fields_of(answer)
    answer = await browser.press(answer, "conditions:rows", {"conditions": f"{RECEIVED}\ncontent.text suffix i"})
    assert {("condition_path", "content.text"), ("condition_value", "i")} <= set(fields_of(answer))
    await browser.press(answer, "save")
    assert subscriptions() == (
        EventSubscription("whatsapp", "message.received", where=[Condition("content.text", "suffix", "i")]),
    )


async def test_conditions_that_rows_cannot_express_are_shown_as_text(browser, dispatcher, webhook, events):
    either = [
        EventSubscription("whatsapp", "message.received", where=where) for where in ([], [Condition("a", "eq", 1)])
    ]
    dispatcher.webhooks.update(webhook.id, tenant="acme", subscriptions=either)
    assert ("conditions", f"{RECEIVED}\n\n{RECEIVED}\na eq 1") in fields_of(await events())


@pytest.mark.parametrize("path", ["sign in date", 'a"b', '"a" eq b', "a['x eq y']", "content.text", "a\\ eq", "lt"])
@pytest.mark.parametrize("value", ["x eq y", 5, "5"])
def test_a_line_expresses_its_condition_whatever_its_path(path, value):
    condition = Condition(path, "ne", value)
    given = EventSubscription("whatsapp", "message.received", where=[condition])
    assert read(write([given])) == [given]


def test_a_line_of_blanks_is_read_in_one_pass():
    # Tried at each blank again, this would take hours.
    with pytest.raises(InvalidWebhook):
        read(f"{RECEIVED}\na{' ' * 500_000}x")


def test_rows_are_read_in_the_order_of_their_numbers(catalog):
    pairs = [*row(1, "b", "eq", "2"), *row(0, "a", "eq", "1"), *row(2, "", "eq", " "), ("event", RECEIVED)]
    room = Room(endpoints=1, events=5, catalog=catalog)
    draft = of_form(Form(tuple(pairs)), room)
    assert [one.path for one in draft.condition_rows] == ["a", "b", ""]
    assert draft.conditions == f"{RECEIVED}\na eq 1\nb eq 2"


@pytest.mark.parametrize(
    "op, value",
    [
        ("eq", "text"),
        ("eq", "5"),
        ("eq", 5),
        ("eq", 1.5),
        ("eq", None),
        ("eq", True),
        ("eq", ""),
        ("eq", " spaced "),
        ("eq", '"quoted"'),
        ("ne", "true"),
        ("in", ["a", "b"]),
        ("in", [1, "1", None]),
        ("not_in", ["a, b", "[c]"]),
        ("prefix", "5"),
        ("contains", 5),
        ("exists", None),
    ],
)
@pytest.mark.parametrize("path", ["sender.name", "sender.id", "other"])
def test_a_row_expresses_its_condition(catalog, path, op, value):
    condition = Condition(path, op) if op == "exists" else Condition(path, op, value)
    (one,) = rows_of([EventSubscription("whatsapp", "message.received", where=[condition])])
    assert to_condition(one, catalog) == condition
    assert to_text([one], [RECEIVED], catalog) == f"{RECEIVED}\n{condition}"


@pytest.mark.parametrize(
    "path, op, typed, value",
    [
        ("sender.name", "eq", "966", "966"),
        ("sender.name", "in", "966, x", ("966", "x")),
        ("sender.name", "eq", "null", None),
        ("sender.id", "eq", "966", 966),
        ("sender.id", "in", "1, 2", (1, 2)),
        ("sender.id", "prefix", "1", "1"),
        ("elsewhere", "eq", '"5"', "5"),
    ],
)
def test_a_typed_value_is_of_the_kind_that_the_event_has_there(catalog, path, op, typed, value):
    assert to_condition(ConditionField(RECEIVED, 0, path, op, typed), catalog).value == value


def test_a_schema_gives_kinds_if_there_is_no_example(catalog):
    pytest.importorskip("jsonschema")
    schema = {"type": "object", "properties": {"code": {"type": "string"}, "size": {"type": "integer"}}}
    catalog["sms"].add_event("received", schema=schema)
    assert to_condition(ConditionField("sms received", 0, "code", "eq", "1"), catalog).value == "1"
    assert to_condition(ConditionField("sms received", 0, "size", "eq", "1"), catalog).value == 1


def test_a_row_without_a_value_makes_no_condition(catalog):
    with pytest.raises(InvalidWebhook):
        to_condition(ConditionField(RECEIVED, 0, "a", "eq", " "), catalog)
    assert to_text([ConditionField(RECEIVED, 0, "a", "eq", " ")], [RECEIVED], catalog) == ""


def lines(payload, **rules) -> list[tuple[str, str, str]]:
    return [(one.key, one.value + one.end, one.mark.value) for one in lines_of(payload, PayloadMapping(**rules))]


def test_the_preview_marks_removed_renamed_and_replaced_properties():
    payload = {"a": {"b": 1, "c": [{"k": 1}, {"k": None}]}, "body": "old", "text": "Hi", "last": []}
    found = lines(payload, remove=["last", "a.c[1]"], rename={"text": "body", "a.c[*].k": "key"})
    assert found == [
        ("", "{", ""),
        ('"a"', "{", ""),
        ('"b"', "1,", ""),
        ('"c"', "[", ""),
        ("", "{", ""),
        ('"key"', "1", "renamed"),
        ("", "}", ""),
        ("", "{…}", "gone"),
        ("", "]", ""),
        ("", "},", ""),
        ('"body"', '"old"', "gone"),
        ('"body"', '"Hi"', "renamed"),
        ('"last"', "[]", "gone"),
        ("", "}", ""),
    ]


@pytest.mark.parametrize(
    "rules",
    [{}, {"remove": ["a", "c[0]"]}, {"rename": {"a": "c", "b.x": "y"}}, {"remove": ["b"], "rename": {"b": "z"}}],
)
def test_the_lines_that_stay_are_the_body_that_is_sent(rules):
    import json

    payload = {"a": "1", "b": {"x": [1, {"y": False}], "z": {}}, "c": [1, 2.5, None]}
    mapping = PayloadMapping(**rules)
    kept = [one for one in lines_of(payload, mapping) if one.mark != "gone"]
    text = "".join(f"{one.key}{':' if one.key else ''}{one.value}{one.end}" for one in kept)
    assert json.loads(text) == mapping.apply(payload)[0]


@pytest.mark.parametrize(
    "value, empty", [({}, True), ([{}, []], True), ({"a": {"b": []}}, True), ({"a": 0}, False), ("", False)]
)
def test_a_payload_without_a_value_is_empty(value, empty):
    assert is_empty(value) is empty
