"""The log: texts and links of rows, counts, filters that contradict each other, and replays from the list."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from attrs import evolve
from console_browser import fields_of, text_of

from unihooks import DeliveryState
from unihooks.console.pages import deliveries as log_page
from unihooks.console.words.causes import cause
from unihooks.console.words.formats import short_span
from unihooks.testing import Answer

PAYLOAD = {"sender": {"id": 1}, "content": {"text": "Hi"}}


@pytest.fixture
def send(dispatcher, webhook, receiver, emit):
    """Send events to an active webhook, each with its response; return the deliveries, newest first."""

    def send(*answers, subject=None):
        dispatcher.webhooks.activate(webhook.id, tenant="acme")
        for answer in answers:
            receiver.answer(answer)
            emit(payload=PAYLOAD, subject=subject)
        return list(dispatcher.log.deliveries(tenant="acme", limit=len(answers)))

    return send


def links_of(answer, pattern: str) -> list[str]:
    return [unescape(link) for link in re.findall(rf'href="([^"]*{pattern}[^"]*)"', answer.text)]


def boxes_of(answer) -> list[str]:
    return re.findall(r'name="delivery" value="(\w+)"', answer.text)


async def test_a_row_says_the_cause_first(browser, send):
    send(401, Answer(raw=b"hello\r\n\r\n"), 204)
    text = text_of(await browser.get("/deliveries"))
    assert "Time Status Event Subject Endpoint Duration Attempts" in text
    for cause_first in ("401", "No response"):
        assert re.search(rf"{cause_first} 1 attempt left · next in \d+ min", text)
    assert "204 Delivered" in text


async def test_a_row_of_a_failed_or_held_delivery_says_so(browser, send, dispatcher, webhook):
    [failed] = send(410)
    text = text_of(await browser.get("/deliveries"))
    assert "410 Failed" in text
    held = evolve(failed, state=DeliveryState.PENDING, held=True)
    for waiting, why in (("on hold: the webhook is inactive", "webhook is inactive"), (None, "endpoint is disabled")):
        told = cause(evolve(held, waiting=waiting))
        assert (told.what, told.tone, *told.parts) == ("On hold", "idle", f"its {why}")


def test_a_delivery_that_waits_for_an_earlier_one_is_due_after_it(send):
    [delivery] = send(500)
    in_order = evolve(delivery, next_attempt_at=None, attempt_count=0, status_code=None, attempts_left=2)
    assert cause(in_order).parts == ("after an earlier one",)
    due = evolve(delivery, next_attempt_at=datetime.now(UTC) - timedelta(seconds=9), attempts_left=None)
    assert (cause(due).what, cause(due).parts) == ("500", ("due now",))


@pytest.mark.parametrize(
    "seconds, told", [(0.4, "1 s"), (59, "59 s"), (290, "5 min"), (7_000, "2 h"), (200_000, "2 d")], ids=str
)
def test_a_span_takes_a_few_characters(seconds, told):
    assert short_span(seconds) == told


async def test_pages_say_which_of_how_many_they_show(browser, send, monkeypatch):
    send(*[204] * 5)
    monkeypatch.setattr(log_page, "_PER_PAGE", 2)
    first = await browser.get("/deliveries?state=delivered")
    assert "1 to 2 of 5" in text_of(first)
    second = await browser.get(links_of(first, "cursor=")[0])
    assert "3 to 4 of 5" in text_of(second)
    newer, older = links_of(second, "cursor=")[-2:]
    assert "5 to 5 of 5" in text_of(await browser.get(older))
    assert "1 to 2 of 5" in text_of(await browser.get(newer))
    unknown = re.sub(r"&?first=\d+", "", older)
    assert "5 deliveries" in text_of(await browser.get(unknown))
    monkeypatch.setattr(log_page, "_MOST_COUNTED", 3)
    assert "1 to 2 of 3 or more" in text_of(await browser.get("/deliveries"))


async def test_times_that_contradict_each_other_are_an_error(browser, send, webhook):
    [delivery] = send(204)
    for path in ("/deliveries", f"/webhooks/{webhook.id}/deliveries"):
        answer = await browser.get(f"{path}?from=2026-12-02T00:00&to=2026-12-01T00:00:01")
        assert answer.status_code == 422
        assert "From must not be later than Until." in text_of(answer)
        assert 'value="2026-12-01T00:00:01"' in answer.text
        assert delivery.id not in answer.text
    # In one zone they are what they are in another.
    same = "from=2026-12-02T00:00&to=2026-12-01T00:00:01&zone=Asia/Riyadh"
    assert (await browser.get(f"/deliveries?{same}")).status_code == 422
    # A period comes before exact times.
    assert (await browser.get("/deliveries?period=1h&from=2026-12-02T00:00&to=2026-12-01T00:00")).status_code == 200


async def test_a_search_leaves_out_marks_of_direction_that_were_copied_with_it(browser, send):
    newest, _ = send(204, 204)
    page = await browser.get(
        "/deliveries", params={"search": f" \N{RIGHT-TO-LEFT MARK}{newest.id}\N{POP DIRECTIONAL ISOLATE}"}
    )
    assert boxes_of(page) == [newest.id]


async def test_times_are_meant_in_the_zone_that_is_given(browser, send):
    [delivery] = send(204)
    made = delivery.created_at.replace(tzinfo=None)
    for zone, hours in (("", 0), ("Asia/Riyadh", 3), ("Nowhere/Else", 0), ("../etc/passwd", 0), ("\0", 0)):
        for minutes, is_found in ((-1, True), (1, False)):
            since = (made + timedelta(hours=hours, minutes=minutes)).isoformat(timespec="seconds")
            page = await browser.get("/deliveries", params={"from": since, "zone": zone})
            assert (delivery.id in page.text) is is_found, (zone, minutes)
    assert "No deliveries" not in text_of(await browser.get("/deliveries?zone=Asia/Riyadh"))
    edge = await browser.get("/deliveries?to=0001-01-01T00:00&zone=Asia/Riyadh")
    assert edge.status_code == 200


async def test_a_held_delivery_has_the_button_that_mends_it(browser, send, dispatcher, webhook):
    [delivery] = send(500)
    dispatcher.webhooks.disable_endpoint(webhook.id, webhook.endpoints[0].id, tenant="acme")
    enable = f'action="/webhooks/{webhook.id}/endpoints/{webhook.endpoints[0].id}/enable"'
    assert enable in (await browser.get(f"/deliveries/{delivery.id}")).text
    dispatcher.webhooks.deactivate(webhook.id, tenant="acme")
    page = await browser.get(f"/deliveries/{delivery.id}")
    assert f'action="/webhooks/{webhook.id}/activate"' in page.text
    assert "On hold its webhook is inactive" in text_of(await browser.get("/deliveries"))


async def test_deliveries_on_hold_are_released_without_leaving_the_place_in_the_log(browser, send, dispatcher, webhook):
    [delivery] = send(500)
    dispatcher.webhooks.disable_endpoint(webhook.id, webhook.endpoints[0].id, tenant="acme")
    enable = f"/webhooks/{webhook.id}/endpoints/{webhook.endpoints[0].id}/enable"
    page = await browser.get(f"/deliveries/{delivery.id}?in=state%3Dheld")
    assert re.search(rf'action="{enable}">.*?name="in" value="state=held"', page.text)
    answer = await browser.post(enable, {"delivery": delivery.id, "in": "state=held"})
    assert str(answer.url).endswith(f"/deliveries/{delivery.id}?in=state%3Dheld")
    assert 'href="/deliveries?state=held"' in answer.text
    assert str((await browser.post(enable, {"delivery": delivery.id})).url).endswith(f"/deliveries/{delivery.id}")


async def test_a_row_leads_to_its_delivery_and_back_to_the_place_in_the_list(browser, send, monkeypatch, webhook):
    newest, middle, oldest = send(500, 503, 500, subject="chat/7")
    listed = await browser.get(f"/webhooks/{webhook.id}/deliveries?code=5xx&subject=chat%2F7")
    shown = await browser.get(links_of(listed, middle.id)[0])
    assert f"/webhooks/{webhook.id}/deliveries?code=5xx&subject=chat%2F7" in links_of(shown, "code=5xx")
    older, newer = links_of(shown, oldest.id)[0], links_of(shown, newest.id)[0]
    assert "in=" in older
    assert links_of(await browser.get(newer), middle.id)
    # Only what the filters show is next to it.
    narrowed = await browser.get(f"/deliveries/{newest.id}?in=code%3D500")
    assert links_of(narrowed, oldest.id)
    assert not links_of(narrowed, middle.id)


async def test_a_delivery_beside_the_log_is_a_part_of_a_page(browser, send):
    [delivery] = send(500)
    answer = await browser.get(f"/deliveries/{delivery.id}?in=all&drawer=")
    assert f'data-delivery="{delivery.id}"' in answer.text
    assert "<html" not in answer.text
    assert "500 1 attempt left" in text_of(answer)
    assert '"back" value="log"' in answer.text


async def test_one_is_replayed_from_the_list_and_the_list_stays_as_it_was(browser, send, dispatcher):
    [delivery] = send(500)
    fields = dict(fields_of(await browser.get("/deliveries?code=5xx"), "log"))
    answer = await browser.post("/deliveries/replay-selected", {"in": fields["in"], "one": delivery.id})
    assert answer.url.path == "/deliveries"
    assert answer.url.params["code"] == "5xx"
    assert "is being sent" in text_of(answer)
    assert dispatcher.log.deliveries(tenant="acme")[0].replay_of == delivery.id


async def test_those_that_are_ticked_are_replayed(browser, send, dispatcher, browse):
    deliveries = send(500, 204, 503)
    listed = await browser.get("/deliveries")
    assert boxes_of(listed) == [one.id for one in deliveries]
    nothing = await browser.post("/deliveries/replay-selected", {"in": "all"})
    assert "Select the deliveries" in text_of(nothing)
    ticked = [deliveries[0].id, deliveries[2].id]
    answer = await browser.post("/deliveries/replay-selected", [("delivery", one) for one in ticked])
    assert "The new deliveries are being sent." in text_of(answer)
    assert {one.replay_of for one in dispatcher.log.deliveries(tenant="acme")[:2]} == set(ticked)
    await browse("other").post("/deliveries/replay-selected", [("delivery", one) for one in ticked])
    assert len(dispatcher.log.deliveries(tenant="acme")) == 5


async def test_unreplayable_deliveries_are_left_out(browser, send, dispatcher, webhook, emit):
    gone, *_ = send(500)
    dispatcher.webhooks.update(webhook.id, tenant="acme", endpoints=["https://other.example.com/"])
    answer = await browser.post("/deliveries/replay-selected", [("delivery", gone.id), ("in", "all")])
    assert "None of them can be sent" in text_of(answer)
    emit(payload=PAYLOAD)
    kept = dispatcher.log.deliveries(tenant="acme")[0]
    answer = await browser.post("/deliveries/replay-selected", [("delivery", gone.id), ("delivery", kept.id)])
    assert "Some are being sent" in text_of(answer)


async def test_all_deliveries_since_one_are_replayed_as_a_job_with_progress(browser, send, dispatcher, add_webhook):
    later, first, earlier = send(204, 204, 410)
    other = add_webhook("Other", "sms", host="other.example.com")
    dispatcher.emit("sms", "sent", {}, tenant="acme")
    dispatcher.drain()
    [of_failed] = links_of(await browser.get(f"/deliveries/{later.id}"), "since=")
    assert "Replay 1 delivery?" in text_of(await browser.get(of_failed))
    assert "Nothing to replay" in text_of(await browser.get(f"/deliveries/replay?since={first.id}&state=cancelled"))
    [link] = links_of(await browser.get(f"/deliveries/{first.id}"), "since=")
    every = await browser.get(link)
    assert "Replay 2 deliveries?" in text_of(every)
    answer = await browser.post("/deliveries/replay", _hidden(every, job="sent"))
    assert answer.url.path == "/jobs"
    assert "0 of 2" in text_of(answer)
    assert "Replaying: 0 of 2" in text_of(await browser.get("/deliveries"))
    dispatcher.drain()
    replayed = {one.replay_of for one in dispatcher.log.deliveries(tenant="acme")} - {None}
    assert replayed <= {later.id, first.id}
    assert earlier.id not in replayed
    assert other.id not in {one.webhook_id for one in dispatcher.log.deliveries(tenant="acme") if one.replay_of}
    assert "Replaying" not in text_of(await browser.get("/deliveries"))
    assert (await browser.get("/deliveries/replay?since=dlv_unknown")).status_code == 404


async def test_viewer_with_read_alone_can_select_nothing(browse, send):
    [delivery] = send(500)
    reader = browse(permissions="read")
    listed = await reader.get("/deliveries")
    assert delivery.id in listed.text
    assert not boxes_of(listed)
    assert "Replay" not in text_of(listed)
    assert (await reader.post("/deliveries/replay-selected", {"one": delivery.id})).status_code == 403
    assert (await reader.get(f"/deliveries/replay?since={delivery.id}")).status_code == 403


@pytest.mark.parametrize(
    "packed", ["%00", "code=%ED%A0%80", "x" * 5_000, "&".join("abcdefghijklmnopqrstuvwxyz"), "cursor=?"]
)
async def test_an_odd_place_in_a_link_is_never_a_failure(browser, send, packed):
    [delivery] = send(500)
    answer = await browser.get(f"/deliveries/{delivery.id}", params={"in": packed})
    assert answer.status_code == 200
    assert (await browser.post(f"/deliveries/{delivery.id}/replay", {"in": packed, "back": "log"})).status_code < 500


async def test_json_is_coloured_and_stays_text(browser, send):
    body = b'{"a<b": ["x\\"y", -1.5e3, true, null]}'
    [delivery] = send(Answer(500, body=body, headers={"content-type": "application/json"}))
    page = (await browser.get(f"/deliveries/{delivery.id}")).text
    [shown] = re.findall(r"<pre[^>]*data-hostile>(.*?)</pre>", page, re.DOTALL)
    kinds = [("key", '"a<b"'), ("string", '"x\\"y"'), ("number", "-1500.0"), ("literal", "true"), ("literal", "null")]
    assert [(kind, unescape(text)) for kind, text in re.findall(r'<b class="(\w+)">(.*?)</b>', shown)] == kinds


def _hidden(answer, **more: str) -> list[tuple[str, str]]:
    form = answer.text.split("<footer>")[1]
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form)
    return [(name, unescape(value)) for name, value in fields if name != "csrf"] + list(more.items())
