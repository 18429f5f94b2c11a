"""Viewers who may not see secrets cannot send saved header values to a server of their own."""

from __future__ import annotations

import pytest
from console_browser import CANARY, fields_of, text_of

SENTENCE = "An endpoint at a new address would get the saved values"


@pytest.fixture
def writer(browse):
    return browse(permissions="read,write,send")


def moved(receiver) -> str:
    return receiver.url_for("/steal", host="attacker.example.com")


async def test_new_address_needs_the_values_again_or_the_permission(writer, browser, webhook, dispatcher, receiver):
    form = f"/webhooks/{webhook.id}/settings/endpoints"
    answer = await writer.press(await writer.get(form), "save", {"endpoint_url": moved(receiver)})
    assert answer.status_code == 422
    assert SENTENCE in text_of(answer)
    assert ("header_name", "Authorization") in fields_of(answer)
    assert dispatcher.webhooks.get(webhook.id, tenant="acme") == webhook
    answer = await writer.press(answer, "save", {"header_choice": "replace", "header_value": CANARY})
    assert answer.status_code == 200
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").endpoints[0].url == moved(receiver)


async def test_viewers_who_may_see_secrets_may_move_them(browser, webhook, dispatcher, receiver):
    answer = await browser.get(f"/webhooks/{webhook.id}/settings/endpoints")
    assert (await browser.press(answer, "save", {"endpoint_url": moved(receiver)})).status_code == 200
    kept = dispatcher.webhooks.get(webhook.id, tenant="acme")
    assert (kept.endpoints[0].url, kept.headers) == (moved(receiver), webhook.headers)


async def test_other_changes_need_no_secrets(writer, webhook, dispatcher, receiver):
    url = receiver.url_for("/elsewhere", host="crm.example.com")
    answer = await writer.get(f"/webhooks/{webhook.id}/settings/endpoints")
    assert (await writer.press(answer, "save", {"endpoint_url": url})).status_code == 200
    answer = await writer.get(f"/webhooks/{webhook.id}/settings/details")
    assert (await writer.press(answer, "save", {"name": "New"})).status_code == 200
    changed = dispatcher.webhooks.get(webhook.id, tenant="acme")
    assert (changed.name, changed.endpoints[0].url) == ("New", url)


async def test_an_address_moves_once_the_headers_are_removed(writer, webhook, dispatcher, receiver):
    answer = await writer.get(f"/webhooks/{webhook.id}/settings/headers")
    await writer.press(answer, "save", {"header_choice": "remove"})
    answer = await writer.get(f"/webhooks/{webhook.id}/settings/endpoints")
    assert (await writer.press(answer, "save", {"endpoint_url": moved(receiver)})).status_code == 200
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").endpoints[0].url == moved(receiver)
