"""The settings of a webhook in sections: each is changed separately, and nothing needs JavaScript."""

from __future__ import annotations

import re
from html import unescape

import pytest
from console_browser import CANARY, fields_of, text_of

from unihooks import Condition, DeliveryPolicy, Endpoint, EventSubscription, HeaderSet, Limits, PayloadMapping, Webhook
from unihooks.console.pages.settings import SECTIONS


@pytest.fixture
def section(browser, webhook):
    """Return a function that opens a section of the webhook."""

    async def section(name: str, opened=browser):
        answer = await opened.get(f"/webhooks/{webhook.id}/settings/{name}")
        assert answer.status_code == 200
        return answer

    return section


@pytest.fixture
def saved(dispatcher, webhook):
    """Return a function that reads the webhook again."""
    return lambda: dispatcher.webhooks.get(webhook.id, tenant="acme")


async def test_one_page_shows_all_settings_each_with_its_own_edit(browser, webhook, dispatcher):
    where = [Condition("sender.id", "in", [1, 2]), Condition("content.text", "exists")]
    dispatcher.webhooks.update(
        webhook.id,
        tenant="acme",
        subscriptions=[EventSubscription("whatsapp", "message.received", where=where)],
        policy=DeliveryPolicy(retry_delays=[10, 60], rate=5),
        metadata={"plan": "<b>gold</b>"},
    )
    page = await browser.get(f"/webhooks/{webhook.id}/settings")
    text = text_of(page)
    for part in (
        "CRM sync Copies messages",
        webhook.endpoints[0].url,
        "Message received whatsapp message.received only if sender.id is one of [1, 2] and content.text exists",
        "without sender.name",
        "content.text → body",
        "Authorization: ••••••",
        "Seconds between attempts 10, 60",
        "plan: <b>gold</b>",
        "157.175.105.131",
    ):
        assert part in text
    for name in SECTIONS:
        assert f'/webhooks/{webhook.id}/settings/{name}"' in page.text
    assert CANARY not in page.text
    assert f'/webhooks/{webhook.id}/settings"' in (await browser.get(f"/webhooks/{webhook.id}")).text


async def test_a_viewer_who_may_not_change_sees_settings_without_any_action(browse, webhook):
    reader = browse(permissions="read")
    page = await reader.get(f"/webhooks/{webhook.id}/settings")
    assert "sender.name" in page.text
    assert not re.search(r"/settings/|/duplicate|/delete", page.text)
    for name in SECTIONS:
        assert (await reader.get(f"/webhooks/{webhook.id}/settings/{name}")).status_code == 403
    assert (await reader.post(f"/webhooks/{webhook.id}/duplicate")).status_code == 403


@pytest.mark.parametrize(
    "step, where", [("", ""), ("events", "/events"), ("mapping", "/payload"), ("headers", "/headers"), ("odd", "")]
)
async def test_links_to_the_old_form_lead_to_the_settings(browser, browse, webhook, step, where):
    answer = await browser.get(f"/webhooks/{webhook.id}/edit?step={step}")
    assert answer.url.path == f"/webhooks/{webhook.id}/settings{where}"
    assert (await browse(tenant="other").get(f"/webhooks/{webhook.id}/edit?step={step}")).status_code == 404


async def test_there_are_no_other_sections(browser, webhook):
    assert (await browser.get(f"/webhooks/{webhook.id}/settings/odd")).status_code == 404
    assert (await browser.post(f"/webhooks/{webhook.id}/settings/odd", {"go": "save"})).status_code == 404


async def test_a_section_changes_nothing_else(browser, webhook, section, saved):
    answer = await browser.press(await section("details"), "save", {"name": "Renamed", "description": "New"})
    assert answer.url.path == f"/webhooks/{webhook.id}/settings"
    assert "Your changes are saved" in text_of(answer)
    changed = saved()
    assert (changed.name, changed.description) == ("Renamed", "New")
    for name in ("endpoints", "subscriptions", "mapping", "policy", "ordered", "metadata"):
        assert getattr(changed, name) == getattr(webhook, name)
    assert changed.headers.revealed() == webhook.headers.revealed()
    # What a form of another section would send is not looked at.
    forged = {"name": "Forged", "ordered": "yes", "mapping": "remove a", "version": str(changed.version)}
    await browser.post(f"/webhooks/{webhook.id}/settings/headers", [*forged.items(), ("go", "save")])
    assert (saved().name, saved().ordered, saved().mapping) == ("Renamed", False, webhook.mapping)


