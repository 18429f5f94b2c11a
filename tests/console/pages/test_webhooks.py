"""The list and the page of one webhook."""

from __future__ import annotations

import pytest
from console_browser import CANARY, text_of

from unihooks import Endpoint, Webhook
from unihooks.exceptions import NotFound


async def test_empty_list_says_how_to_begin(browser):
    text = text_of(await browser.get("/"))
    assert "No webhooks yet" in text
    assert "Add your first webhook" in text


async def test_list_shows_each_webhook_of_the_tenant_and_no_other(browser, browse, webhook):
    text = text_of(await browser.get("/"))
    assert all(
        part in text for part in ("CRM sync", "Copies messages", "Inactive", "crm.example.com", "Message received")
    )
    assert "CRM sync" not in (await browse("other").get("/")).text


async def test_list_is_searched_filtered_sorted_and_paged(browser, dispatcher):
    for number in range(25):
        dispatcher.webhooks.add(Webhook(name=f"hook {number:02}", endpoints=["https://example.com/"]), tenant="acme")
    first = await browser.get("/?sort=name")
    assert "hook 00" in first.text
    assert "hook 20" not in first.text
    following = first.text.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    assert "hook 20" in (await browser.get(following)).text
    found = text_of(await browser.get("/?search=HOOK 07"))
    assert "hook 07" in found
    assert "hook 08" not in found
    assert "No webhooks match" in text_of(await browser.get("/?status=active"))
    assert (await browser.get("/?cursor=nonsense")).status_code == 400
    assert (await browser.get("/?search=%00")).status_code == 200


async def test_webhook_is_switched_from_list_and_page(browser, webhook, dispatcher):
    answer = await browser.post(f"/webhooks/{webhook.id}/activate", {"from": "list"})
    assert answer.url.path == "/"
    assert "The webhook is active" in text_of(answer)
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").active
    answer = await browser.post(f"/webhooks/{webhook.id}/deactivate")
    assert answer.url.path == f"/webhooks/{webhook.id}"
    assert not dispatcher.webhooks.get(webhook.id, tenant="acme").active


async def test_delete_asks_first_and_names_the_losses(browser, webhook, dispatcher, receiver, emit):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    receiver.always(500)
    emit()
    text = text_of(await browser.get(f"/webhooks/{webhook.id}/delete"))
    assert all(part in text for part in ("1 endpoint", "1 subscription", "signing secret", "1 pending delivery"))
    assert dispatcher.webhooks.get(webhook.id, tenant="acme")
    await browser.post(f"/webhooks/{webhook.id}/delete")
    with pytest.raises(NotFound):
        dispatcher.webhooks.get(webhook.id, tenant="acme")


async def test_page_shows_figures_health_and_settings_without_secrets(browser, webhook, dispatcher, receiver, emit):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    receiver.answer(204, 500)
    for _ in range(2):
        emit()
    for period in ("1h", "24h", "7d", "nonsense"):
        page = await browser.get(f"/webhooks/{webhook.id}?period={period}")
        text = text_of(page)
        assert "50 %" in text
        assert "1 failure in a row" in text
        assert "<svg" in page.text
        assert CANARY not in page.text
        assert webhook.secrets[0].reveal() not in page.text
    settings = await browser.get(f"/webhooks/{webhook.id}/settings")
    assert "Authorization" in text_of(settings)
    assert "157.175.105.131" in text_of(settings)
    assert CANARY not in settings.text


async def test_disabled_endpoint_is_enabled_again(browser, webhook, dispatcher, receiver, emit):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    receiver.answer(410)
    emit()
    assert "410 Gone" in text_of(await browser.get(f"/webhooks/{webhook.id}"))
    (endpoint,) = webhook.endpoints
    await browser.post(f"/webhooks/{webhook.id}/endpoints/{endpoint.id}/enable")
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").endpoints[0].enabled


async def test_too_long_a_reason_is_refused_with_words_and_stays(browser, webhook, dispatcher):
    (endpoint,) = webhook.endpoints
    page, reason = await browser.get(f"/webhooks/{webhook.id}"), "because " * 26
    assert 'name="reason" maxlength' not in page.text
    answer = await browser.post(f"/webhooks/{webhook.id}/endpoints/{endpoint.id}/disable", {"reason": reason})
    assert (answer.status_code, "Use at most 200 characters." in text_of(answer)) == (422, True)
    assert f'value="{reason.strip()}"' in answer.text
    (kept,) = dispatcher.webhooks.get(webhook.id, tenant="acme").endpoints
    assert kept.enabled


async def test_an_endpoint_is_disabled_for_a_reason(browser, browse, webhook, dispatcher):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    (endpoint,) = webhook.endpoints
    path = f"/webhooks/{webhook.id}/endpoints/{endpoint.id}/disable"
    assert "Disable" not in text_of(await browse(permissions="read").get(f"/webhooks/{webhook.id}"))
    dispatcher.emit("whatsapp", "message.received", {"sender": {}}, tenant="acme")
    await browser.post(path, [("reason", " <b>it moves</b> ")])
    dispatcher.drain()
    shown = await browser.get(f"/webhooks/{webhook.id}")
    assert "<b>it moves" not in shown.text
    assert "<b>it moves</b>" in text_of(shown)
    (delivery,) = dispatcher.log.deliveries(tenant="acme")
    assert "the endpoint is disabled: <b>it moves</b>" in text_of(await browser.get(f"/deliveries/{delivery.id}"))
    dispatcher.webhooks.enable_endpoint(webhook.id, endpoint.id, tenant="acme")
    await browser.post(path)
    (disabled,) = dispatcher.webhooks.get(webhook.id, tenant="acme").endpoints
    assert disabled.disabled_reason == "disabled by hand"


async def test_names_and_descriptions_are_escaped(browser, dispatcher):
    name = '<img src=x onerror="alert(1)">'
    webhook = dispatcher.webhooks.add(
        Webhook(name=name, description=name, endpoints=[Endpoint("https://example.com/a'b\"c")]), tenant="acme"
    )
    paths = ["", "/settings", "/settings/details", "/delete", "/test", "/secret", "/deliveries"]
    for page in [await browser.get("/"), *[await browser.get(f"/webhooks/{webhook.id}{path}") for path in paths]]:
        assert page.status_code == 200
        assert "<img src=x" not in page.text


async def test_catalog_shows_schema_and_example_and_gives_documents(browser):
    text = text_of(await browser.get("/events"))
    assert all(part in text for part in ("WhatsApp", "Message received", "Who wrote", "required", '"name"', '"Ada"'))
    for name, version in (("openapi", "3.1"), ("asyncapi", "3.")):
        answer = await browser.get(f"/events/{name}.json")
        assert answer.json()[name].startswith(version)
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}.json"'


async def test_metadata_are_shown_searched_and_kept_by_the_form(browser, webhook, dispatcher):
    dispatcher.webhooks.update(webhook.id, tenant="acme", metadata={"plan": "<b>gold</b>"})
    page = await browser.get(f"/webhooks/{webhook.id}/settings")
    assert "plan: &lt;b&gt;gold" in page.text
    assert "CRM sync" in (await browser.get("/?search=plan: <b>g")).text
    assert "CRM sync" not in (await browser.get("/?search=silver")).text
    await browser.press(await browser.get(f"/webhooks/{webhook.id}/settings/details"), "save", {"name": "Audit"})
    kept = dispatcher.webhooks.get(webhook.id, tenant="acme")
    assert (kept.name, kept.metadata) == ("Audit", {"plan": "<b>gold</b>"})
