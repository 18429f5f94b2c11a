"""The OpenAPI document: signing in, examples, and where new objects are found."""

from __future__ import annotations

import pytest

from unihooks.console import Permission, create_console
from unihooks.console.api import ALL
from unihooks.console.api.examples import EXAMPLES
from unihooks.console.api.schema_checks import faults_of
from unihooks.console.api.schemas import ref

from .conftest import Api, authenticate


@pytest.fixture
async def document(viewing):
    return (await viewing("acme", *Permission).get("/openapi.json")).json()


def operations(document):
    return [one for path in document["paths"].values() for one in path.values()]


def test_examples_match_their_schemas():
    for name, example in EXAMPLES.items():
        assert list(faults_of(example, ref(name))) == [], name


async def test_every_body_and_every_response_has_an_example(document):
    for one in operations(document):
        contents = [*one["responses"].values(), *([one["requestBody"]] if "requestBody" in one else [])]
        for content in contents:
            found = content if "content" in content else document["components"]["responses"][content["$ref"][-3:]]
            assert all("example" in media for media in found["content"].values()), one["operationId"]


async def test_it_says_how_to_sign_in(app, document, dispatcher):
    assert document["security"] == [{"session": []}]
    assert document["components"]["securitySchemes"]["session"]["in"] == "cookie"
    schemes = {"token": {"type": "http", "scheme": "bearer"}}
    console = create_console(dispatcher, authenticate=authenticate, api_security=schemes, secret="s" * 32)
    found = (await Api(console).get("/openapi.json")).json()
    assert found["security"] == [{"token": []}, {"portal": []}]
    assert found["components"]["securitySchemes"]["token"] == schemes["token"]


@pytest.mark.parametrize("wrong", [{"token": "bearer"}, {"token": {}}])
def test_a_malformed_security_scheme_is_refused_at_the_start(dispatcher, wrong):
    with pytest.raises(ValueError, match="security schemes of OpenAPI"):
        create_console(dispatcher, authenticate=authenticate, api_security=wrong)


async def test_it_names_the_headers_of_responses(document, api, receiver):
    created = document["paths"]["/webhooks"]["post"]["responses"]["201"]["headers"]
    assert set(created) == {"ETag", "Location"}
    names = [one["name"] for one in document["paths"]["/webhooks/{webhook_id}"]["patch"]["parameters"]]
    assert names == ["webhook_id", "If-Match"]
    assert "412" in document["paths"]["/webhooks/{webhook_id}"]["delete"]["responses"]


async def test_a_new_object_is_found_at_its_location(api, receiver, webhook, delivery):
    given = {"name": "x", "endpoints": [receiver.url_for("/a")]}
    for path, body in (
        ("/webhooks", given),
        ("/jobs/recover", {"webhook_id": webhook.id, "since": "2020-01-01T00:00:00Z"}),
        ("/jobs/replay", {"filter": {}}),
        (f"/deliveries/{delivery.id}/replay", {}),
    ):
        for _ in range(2):
            made = await api.post(path, body, **{"idempotency-key": path})
            assert made.status_code == 201
            assert made.headers["location"].startswith("/api/")
        found = await api.get(made.headers["location"].removeprefix("/api"))
        assert found.json()["id"] == made.json()["id"]


async def test_location_is_below_the_place_where_the_console_is_mounted(dispatcher, receiver):
    import httpx
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/hooks", create_console(dispatcher, authenticate=authenticate))])
    headers = {"x-tenant": "acme", "x-permissions": "read write"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://x.example", headers=headers) as client:
        given = {"name": "x", "endpoints": [receiver.url_for("/a")]}
        made = await client.post("/hooks/api/webhooks", json=given)
        assert made.headers["location"] == f"/hooks/api/webhooks/{made.json()['id']}"
        assert (await client.get(made.headers["location"])).status_code == 200


async def test_customers_do_not_see_operations_for_operators(api, document):
    shown = (await api.get("/openapi.json")).json()
    assert "/tenants" not in shown["paths"]
    assert "/tenants" in document["paths"]


def test_every_operation_is_in_a_chapter_and_says_what_it_does_in_one_sentence():
    for one in ALL:
        assert one.tag, one.id
        assert len(one.summary) <= 110, one.summary