@pytest.mark.parametrize(
    "case",
    [
        ("details", {"name": "x" * 201}, "This is too long. Use at most 200 characters."),
        ("details", {"name": " "}, "Enter a name."),
        ("details", {"description": "x" * 2001}, "Use at most 2,000 characters."),
        ("endpoints", {"endpoint_url": "https://example.com/" + "x" * 2048}, "2,048"),
        ("endpoints", {"endpoint_url": "http://example.com/"}, "https"),
        ("policy", {"policy_retry_delays": "1, " * 200}, "longer than 400 characters"),
        ("policy", {"policy_rate": "0"}, "Enter a number of at least"),
        ("headers", {"header_name": "Host", "header_value": "x", "header_choice": "new"}, "eader Host"),
        ("events", {"event": "whatsapp gone"}, "gone"),
        ("payload", {"mapping": "nonsense"}, "Line 1"),
    ],
)
async def test_refused_input_stays_as_typed_with_the_reason(browser, webhook, section, saved, case):
    name, changes, sentence = case
    answer = await browser.press(await section(name), "save", changes)
    assert answer.status_code == 422
    assert sentence in text_of(answer)
    assert all((field, value) in fields_of(answer) for field, value in changes.items())
    assert saved() == webhook


async def test_nothing_is_cut_by_the_browser(browser, section):
    for name in SECTIONS:
        assert "maxlength" not in (await section(name)).text.partition('id="draft"')[2]


async def test_endpoints_keep_their_ids_when_their_urls_change(browser, webhook, section, saved, receiver):
    answer = await browser.press(await section("endpoints"), "add-endpoint")
    urls = [receiver.url_for("/moved", host="crm.example.com"), receiver.url_for("/b", host="b.example.com")]
    await browser.press(answer, "save", {"endpoint_url": urls})
    assert [one.url for one in saved().endpoints] == urls
    assert saved().endpoints[0].id == webhook.endpoints[0].id


async def test_endpoints_beyond_the_limit_are_not_reported_as_somebody_elses_change(
    browser, section, dispatcher, receiver, monkeypatch
):
    monkeypatch.setattr(dispatcher.settings, "limits", Limits(endpoints_per_tenant=1))
    page = await browser.press(await section("endpoints"), "add-endpoint")
    urls = [receiver.url_for(path, host="crm.example.com") for path in ("/a", "/b")]
    answer = await browser.press(page, "save", {"endpoint_url": urls})
    assert answer.status_code == 422
    assert "more than 1 endpoint" in text_of(answer)


async def test_a_stale_section_is_refused_kindly_and_can_be_saved_again(browser, webhook, section, saved, dispatcher):
    answer = await section("details")
    dispatcher.webhooks.update(webhook.id, tenant="acme", description="theirs")
    answer = await browser.press(answer, "save", {"description": "mine"})
    assert answer.status_code == 422
    assert "Somebody else has changed this webhook" in text_of(answer)
    assert ("description", "mine") in fields_of(answer)
    await browser.press(answer, "save")
    assert saved().description == "mine"


@pytest.mark.parametrize("presses", [0, 2])
async def test_a_section_that_nobody_else_has_touched_is_not_stale(browser, section, saved, dispatcher, presses):
    answer = await section("events")
    dispatcher.webhooks.update(saved().id, tenant="acme", description="theirs")
    for _ in range(presses):
        answer = await browser.press(answer, "stay")
    answer = await browser.press(answer, "save", {"event": ["sms sent"]})
    assert answer.url.path.endswith("/settings")
    assert (saved().description, saved().subscriptions) == ("theirs", (EventSubscription("sms", "sent"),))


@pytest.mark.parametrize("name", ["events", "headers"])
async def test_a_stale_section_stays_so_until_it_is_reported(browser, webhook, section, dispatcher, name):
    answer = await section(name)
    headers = HeaderSet({"Authorization": "theirs"})
    dispatcher.webhooks.update(webhook.id, tenant="acme", subscriptions=[], headers=headers)
    for _ in range(2):
        answer = await browser.press(answer, "stay")
    answer = await browser.press(answer, "save")
    assert answer.status_code == 422
    assert "Somebody else has changed this webhook" in text_of(answer)
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").headers == headers
    answer = await browser.press(await browser.press(answer, "stay"), "save")
    assert answer.url.path.endswith("/settings")


