"""A draft is tried, and becomes one webhook, however often and from however many pages it is created."""

from __future__ import annotations

import asyncio

from console_browser import CANARY, text_of

from unihooks.console import create_console
from unihooks.console.draft.kept import Drafts
from unihooks.console.host.rates import Limiter, Rate, Rates

URL = "https://crm.example.com/hooks"


def names(dispatcher) -> list[str]:
    return [one.name for one in dispatcher.webhooks.list(tenant="acme")]


async def reviewed(browser):
    """Return the last page of a new draft that can be created."""
    return await browser.press(await browser.get("/new"), "step:review", {"name": "CRM", "endpoint_url": URL})


async def test_back_and_create_again_leads_to_the_webhook_without_its_secret(browser, dispatcher):
    review = await reviewed(browser)
    made = await browser.press(review, "save")
    (added,) = dispatcher.webhooks.list(tenant="acme")
    secret = added.secrets[0].reveal()
    assert secret in made.text
    assert made.headers["cache-control"] == "no-store"
    for answer in (
        await browser.get(made.url.path),
        await browser.get(review.url.path),
        await browser.press(review, "save"),
        await browser.press(review, "save:active"),
        await browser.press(review, "discard"),
    ):
        assert answer.url.path.startswith(f"/webhooks/{added.id}")
        assert secret not in answer.text
    assert names(dispatcher) == ["CRM"]
    assert "Unfinished" not in (await browser.get("/")).text


async def test_two_tabs_that_create_at_once_make_one_webhook(browser, dispatcher):
    path = (await reviewed(browser)).url.path
    tabs = [await browser.get(path) for _ in range(4)]
    answers = await asyncio.gather(*(browser.press(tab, "save") for tab in tabs))
    assert names(dispatcher) == ["CRM"]
    assert all("/webhooks/wh_" in one.url.path for one in answers)


async def test_a_change_at_the_moment_of_creation_is_reported(browser, dispatcher, monkeypatch):
    path = (await reviewed(browser)).url.path
    review, details = await browser.get(path), await browser.get(path.replace("review", "details"))
    claim = Drafts.claim

    async def late(self, kept):
        await browser.press(details, "next", {"name": "Changed"})
        return await claim(self, kept)

    with monkeypatch.context() as patch:
        patch.setattr(Drafts, "claim", late)
        answer = await browser.press(review, "save")
    assert (answer.status_code, names(dispatcher)) == (422, [])
    assert "changed in another tab" in text_of(answer)
    assert "Changed" in text_of(answer)
    await browser.press(answer, "save")
    assert names(dispatcher) == ["Changed"]


async def test_while_it_is_being_created_nobody_else_creates_it(browser, dispatcher, monkeypatch):
    monkeypatch.setattr("unihooks.console.pages.new._WAITS", 2)
    review = await reviewed(browser)
    add, seen = type(dispatcher.webhooks).aadd, []

    async def slow(self, *args, **rest):
        if not seen:
            seen.append(None)
            # Another tab, whose page was made just now.
            seen.append(await browser.press(await browser.get(review.url.path), "save"))
        return await add(self, *args, **rest)

    monkeypatch.setattr(type(dispatcher.webhooks), "aadd", slow)
    await browser.press(review, "save")
    assert seen[1].status_code == 409
    assert names(dispatcher) == ["CRM"]


async def test_a_webhook_is_created_and_activated_in_one(browser, dispatcher):
    review = await reviewed(browser)
    ready = await browser.press(review, "save:active")
    assert dispatcher.webhooks.list(tenant="acme")[0].active
    assert "Activated" in text_of(ready)
    assert "/activate" not in ready.text


async def test_the_checklist_offers_what_the_viewer_may_do(browse, dispatcher):
    browser = browse(permissions="read,write")
    review = await reviewed(browser)
    ready = await browser.press(review, "save")
    (added,) = dispatcher.webhooks.list(tenant="acme")
    assert added.secrets[0].reveal() not in ready.text
    assert f"/webhooks/{added.id}/activate" in ready.text
    assert all(f"/webhooks/{added.id}/{part}" not in ready.text for part in ("test", "secret/reveal"))
    await browse().get(ready.url.path)
    full = (await browse().get(ready.url.path)).text
    assert all(f"/webhooks/{added.id}/{part}" in full for part in ("test", "secret/reveal", "activate"))


async def test_a_limit_of_webhooks_keeps_the_draft(browser, dispatcher, monkeypatch):
    from unihooks.exceptions import LimitReached

    async def full(*args, **rest):
        raise LimitReached("the tenant has 1000 webhooks, which is the limit; delete one first", name="webhooks")

    review = await reviewed(browser)
    with monkeypatch.context() as patch:
        patch.setattr(type(dispatcher.webhooks), "aadd", full)
        answer = await browser.press(review, "save")
    assert answer.status_code == 422
    assert "1000 webhooks" in text_of(answer)
    await browser.press(answer, "save")
    assert names(dispatcher) == ["CRM"]


async def test_a_draft_is_tested_before_it_is_a_webhook(browser, receiver, dispatcher):
    given = {
        "name": "CRM",
        "endpoint_url": [receiver.url_for("/a", host="crm.example.com"), receiver.url_for("/b", host="b.example.com")],
    }
    page = await browser.press(await browser.get("/new"), "step:events", {**given, "endpoint_id": ["", ""]})
    page = await browser.press(page, "step:mapping", {"event": "whatsapp message.received"})
    page = await browser.press(page, "step:headers", {"mapping": "remove sender"})
    header = {"header_name": "Authorization", "header_value": CANARY, "header_choice": "new"}
    page = await browser.press(page, "step:review", header)
    receiver.answer(204, 500)
    answer = await browser.press(page, "try", {"try_event": "whatsapp message.received"})
    sent = receiver.wait_for(2)
    assert {one.headers["authorization"] for one in sent} == {CANARY}
    assert [one.json() for one in sent] == [{"content": {"text": "Hi"}, "tags": [{"k": 1}]}] * 2
    assert all(one.headers["webhook-signature"].startswith("v1,") for one in sent)
    text = text_of(answer)
    assert "Not every endpoint has accepted it." in text
    assert all(code in text for code in ("204", "500"))
    assert CANARY not in answer.text
    assert names(dispatcher) == []
    # A reload sends nothing again.
    assert (await browser.press(page, "try", {"try_event": "whatsapp message.received"})).status_code == 200
    assert len(receiver.requests) == 2


async def test_a_test_of_a_draft_needs_permission_and_keeps_to_its_rate(browse, dispatcher, authenticate, receiver):
    given = {"name": "CRM", "endpoint_url": receiver.url_for("/a", host="crm.example.com")}
    plain = browse(permissions="read,write")
    page = await plain.press(await plain.get("/new"), "step:review", given)
    assert "Try it before you create it" not in page.text
    answer = await plain.press(page, "try", {"try_event": "whatsapp message.received"})
    assert "Ask the manager of your account for permission." not in text_of(await plain.get(page.url.path))
    assert receiver.requests == []
    app = create_console(dispatcher, authenticate=authenticate, rates=Rates(tests=Limiter(Rate(1, 600))))
    browser = browse(app=app)
    browser.client.cookies = plain.client.cookies
    for _ in range(2):
        answer = await browser.press(
            await browser.get(page.url.path), "try", {"try_event": "whatsapp message.received"}
        )
    assert "Too many tests" in text_of(answer)
    assert len(receiver.requests) == 1
