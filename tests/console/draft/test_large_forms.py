"""The cost of forms and previews is bounded, however much is sent, and none of it is on the event loop."""

from __future__ import annotations

import threading

import pytest
from console_browser import text_of

from unihooks import Webhook
from unihooks.console.draft import checks, mapping_text
from unihooks.console.draft.commands import with_typed_renames
from unihooks.console.draft.draft import Draft, Room, of_form
from unihooks.console.http.forms import Form
from unihooks.console.pages import settings

ROOM = Room(endpoints=3, events=4)


@pytest.fixture
def calls(monkeypatch):
    """Return a function that counts the calls of another."""

    def counted(module, name: str) -> list[str]:
        function, made = getattr(module, name), []

        def counting(*args, **kwargs):
            made.append(threading.current_thread().name)
            return function(*args, **kwargs)

        monkeypatch.setattr(module, name, counting)
        return made

    return counted


def rows(count: int) -> list[tuple[str, str]]:
    return [pair for at in range(count) for pair in (("endpoint_id", ""), ("endpoint_url", f"https://e{at}.com/"))]


def test_rows_beyond_the_room_are_not_read():
    headers = [pair for at in range(500) for pair in (("header_name", f"x{at}"), ("header_value", "v"))]
    pairs = [*rows(500), *headers, *[("header_choice", "new")] * 500, *[("event", f"a b{at}") for at in range(500)]]
    draft = of_form(Form(tuple(pairs)), ROOM)
    assert (len(draft.endpoints), len(draft.events), len(draft.headers)) == (4, 5, ROOM.headers + 1)
    assert len(of_form(Form((("events_text", "a b\n" * 500),)), ROOM).events) == 1


def test_of_a_saved_webhook_all_rows_have_room(dispatcher):
    webhook = Webhook(
        name="x", endpoints=[f"https://e{at}.com/" for at in range(dispatcher.webhooks.most_endpoints + 5)]
    )
    assert Room.of(dispatcher, webhook).endpoints == dispatcher.webhooks.most_endpoints + 5
    assert Room.of(dispatcher, None).endpoints == dispatcher.webhooks.most_endpoints


def test_renames_are_typed_in_one_pass_over_the_rules(calls):
    read = calls(mapping_text, "_rule")
    mapping = "\n".join(f"remove x{at}" for at in range(50))
    form = Form(tuple((f"to:a{at}", f"b{at}") for at in range(10_000)))
    draft = with_typed_renames(Draft(mapping=mapping), form)
    assert len(read) == 50
    # One more than a mapping can have, so that the check of the step refuses them.
    assert len(draft.mapping.splitlines()) == 50 + 101


def test_typed_renames_replace_only_the_rules_of_their_paths():
    draft = Draft(mapping="remove a\nnonsense\nrename b -> c")
    form = Form((("to:a", "x"), ("was:b", "c"), ("to:b", "c"), ("to:d", " y "), ("to:e", " ")))
    assert with_typed_renames(draft, form).mapping == "nonsense\nrename b -> c\nrename a -> x\nrename d -> y"


def test_rules_are_counted_before_any_is_read(calls):
    read = calls(mapping_text, "_rule")
    text = "\n".join(f"remove a{at}" for at in range(50_000))
    assert checks.mapping_of(Draft(mapping=text)) is None
    assert mapping_text.without_path(text, "a1") == text
    assert read == []
    assert len(mapping_text.readable_rules(text)) == 100


async def test_too_many_rows_are_refused_and_cost_no_more_than_the_allowed_ones(browser, dispatcher, calls):
    most = dispatcher.webhooks.most_endpoints
    checked = calls(type(dispatcher.webhooks), "check_url")
    answer = await browser.post(await browser.draft(), [("go", "next"), ("name", "x"), *rows(most + 4_000)])
    assert answer.status_code == 422
    assert f"A webhook has at most {most} endpoints. Remove this one" in text_of(answer)
    assert len(checked) <= 3 * (most + 1)


async def test_too_many_events_are_refused(browser, catalog):
    events = [("event", f"whatsapp e{at}") for at in range(5_000)]
    path = (await browser.draft()).replace("/details", "/events")
    answer = await browser.post(path, [("go", "next"), *events])
    assert "Choose at most 1000 events" in text_of(answer)


async def test_forms_are_read_checked_and_rendered_off_the_event_loop(browser, webhook, calls):
    made = [calls(settings, "rendered"), calls(checks, "problems"), calls(checks, "to_fields")]
    answer = await browser.get(f"/webhooks/{webhook.id}/settings/payload")
    answer = await browser.press(answer, "remove:content")
    assert (await browser.press(answer, "save")).status_code == 200
    assert all(made)
    assert all(name.startswith("unihooks-console") for names in made for name in names)


async def test_form_of_more_than_a_mebibyte_is_refused(browser):
    assert (await browser.post(await browser.draft(), [("mapping", "x" * 1024 * 1024)])).status_code == 413


async def test_largest_payload_can_still_be_tested_whatever_its_characters(browser, webhook, dispatcher):
    payload = '{"a":"' + "я" * (128 * 1024 - 8) + '"}'
    given = [("event", "whatsapp message.read"), ("payload", payload)]
    answer = await browser.post(f"/webhooks/{webhook.id}/test", given)
    assert answer.status_code == 200