async def test_a_policy_is_changed_and_taken_back(browser, section, saved):
    given = {"policy_retry_delays": "10, 60.5", "policy_in_flight": "2", "ordered": "yes"}
    answer = await browser.press(await section("policy"), "save", given)
    assert saved().policy == DeliveryPolicy(retry_delays=[10, 60.5], in_flight=2)
    assert saved().ordered
    assert "In order by subject" in text_of(answer)
    back = {"policy_retry_delays": "none", "policy_in_flight": "", "ordered": []}
    answer = await browser.press(await section("policy"), "save", back)
    assert saved().policy == DeliveryPolicy(retry_delays=[])
    assert not saved().ordered
    assert "none: a single attempt" in text_of(answer)


async def test_all_unreadable_fields_of_a_policy_are_reported_at_once(browser, webhook):
    page = await browser.get(f"/webhooks/{webhook.id}/settings/policy")
    answer = await browser.press(page, "save", {"policy_deadline": "soon", "policy_rate": "fast", "policy_burst": ""})
    assert answer.status_code == 422
    assert 'id="policy-deadline-problem"' in answer.text
    assert 'id="policy-rate-problem"' in answer.text


async def test_a_header_is_replaced_or_removed_by_its_buttons(browser, webhook, section, saved):
    answer = await section("headers")
    assert "Authorization ••••••" in text_of(answer)
    assert "<select" not in answer.text.partition('id="draft"')[2]
    answer = await browser.press(answer, "replace-header:0")
    assert ("header_choice", "replace") in fields_of(answer)
    answer = await browser.press(answer, "save")
    assert answer.status_code == 422
    assert "Enter the new value, or keep the saved one." in text_of(answer)
    answer = await browser.press(answer, "keep-header:0")
    await browser.press(answer, "save")
    assert saved().headers.revealed() == webhook.headers.revealed()
    answer = await browser.press(await section("headers"), "replace-header:0")
    await browser.press(answer, "save", {"header_value": "Bearer new"})
    assert saved().headers.revealed() == [("Authorization", "Bearer new")]
    answer = await browser.press(await section("headers"), "remove-header:0")
    assert "is removed when you save" in text_of(answer)
    assert saved().headers
    await browser.press(answer, "save")
    assert not saved().headers


async def test_a_typed_value_of_a_saved_header_is_never_dropped(browser, section, saved):
    await browser.press(await section("headers"), "save", {"header_value": "typed"})
    assert saved().headers.revealed() == [("Authorization", "typed")]


async def test_a_copy_has_everything_but_the_secret_and_is_inactive(browser, webhook, dispatcher):
    dispatcher.webhooks.update(
        webhook.id,
        tenant="acme",
        name="n" * 200,
        endpoints=[Endpoint(webhook.endpoints[0].url, description="first")],
        policy=DeliveryPolicy(rate=3),
        ordered=True,
    )
    webhook = dispatcher.webhooks.activate(webhook.id, tenant="acme")
    dispatcher.webhooks.disable_endpoint(webhook.id, webhook.endpoints[0].id, tenant="acme")
    answer = await browser.post(f"/webhooks/{webhook.id}/duplicate")
    copy = next(one for one in dispatcher.webhooks.list(tenant="acme") if one.id != webhook.id)
    assert answer.url.path == f"/webhooks/{copy.id}/settings"
    assert "This is the copy: it is inactive." in text_of(answer)
    for name in ("description", "subscriptions", "mapping", "policy", "ordered"):
        assert getattr(copy, name) == getattr(webhook, name)
    assert copy.name == f"Copy of {'n' * 192}"
    assert copy.headers.revealed() == webhook.headers.revealed()
    assert [(one.url, one.description, one.enabled) for one in copy.endpoints] == [
        (webhook.endpoints[0].url, "first", True)
    ]
    assert not copy.active
    assert copy.endpoints[0].id != webhook.endpoints[0].id
    assert copy.secrets[0].reveal() != webhook.secrets[0].reveal()


