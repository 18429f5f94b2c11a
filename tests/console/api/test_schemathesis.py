"""Send what the API's own document allows and what it does not, and check the responses against it."""

from __future__ import annotations

from functools import cache

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from unihooks import Catalog, Dispatcher, EventSubscription, Webhook
from unihooks.console import Limiter, Rate, Rates, create_console
from unihooks.console.api import OPERATIONS
from unihooks.stores import MemoryStore

from .conftest import CANARY, SECRET, authenticate

ALL = {"x-tenant": "acme", "x-permissions": "read write send secrets operate"}
MANY = Rate(10**9, 1)
SECRETS = {"addWebhook", "revealSecrets", "rotateSecret"}


class Answering(httpx.AsyncBaseTransport):
    """A transport that responds to every request without leaving this process."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(204)


def console():
    catalog = Catalog()
    catalog.add_product("chat").add_event("message.received", example={"text": "hi"})
    dispatcher = Dispatcher(MemoryStore(), catalog=catalog, targets=None, transport=Answering())
    dispatcher.webhooks.add(
        Webhook(
            name="CRM",
            endpoints=["https://example.com/in"],
            subscriptions=[EventSubscription("chat", "*")],
            headers={"Authorization": CANARY},
            secrets=[SECRET],
            status="active",
        ),
        tenant="acme",
    )
    dispatcher.emit("chat", "message.received", {"text": "hi"}, tenant="acme")
    dispatcher.drain()
    return create_console(
        dispatcher, authenticate=authenticate, rates=Rates(tests=Limiter(MANY), replays=Limiter(MANY))
    )


@cache
def described():
    found = schemathesis.openapi.from_asgi("/api/openapi.json", console(), headers=ALL)
    # How viewers sign in is up to the host, here by a header of its own.
    del found.raw_schema["security"]
    return found


def operation(name):
    found = (one.ok() for one in described().get_all_operations())
    return next(one for one in found if one.definition.raw["operationId"] == name)


@pytest.mark.parametrize("name", [one.id for one in OPERATIONS])
def test_every_response_matches_the_document(name):
    ask(name, GenerationMode.POSITIVE)


@pytest.mark.parametrize("name", [one.id for one in OPERATIONS if one.query or one.body])
def test_requests_that_the_document_does_not_allow_are_refused(name):
    ask(name, GenerationMode.NEGATIVE)


def ask(name, mode):
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(operation(name).as_strategy(generation_mode=mode))
    def asking(case):
        answer = case.call(headers=ALL)
        # What a URL, a cursor or a path in a payload may be is more than a schema says.
        excluded = [positive_data_acceptance]
        # These refuse wrong data, too: of another version than asked for, or too large to be looked at.
        excluded += [negative_data_rejection] if answer.status_code in (412, 413) else []
        case.validate_response(answer, excluded_checks=excluded)
        assert answer.status_code < 500
        assert CANARY not in answer.text
        if name not in SECRETS:
            assert SECRET not in answer.text

    asking()
