from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from unihooks import Catalog

ASYNCAPI = json.loads((Path(__file__).parents[1] / "data" / "asyncapi" / "3.0.0.json").read_text())
PERSON = {
    "$defs": {"name": {"type": "string"}},
    "type": "object",
    "properties": {"name": {"$ref": "#/$defs/name"}, "const": {"$ref": "#/$defs/name"}, "boss": {"$ref": "#"}},
}


def full_catalog():
    catalog = Catalog()
    chat = catalog.add_product("chat", title="Chat", description="Messages")
    chat.add_event("message.received", title="Received", description="A message came.", example={"text": "hi"})
    chat.add_event("person", schema=PERSON, example={"name": "Ada", "boss": {"name": "Eve"}})
    chat.add_event("a/b:c", schema=True)
    catalog.add_product("chat.a").add_event("b_c", example=[1])
    catalog.add_product("empty")
    return catalog


CATALOGS = pytest.mark.parametrize("catalog", [Catalog(), full_catalog()], ids=["empty", "full"])


@CATALOGS
def test_the_openapi_document_is_valid(catalog):
    validate(catalog.openapi(title="Shop", version="2"), cls=OpenAPIV31SpecValidator)


@CATALOGS
def test_the_asyncapi_document_is_valid(catalog):
    jsonschema.Draft7Validator(ASYNCAPI).validate(catalog.asyncapi(title="Shop", version="2"))


def test_the_schema_of_asyncapi_notices_mistakes():
    document = full_catalog().asyncapi()
    document["operations"]["chat.person"]["action"] = "shout"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(ASYNCAPI).validate(document)


def test_every_event_type_is_described_with_its_example():
    document = full_catalog().openapi(title="Shop", version="2")
    assert document["info"]["title"] == "Shop"
    assert {(one["post"]["x-product"], one["post"]["x-event-type"]) for one in document["webhooks"].values()} == {
        ("chat", "message.received"),
        ("chat", "person"),
        ("chat", "a/b:c"),
        ("chat.a", "b_c"),
    }
    received = document["webhooks"]["chat.message.received"]["post"]
    assert (received["summary"], received["description"]) == ("Received", "A message came.")
    assert received["requestBody"]["content"]["application/json"]["examples"]["example"]["value"] == {"text": "hi"}


@pytest.mark.parametrize("kind", ["openapi", "asyncapi"])
def test_all_headers_that_are_sent_are_described(kind, host):
    host.webhook()
    host.emit()
    host.dispatcher.drain()
    sent = {name for name in host.received()[0].headers if name.startswith(("webhook-", "unihooks-"))}
    text = json.dumps(getattr(full_catalog(), kind)())
    assert len(sent) == 6
    assert all(f'"{name}"' in text for name in sent)


def test_names_that_a_document_cannot_use_as_keys_stay_apart():
    catalog = Catalog()
    for product, event_type in (("a", "b.c"), ("a.b", "c"), ("a", "b:c"), ("a", "b/c")):
        if product not in catalog:
            catalog.add_product(product)
        catalog[product].add_event(event_type)
    keys = set(catalog.openapi()["webhooks"])
    assert keys == {"a.b.c", "a.b.c_2", "a.b_c", "a.b_c_2"}


def resolved(document, reference):
    part = document
    for step in reference[2:].split("/"):
        part = part[step.replace("~1", "/").replace("~0", "~")]
    return part


@pytest.mark.parametrize("kind", ["openapi", "asyncapi"])
def test_references_inside_a_schema_lead_to_the_same_part_in_the_document(kind):
    document = getattr(full_catalog(), kind)()
    places = {"openapi": "#/components/schemas/chat.person", "asyncapi": "#/components/messages/chat.person"}
    schema = resolved(document, places[kind])
    schema = schema if kind == "openapi" else schema["payload"]["schema"]
    assert resolved(document, schema["properties"]["name"]["$ref"]) == {"type": "string"}
    assert resolved(document, schema["properties"]["const"]["$ref"]) == {"type": "string"}
    assert resolved(document, schema["properties"]["boss"]["$ref"]) == schema


def test_data_inside_a_schema_stays_as_it_is():
    catalog = Catalog()
    schema = {"default": {"$ref": "#/$defs/x"}, "enum": [{"$ref": "#"}], "const": {"$ref": "#"}}
    catalog.add_product("chat").add_event("odd", schema=schema)
    assert catalog.openapi()["components"]["schemas"]["chat.odd"] == schema


def test_a_schema_with_an_id_of_its_own_stays_as_it_is():
    catalog = Catalog()
    schema = PERSON | {"$id": "https://example.com/person"}
    catalog.add_product("chat").add_event("person", schema=schema)
    assert catalog.openapi()["components"]["schemas"]["chat.person"] == schema


def test_a_document_does_not_change_the_catalog():
    catalog = full_catalog()
    first = catalog.openapi()
    first["components"]["schemas"]["chat.person"]["properties"].clear()
    assert catalog.openapi()["components"]["schemas"]["chat.person"]["properties"]
