"""The catalog of the host, and what it refuses."""

import builtins
from enum import Enum

import pytest

from unihooks._model.catalog import Catalog
from unihooks._model.products import check_name, check_names, check_subscription
from unihooks.exceptions import Conflict, InvalidPayload, UnknownEventType

ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "required": ["id"],
    "additionalProperties": False,
    "$defs": {"item": {"type": "object", "properties": {"price": {"type": "number"}}}},
}


@pytest.fixture
def catalog():
    catalog = Catalog()
    shop = catalog.add_product("shop", title="Shop", description="Orders")
    shop.add_event("order.created", title="Order created", schema=ORDER, example={"id": "o1"})
    shop.add_event("order.paid")
    catalog.add_product("chat")
    return catalog


@pytest.mark.parametrize("name", ["a", "A.b_c:d/e-9", "x" * 128])
def test_well_formed_names_are_accepted(name):
    check_name("product", name)
    Catalog().add_product(name).add_event(name)


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "a\n", "é", "*", "a*", "\u0661", "a,b", None, 5, b"a", ["a"]])
def test_malformed_names_are_refused(name, catalog):
    calls = [
        lambda: check_name("product", name),
        lambda: check_names("shop", name),
        lambda: check_names(name, "order.paid"),
        lambda: Catalog().add_product(name),
        lambda: Catalog().add_product("p").add_event(name),
        lambda: catalog.check("shop", name),
        lambda: catalog.check(name, "order.paid"),
        lambda: check_subscription(name, "order.paid"),
    ]
    for call in calls:
        with pytest.raises(UnknownEventType, match="malformed"):
            call()


def test_names_that_were_accepted_let_nothing_in_that_only_equals_them():
    class Lazy:
        def __eq__(self, other):
            return other == "shop"

        def __hash__(self):
            return hash("shop")

    class Shop(str, Enum):  # noqa: UP042 - its format is its name
        SHOP = "shop"

    for _ in range(2):
        assert check_names("shop", "order.paid") == ("shop", "order.paid")
        assert [type(name) for name in check_names(Shop.SHOP, "order.paid")] == [str, str]
        with pytest.raises(UnknownEventType, match="malformed"):
            check_names(Lazy(), "order.paid")


def test_malformed_name_is_named_by_its_kind():
    with pytest.raises(UnknownEventType) as caught:
        check_name("event type", "a b")
    assert caught.value.name == "event_type"


def test_star_is_an_event_type_only_for_subscriptions(catalog):
    check_subscription("shop", "*")
    catalog.check_subscription("shop", "*")
    catalog.check_subscription("shop", "order.paid")
    with pytest.raises(UnknownEventType):
        catalog.check("shop", "*")


def test_products_and_event_types_are_listed_in_the_order_added(catalog):
    assert [product.name for product in catalog] == ["shop", "chat"]
    assert [event.name for event in catalog["shop"]] == ["order.created", "order.paid"]
    assert list(catalog["chat"]) == []


def test_catalog_may_grow_while_it_is_read(catalog):
    for product in catalog:
        catalog.add_product(f"{product.name}2")
    assert [product.name for product in catalog] == ["shop", "chat", "shop2", "chat2"]


def test_lookup_returns_the_added_value(catalog):
    event = catalog.check("shop", "order.created")
    assert event is catalog["shop"]["order.created"]
    assert (event.product, event.title) == ("shop", "Order created")
    assert event.example == {"id": "o1"}
    assert "shop" in catalog
    assert "order.paid" in catalog["shop"]
    assert "order.lost" not in catalog["shop"]
    assert hash(event)


def test_title_is_the_name_when_none_is_given(catalog):
    assert catalog["chat"].title == "chat"
    assert catalog["shop"]["order.paid"].title == "order.paid"


@pytest.mark.parametrize(
    "product, event_type, name, hint",
    [
        ("shop", "order.payed", "event_type", "did you mean 'order.paid'"),
        ("shpo", "order.paid", "product", "did you mean 'shop'"),
        ("shop", "zzz", "event_type", "add it to the catalog"),
        ("chat", "order.paid", "event_type", "add it to the catalog"),
    ],
)
def test_unknown_pair_is_refused_with_near_matches(catalog, product, event_type, name, hint):
    for check in (catalog.check, catalog.check_subscription):
        with pytest.raises(UnknownEventType, match=hint) as caught:
            check(product, event_type)
        assert caught.value.name == name


def test_empty_catalog_knows_no_event_type():
    assert Catalog()
    with pytest.raises(UnknownEventType):
        Catalog().check("shop", "order.paid")


def test_same_name_twice_is_a_conflict_and_keeps_the_first(catalog):
    with pytest.raises(Conflict, match="already has a product 'shop'"):
        catalog.add_product("shop")
    with pytest.raises(Conflict, match=r"already has an event type 'order\.paid'"):
        catalog["shop"].add_event("order.paid", title="other")
    assert catalog["shop"]["order.paid"].title == "order.paid"


