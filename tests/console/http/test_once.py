"""A form is carried out once, however often a browser sends it, and its result is reported once."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import ExitStack, closing

import pytest
from console_browser import fields_of, text_of
from starlette.routing import Mount

from unihooks import Dispatcher
from unihooks.console import create_console
from unihooks.stores import PostgresStore

ACTIVE = "The webhook is active"
BEFORE = "This form was already sent, so nothing was done again."
FILLED = {"name": "New one", "endpoint_id": "", "endpoint_url": "https://example.com/in", "go": "save"}


def names(dispatcher) -> list[str]:
    return [one.name for one in dispatcher.webhooks.list(tenant="acme")]


def later(monkeypatch, seconds: float) -> None:
    """Make the console believe that this much time has passed."""
    import time

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


async def test_every_form_of_every_page_has_its_own_value(browser, webhook, dispatcher, emit):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    emit()
    (delivery,) = dispatcher.log.deliveries(tenant="acme")
    dispatcher.jobs.replay(tenant="acme", webhook_id=webhook.id)
    own = f"/webhooks/{webhook.id}"
    parts = ("", "/test", "/secret", "/delete", "/ready", "/deliveries", "/settings", "/settings/headers")
    others = ("/", "/new", "/deliveries", f"/deliveries/{delivery.id}", "/deliveries/replay", "/jobs", "/events")
    for path in (*(own + part for part in parts), *others):
        answer = await browser.get(path)
        assert answer.status_code == 200, path
        values = re.findall(r'name="once" value="([^"]+)"', answer.text)
        assert values
        assert len(values) == len(set(values)) == len(re.findall('<form[^>]* method="post"', answer.text)), path


async def test_second_submit_of_a_new_webhook_leads_to_the_one_that_was_made(browser, dispatcher):
    draft = await browser.draft()
    first = await browser.post(draft, {**FILLED, "once": "a"})
    assert "whsec_" in first.text
    second = await browser.post(draft, {**FILLED, "once": "a"})
    (added,) = dispatcher.webhooks.list(tenant="acme")
    assert second.url.path == f"/webhooks/{added.id}/ready"
    assert (BEFORE in second.text, "whsec_" in second.text) == (True, False)


async def test_two_submits_at_once_make_one_webhook_also_in_two_processes(browse, dispatcher, authenticate):
    consoles = [create_console(dispatcher, authenticate=authenticate) for _ in range(2)]
    browsers = [browse(app=console) for console in consoles]
    # One browser, whose requests reach two processes.
    browsers[1].client.cookies = browsers[0].client.cookies
    draft = await browsers[0].draft()
    answers = await asyncio.gather(*(one.post(draft, {**FILLED, "once": "a"}) for one in browsers * 2))
    assert names(dispatcher) == ["New one"]
    assert sorted("whsec_" in one.text for one in answers) == [False, False, False, True]


@pytest.mark.postgres
async def test_forms_that_reach_two_processes_at_once_are_carried_out_once(
    browse, authenticate, postgres_dsn, empty_schema
):
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(PostgresStore(postgres_dsn, schema=empty_schema))) for _ in range(2)]
        dispatchers = [Dispatcher(store) for store in stores]
        browsers = [browse(app=create_console(one, authenticate=authenticate)) for one in dispatchers]
        draft, token = await browsers[0].draft(), await browsers[0].token()
        browsers[1].client.cookies = browsers[0].client.cookies
        await asyncio.gather(*(one.post(draft, {**FILLED, "once": "a"}, token=token) for one in browsers * 2))
        (added,) = dispatchers[1].webhooks.list(tenant="acme")
        # Each of these comes from a page of its own.
        where = f"/webhooks/{added.id}/duplicate"
        copies = await asyncio.gather(*(one.post(where, token=token) for one in browsers * 2))
        assert names(dispatchers[0]) == ["Copy of New one", "New one"]
        assert len({copy.url for copy in copies}) == 1


async def test_second_submit_waits_for_the_first(browser, webhook, dispatcher, monkeypatch):
    goes_on, under_way = threading.Event(), threading.Event()
    activate = dispatcher.webhooks.aactivate

    async def slow(*args, **rest):
        under_way.set()
        await asyncio.to_thread(goes_on.wait, 10)
        return await activate(*args, **rest)

    monkeypatch.setattr(type(dispatcher.webhooks), "aactivate", lambda self, *args, **rest: slow(*args, **rest))
    where = f"/webhooks/{webhook.id}/activate"
    first = asyncio.create_task(browser.post(where, {"once": "a"}))
    await asyncio.to_thread(under_way.wait, 10)
    second = asyncio.create_task(browser.post(where, {"once": "a"}))
    done, _ = await asyncio.wait({second}, timeout=0.3)
    assert not done
    goes_on.set()
    told = [text_of(one) for one in await asyncio.gather(first, second)]
    # One cookie tells one of the two pages that a browser gets, which shows the last one.
    assert any(ACTIVE in one for one in told)


async def test_form_whose_first_submit_takes_too_long_says_so(browser, webhook, dispatcher, monkeypatch):
    monkeypatch.setattr("unihooks.console.http.once._WAITS", (0.01,))
    store = dispatcher.settings.open_store
    monkeypatch.setattr(store, "keep_answer", lambda *args: None)
    where = f"/webhooks/{webhook.id}/activate"
    await browser.post(where, {"once": "a"})
    answer = await browser.post(where, {"once": "a"})
    assert answer.status_code == 409
    assert "still being processed" in answer.text


async def test_refused_form_may_be_sent_again(browser, dispatcher):
    draft = await browser.draft()
    for go, count in (({**FILLED, "name": ""}, 0), (FILLED, 1)):
        answer = await browser.post(draft, {**go, "once": "a"})
        assert (answer.status_code, len(names(dispatcher))) == (200 if count else 422, count)
    draft = await browser.draft()
    browser.client.headers["hx-request"] = "true"
    for url in ("https://me:pw@example.com/", "https://me:pw@example.com/"):
        answer = await browser.post(draft, {**FILLED, "endpoint_url": url, "once": "b"})
        assert (answer.status_code, "aria-invalid" in answer.text) == (200, True)


async def test_form_that_failed_may_be_sent_again(browser, webhook, dispatcher, monkeypatch):
    where, verb = f"/webhooks/{webhook.id}/activate", type(dispatcher.webhooks).aactivate

    async def broken(*args, **rest):
        raise RuntimeError

    monkeypatch.setattr(type(dispatcher.webhooks), "aactivate", broken)
    assert (await browser.post(where, {"once": "a"})).status_code == 500
    monkeypatch.setattr(type(dispatcher.webhooks), "aactivate", verb)
    assert ACTIVE in (await browser.post(where, {"once": "a"})).text


async def test_form_that_says_something_else_is_another_one(browser, webhook, receiver):
    for number in (1, 2):
        typed = {
            "event": "whatsapp message.received",
            "payload": f'{{"sender": {{}}, "typed": {number}}}',
            "endpoint": "",
        }
        await browser.post(f"/webhooks/{webhook.id}/test", {**typed, "once": "a"})
    assert [one.json() for one in receiver.wait_for(2)] == [{"sender": {}, "typed": 1}, {"sender": {}, "typed": 2}]


async def test_value_of_another_viewer_or_path_means_nothing(browser, browse, webhook, dispatcher):
    other = browse("other")
    draft = await browser.draft()
    for one in (browser, other):
        await one.post(draft, {**FILLED, "once": "a"})
    assert len(names(dispatcher)) == 2
    assert len(dispatcher.webhooks.list(tenant="other")) == 1
    own = f"/webhooks/{webhook.id}"
    for verb in ("activate", "deactivate"):
        await browser.post(f"{own}/{verb}", {"once": "a"})
    assert not dispatcher.webhooks.get(webhook.id, tenant="acme").active


async def test_moving_between_steps_is_not_kept(browser, dispatcher):
    page = await browser.get("/new")
    filled = {"name": "Moved", "endpoint_url": "https://example.com/in"}
    for _ in range(2):
        page_after = await browser.press(page, "next", filled)
        assert page_after.status_code == 200
        assert page_after.url.path.endswith("/events")


async def test_secret_is_rotated_once_and_not_shown_again(browser, webhook, dispatcher):
    where = f"/webhooks/{webhook.id}/secret/rotate"
    first = await browser.post(where, {"overlap": "24", "once": "a"})
    second = await browser.post(where, {"overlap": "24", "once": "a"})
    assert ("data-secret" in first.text, "data-secret" in second.text) == (True, False)
    assert second.url.path == f"/webhooks/{webhook.id}/secret"
    assert len(dispatcher.webhooks.get(webhook.id, tenant="acme").secrets) == 2
    for _ in range(2):
        assert "data-secret" in (await browser.post(f"/webhooks/{webhook.id}/secret/reveal", {"once": "a"})).text


async def test_test_event_that_is_sent_again_keeps_the_input(browser, webhook, receiver):
    receiver.always(204)
    typed = {"event": "whatsapp message.received", "payload": '{"sender": {"typed": 1}}', "endpoint": ""}
    first = await browser.post(f"/webhooks/{webhook.id}/test", {**typed, "once": "a"})
    assert "204" in text_of(first)
    second = await browser.post(f"/webhooks/{webhook.id}/test", {**typed, "once": "a"})
    assert "This test was already sent" in second.text
    assert dict(fields_of(second, "send"))["payload"] == typed["payload"]
    assert len(receiver.requests) == 1
    await browser.press(second, "", form_id="send")
    assert len(receiver.requests) == 2


async def test_a_result_is_shown_once_and_only_there(browser, webhook):
    answer = await browser.post(f"/webhooks/{webhook.id}/activate")
    assert (ACTIVE in answer.text, answer.url.query) == (True, b"")
    assert ACTIVE not in (await browser.get(answer.url.path)).text
    await browser.client.post(
        f"/webhooks/{webhook.id}/deactivate",
        data={"csrf": await browser.token()},
        headers={"sec-fetch-site": "same-origin"},
        follow_redirects=False,
    )
    told = "The webhook is inactive: nothing is sent"
    # Neither another page that is opened meanwhile, nor a part of this one, nor an error takes it away.
    assert told not in (await browser.get("/deliveries")).text
    assert told not in (await browser.get(answer.url.path, headers={"hx-request": "true"})).text
    assert told in (await browser.get(answer.url.path)).text


async def test_nobody_can_claim_that_something_was_done(browser, browse, webhook):
    path = f"/webhooks/{webhook.id}"
    assert ACTIVE not in (await browser.get(f"{path}?done=activated")).text
    other = browse()
    await other.token()
    answer = await other.client.post(f"{path}/activate", data={"csrf": await other.token()}, follow_redirects=False)
    stolen = answer.cookies["__Host-webhooks_done"]
    assert re.fullmatch(r"activated\.\d+\.[0-9a-f]{64}", stolen)
    for value in (
        stolen,
        "activated",
        "activated.9999999999.",
        "activated.x.y",
        f"activated.{'9' * 5_000}.y",
        "nothing.1.2",
        stolen.upper(),
        "ä.ö.ü",
    ):
        headers = [("cookie", f"__Host-webhooks_done={value}".encode())]
        page = await browser.get(path, headers=headers)
        assert (page.status_code, ACTIVE in page.text) == (200, False)


async def test_a_result_is_not_shown_after_a_minute(browser, webhook, monkeypatch):
    where = f"/webhooks/{webhook.id}/activate"
    data = {"csrf": await browser.token()}
    await browser.client.post(where, data=data, follow_redirects=False)
    later(monkeypatch, 61)
    assert ACTIVE not in (await browser.get(f"/webhooks/{webhook.id}")).text


@pytest.mark.parametrize("seconds, told", [(0, ACTIVE), (20, BEFORE)])
async def test_double_click_shows_the_result_and_a_later_submit_that_it_was_done_before(
    browser, webhook, monkeypatch, seconds, told
):
    where = f"/webhooks/{webhook.id}/activate"
    await browser.post(where, {"once": "a"})
    later(monkeypatch, seconds)
    assert told in (await browser.post(where, {"once": "a"})).text


async def test_below_another_path_it_is_said_too(browse, console, webhook):
    browser = browse(app=Mount("/a b", app=console))
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', (await browser.get("/a%20b/")).text)[1]
    where = f"/a%20b/webhooks/{webhook.id}/activate"
    assert ACTIVE in (await browser.client.post(where, data={"csrf": token, "once": "a"})).text
    browser.client.headers["hx-request"] = "true"
    answer = await browser.client.post(where, data={"csrf": token, "once": "a"})
    assert answer.headers["hx-redirect"].endswith(f"/webhooks/{webhook.id}")