async def test_a_second_click_makes_no_second_copy(browser, webhook, dispatcher):
    page = await browser.get(f"/webhooks/{webhook.id}/settings")
    once = re.search(r'/duplicate">.*?name="once" value="([^"]+)"', page.text)[1]
    first = await browser.post(f"/webhooks/{webhook.id}/duplicate", {"once": once})
    second = await browser.post(f"/webhooks/{webhook.id}/duplicate", {"once": once})
    assert first.url == second.url
    assert len(dispatcher.webhooks.list(tenant="acme")) == 2


async def test_a_reloaded_page_makes_no_second_copy_like_the_first(browser, webhook, dispatcher):
    path = f"/webhooks/{webhook.id}/duplicate"
    first, second = await browser.post(path), await browser.post(path)
    assert first.url == second.url
    assert "This copy exists already" in text_of(second)
    [copy] = [one for one in dispatcher.webhooks.list(tenant="acme") if one.id != webhook.id]
    dispatcher.webhooks.update(copy.id, tenant="acme", name="Other CRM")
    third = await browser.post(path)
    assert third.url != first.url
    dispatcher.webhooks.delete(third.url.path.split("/")[2], tenant="acme")
    fourth = await browser.post(path)
    assert "This is the copy: it is inactive." in text_of(fourth)
    assert len(dispatcher.webhooks.list(tenant="acme")) == 3


async def test_the_fields_of_a_copy_stay_another_tenants(browse, webhook, dispatcher):
    assert (await browse(tenant="other").post(f"/webhooks/{webhook.id}/duplicate")).status_code == 404
    assert not dispatcher.webhooks.list(tenant="other")


async def test_a_mapping_is_edited_in_its_tree(browser, section, saved):
    answer = await section("payload")
    text = text_of(answer)
    assert '"body": "Hi"' in text
    assert re.search(r'<del><span class="key">"name":</span>.*?</del>', unescape(answer.text))
    assert re.search(r'<ins title="was text"><span class="key">"body":</span>', unescape(answer.text))
    answer = await browser.press(answer, "restore:sender.name")
    answer = await browser.press(answer, "rename:sender.id", {"to:sender.id": "number"})
    answer = await browser.press(answer, "remove:tags[*].k")
    # A name that was typed but not applied counts as well.
    await browser.press(answer, "save", {"to:sender": "from"})
    assert saved().mapping == PayloadMapping(
        remove=["tags[*].k"], rename={"content.text": "body", "sender.id": "number", "sender": "from"}
    )


async def test_a_property_that_keeps_its_name_gets_no_rule(browser, section, saved):
    answer = await browser.press(await section("payload"), "rename:content.text", {"to:content.text": "text"})
    assert ("mapping", "remove sender.name") in fields_of(answer)
    await browser.press(answer, "save", {"to:sender.id": "id", "to:content": "content"})
    assert saved().mapping == PayloadMapping(remove=["sender.name"])


async def test_a_mapping_that_leaves_nothing_is_warned_of(browser, section):
    warning = "Nothing is left of this example"
    answer = await section("payload")
    assert warning not in text_of(answer)
    answer = await browser.press(answer, "stay", {"mapping": "remove sender\nremove content\nremove tags[*].k"})
    assert warning in text_of(answer)


async def test_new_headers_are_asked_for_with_a_new_address(browse, webhook, saved, receiver):
    writer = browse(permissions="read,write,send")
    url = receiver.url_for("/steal", host="attacker.example.com")
    answer = await writer.get(f"/webhooks/{webhook.id}/settings/endpoints")
    answer = await writer.press(answer, "save", {"endpoint_url": url})
    assert answer.status_code == 422
    assert "An endpoint at a new address would get the saved values" in text_of(answer)
    assert saved() == webhook
    answer = await writer.press(answer, "remove-header:0")
    await writer.press(answer, "save")
    assert (saved().endpoints[0].url, saved().headers) == (url, HeaderSet())


async def test_settings_of_a_webhook_with_an_event_that_is_gone_can_be_changed(browser, dispatcher, receiver):
    added = Webhook(name="x", endpoints=[receiver.url_for("/x", host="crm.example.com")])
    webhook = dispatcher.webhooks.add(added, tenant="acme")
    assert "None yet: nothing is sent." in text_of(await browser.get(f"/webhooks/{webhook.id}/settings"))