@pytest.mark.parametrize(
    "payload",
    [
        {"id": "a"},
        {"id": "a", "items": []},
        {"id": "a", "items": [{"price": 1}, {"price": 2.5}]},
        {"id": "a", "items": ({"price": 1},)},
    ],
)
def test_payload_that_fits_the_schema_is_accepted(catalog, payload):
    catalog.check_payload("shop", "order.created", payload)


@pytest.mark.parametrize(
    "payload, path, reason",
    [
        ({}, "$", "'id' is a required property"),
        ({"id": 5}, "$.id", "does not match the schema's type: string"),
        ({"id": "a", "items": [{"price": "s3cr3t"}]}, "$.items[0].price", "type: number"),
        ({"id": "a", "extra": 1}, "$", "'extra' was unexpected"),
        ([], "$", "type: object"),
    ],
)
def test_payload_that_does_not_fit_is_refused_by_path(catalog, payload, path, reason):
    with pytest.raises(InvalidPayload) as caught:
        catalog.check_payload("shop", "order.created", payload)
    assert caught.value.name == path
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_payload_without_schema_always_fits(catalog):
    catalog.check_payload("shop", "order.paid", {"any": ["thing"]})


def test_payload_of_an_unknown_event_type_is_refused(catalog):
    with pytest.raises(UnknownEventType):
        catalog.check_payload("shop", "order.lost", {})


def test_schema_may_be_a_boolean():
    product = Catalog().add_product("p")
    product.add_event("all", schema=True).check_payload({"a": 1})
    with pytest.raises(InvalidPayload, match="the schema allows nothing here"):
        product.add_event("none", schema=False).check_payload({})


@pytest.mark.parametrize(
    "schema, reason",
    [
        ({"type": "nonsense"}, "not valid JSON Schema"),
        ({"properties": []}, "not valid JSON Schema"),
        ({"pattern": "("}, "not valid JSON Schema"),
        ([], "not valid JSON Schema"),
        ({"$ref": "#/$defs/missing"}, "cannot be resolved inside it"),
        ({"$ref": "https://example.com/schema.json"}, "cannot be resolved inside it"),
        ({"items": {"$dynamicRef": "https://example.com/s"}}, "cannot be resolved inside it"),
        ({"const": {1, 2}}, "the schema at "),
    ],
)
def test_bad_schema_is_refused_when_added(schema, reason):
    product = Catalog().add_product("p")
    with pytest.raises(InvalidPayload, match=reason) as caught:
        product.add_event("e", schema=schema)
    assert caught.value.name.startswith("schema")
    assert "e" not in product


def test_reference_hidden_from_the_check_is_never_fetched():
    hidden = {"$ref": "#/x/y", "x": {"y": {"$ref": "http://127.0.0.1:9/s"}}}
    event = Catalog().add_product("p").add_event("e", schema=hidden)
    with pytest.raises(InvalidPayload, match="cannot be resolved"):
        event.check_payload({})


def test_standard_schemas_may_be_referred_to():
    schema = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
    event = Catalog().add_product("p").add_event("e", schema=schema)
    event.check_payload({"type": "object"})


def test_schema_that_never_ends_is_no_recursion_error():
    event = Catalog().add_product("p").add_event("e", schema={"$ref": "#"})
    with pytest.raises(InvalidPayload, match="never end"):
        event.check_payload({})


def test_recursive_schema_takes_payloads_of_every_allowed_depth():
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    payload = {}
    for _ in range(63):
        payload = {"child": payload}
    Catalog().add_product("p").add_event("e", schema=tree, example=payload)


def test_later_changes_of_the_schema_have_no_effect():
    schema = {"type": "object"}
    event = Catalog().add_product("p").add_event("e", schema=schema)
    schema["type"] = event.schema["type"] = "array"
    event.check_payload({})


@pytest.mark.parametrize(
    "schema, example, path",
    [
        (None, {"price": {1}}, "example$.price"),
        (None, float("nan"), "example$"),
        ({"type": "object"}, [], "example$"),
    ],
)
def test_example_must_be_json_and_fit_the_schema(schema, example, path):
    product = Catalog().add_product("p")
    with pytest.raises(InvalidPayload, match="example") as caught:
        product.add_event("e", schema=schema, example=example)
    assert caught.value.name == path
    assert "e" not in product


def test_missing_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without_jsonschema(name, *args, **kwargs):
        if name.startswith("jsonschema"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_jsonschema)
    product = Catalog().add_product("p")
    product.add_event("plain", example={})
    with pytest.raises(ImportError, match=r"unihooks\[schema\]"):
        product.add_event("checked", schema={})
