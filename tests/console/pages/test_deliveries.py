"""The log's pages: filters, explanations, replay and cancel; receivers' text is escaped."""

from __future__ import annotations

import re

import pytest
from attrs import evolve
from console_browser import CANARY, text_of

from unihooks import DeliveryState
from unihooks.console import Limiter, Rate, Rates, create_console
from unihooks.console.words.explanations import explain
from unihooks.testing import Answer
from unihooks.transport import OWN_FAULT

HOSTILE = b'<script>alert(1)</script><img src=x onerror="alert(2)">{{ 7*7 }}\x00\xe2\x80\xae'


@pytest.fixture
def sent(dispatcher, webhook, receiver, emit):
    """Return the one delivery of an active webhook, made by a real request."""

    def send(answer=204):
        receiver.always(answer)
        dispatcher.webhooks.activate(webhook.id, tenant="acme")
        emit(payload={"sender": {"id": 1}, "content": {"text": "Hi"}})
        return dispatcher.log.deliveries(tenant="acme")[0]

    return send


async def test_delivered_event_shows_its_request_and_that_the_signature_is_valid(browser, sent):
    page = await browser.get(f"/deliveries/{sent().id}")
    text = text_of(page)
    assert "204 Delivered" in text
    assert '{ "sender" : { "id" : 1 }, "content" : { "body" : "Hi" } }' in text
    assert "The signature is valid for the current secret." in text
    assert CANARY not in text


@pytest.mark.parametrize(
    "answer, what, advice",
    [
        (401, "requires authentication", "custom headers"),
        (404, "nothing at this URL", "path"),
        (301, "Redirects are never followed", "endpoint's URL"),
        (503, "your system returned 503", "its own log"),
        (410, "wants no more", "Enable the endpoint again"),
        (Answer(drop=True), "closed the connection", "proxy"),
        (Answer(raw=b"hello\r\n\r\n"), "not a valid HTTP response", "HTTP/1.1"),
    ],
)
async def test_failure_is_explained_in_plain_words_with_advice(browser, sent, answer, what, advice):
    text = text_of(await browser.get(f"/deliveries/{sent(answer).id}"))
    assert what in text
    assert advice in text


def test_a_fault_of_the_sender_is_shown_as_such(sent):
    waiting = evolve(sent(500), reason=OWN_FAULT)
    for told in (explain(waiting, None), explain(evolve(waiting, attempt_count=0), None)):
        assert told.what == "We could not reach the internet, so nothing was sent."
    assert explain(evolve(waiting, state=DeliveryState.CANCELLED), None).what != told.what


async def test_hostile_responses_are_text_only(browser, sent, webhook):
    delivery = sent(Answer(500, headers={"x-evil": "<b onclick=alert(3)>"}, body=HOSTILE))
    page = (await browser.get(f"/deliveries/{delivery.id}")).text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<b onclick" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    assert "\x00" not in page
    assert "\u202e" not in page


async def test_replay_makes_a_new_delivery_and_shows_it(browser, sent, dispatcher):
    delivery = sent(500)
    answer = await browser.post(f"/deliveries/{delivery.id}/replay")
    replay = dispatcher.log.deliveries(tenant="acme")[0]
    assert replay.replay_of == delivery.id
    assert answer.url.path == f"/deliveries/{replay.id}"
    assert "is being sent" in text_of(answer)


async def test_pending_delivery_is_cancelled(browser, sent, dispatcher):
    delivery = sent(500)
    assert "Cancel" in text_of(await browser.get(f"/deliveries/{delivery.id}"))
    await browser.post(f"/deliveries/{delivery.id}/cancel")
    assert dispatcher.log.delivery(delivery.id, tenant="acme").state is DeliveryState.CANCELLED
    again = await browser.post(f"/deliveries/{delivery.id}/cancel")
    assert again.status_code == 409


async def test_list_is_narrowed_by_state_event_endpoint_and_time(browser, sent, webhook):
    delivery = sent()
    for query, found in [
        ("", True),
        ("?state=delivered&event=whatsapp+message.received&period=1h", True),
        (f"?endpoint={webhook.endpoints[0].id}&from=2020-01-01T00:00", True),
        (f"?search={delivery.event_id}&code=2xx", True),
        (f"?search={webhook.endpoints[0].url}&code=204", True),
        ("?search=nobody.example", False),
        ("?code=5xx", False),
        ("?code=nonsense", True),
        ("?state=failed", False),
        ("?state=held", False),
        ("?event=whatsapp+message.read", False),
        ("?to=2020-01-01T00:00", False),
        ("?state=nonsense&period=x&from=y", True),
    ]:
        for path in ("/deliveries", f"/webhooks/{webhook.id}/deliveries"):
            page = await browser.get(path + query)
            assert page.status_code == 200
            assert (f"/deliveries/{delivery.id}" in page.text) is found, query


async def test_replay_of_all_asks_with_the_count_first(browser, sent, dispatcher, webhook, emit):
    sent(500)
    emit()
    for delivery in dispatcher.log.deliveries(tenant="acme"):
        dispatcher.log.cancel(delivery.id, tenant="acme")
    asked = await browser.get(f"/deliveries/replay?state=cancelled&webhook={webhook.id}")
    assert "Replay 2 deliveries?" in text_of(asked)
    arabic = await browser.get(f"/deliveries/replay?state=cancelled&webhook={webhook.id}&lang=ar")
    assert "أتريد إعادة إرسال عمليتي تسليم؟" in text_of(arabic)
    assert len(dispatcher.log.deliveries(tenant="acme")) == 2
    answer = await browser.post("/deliveries/replay", {"state": "cancelled", "webhook": webhook.id})
    assert answer.url.path == f"/webhooks/{webhook.id}/deliveries"
    assert len(dispatcher.log.deliveries(tenant="acme", state="pending")) == 2


async def test_pending_deliveries_are_not_counted_among_those_to_replay(browser, sent, dispatcher):
    pending = sent(500)
    sent(204)
    assert "Replay 1 delivery?" in text_of(await browser.get("/deliveries/replay"))
    for query in ("?state=pending", "?state=held", f"?search={pending.id}"):
        assert "Nothing to replay" in text_of(await browser.get(f"/deliveries/replay{query}"))
    dispatcher.log.cancel(pending.id, tenant="acme")
    assert "Replay 2 deliveries?" in text_of(await browser.get("/deliveries/replay"))


async def test_a_script_can_tell_in_the_viewers_time_until_when_a_delivery_waits(browser, sent):
    sent(Answer(429, headers={"retry-after": "300"}))
    said = re.compile(r'>Waits until <time datetime="[^"]+" data-exact="short">[^<]+ UTC</time>: [a-z]')
    where = f"/deliveries/{sent().id}"
    assert said.search((await browser.get(where)).text)
    assert 'data-exact="short"' in (await browser.get(f"{where}?lang=ar")).text


async def test_a_delivery_that_was_not_attempted_says_what_it_waits_for(browser, sent, dispatcher, emit):
    sent(Answer(429, headers={"retry-after": "300"}))
    emit()
    delivery = dispatcher.log.deliveries(tenant="acme")[0]
    page = await browser.get(f"/deliveries/{delivery.id}")
    [waits] = re.findall(r'<p id="waits">(.*?)</p>', page.text)
    assert "It has not been attempted yet." in page.text
    assert re.search(r"Waits until <time .*</time>: your system asked for a pause until then", waits)


async def test_a_search_that_is_too_long_is_truncated_with_a_note(browser, sent):
    sent()
    for path, most in (("/", 200), ("/deliveries", 300)):
        said = f"Only the first {most} characters of what was entered are used."
        assert said in text_of(await browser.get(f"{path}?search={'x' * (most + 1)}"))
        assert said not in text_of(await browser.get(f"{path}?search={'x' * most}"))
        field = re.search(r'<input class="input" type="search" name="search"[^>]*>', (await browser.get(path)).text)[0]
        # A browser would cut what is pasted, and say nothing.
        assert "maxlength" not in field


@pytest.mark.parametrize("burst, seconds", [(0, 60), (True, 60), (1.5, 60), (1, 0), (1, True), (1, float("nan"))])
def test_senseless_rate_is_refused(burst, seconds):
    with pytest.raises(ValueError, match=r"must be a (whole )?number"):
        Rate(burst, seconds)


async def test_replays_are_rate_limited_per_tenant(dispatcher, authenticate, browse, sent):
    now = [0.0]
    rates = Rates(replays=Limiter(Rate(2, 60), clock=lambda: now[0]), tests=Limiter(Rate(1, 60), clock=lambda: now[0]))
    app = create_console(dispatcher, authenticate=authenticate, rates=rates)
    browser, path = browse(app=app), f"/deliveries/{sent(500).id}/replay"
    assert [(await browser.post(path)).status_code for _ in range(3)] == [200, 200, 429]
    assert (await browser.post("/deliveries/replay")).headers["retry-after"] == "31"
    assert (await browse("other", app=app).post(path)).status_code == 404
    now[0] = 31
    assert (await browser.post(path)).status_code == 200


async def test_test_event_is_sent_mapped_and_its_result_shown(browser, webhook, receiver):
    page = await browser.get(f"/webhooks/{webhook.id}/test")
    assert '"name": "Ada"' in text_of(page)
    receiver.answer(Answer(418, body=b"<i>teapot</i>"))
    answer = await browser.press(page, "", form_id="send")
    assert "418" in text_of(answer)
    assert "&lt;i&gt;teapot&lt;/i&gt;" in answer.text
    assert receiver.requests[0].json() == {"sender": {"id": 7}, "content": {"body": "Hi"}, "tags": [{"k": 1}]}
    answer = await browser.press(answer, "", {"payload": '{"sender": {"id": 8}}'}, form_id="send")
    assert receiver.requests[1].json() == {"sender": {"id": 8}}


@pytest.mark.parametrize("payload, reason", [("{", "not valid JSON"), ('{"content": {}}', "sender"), ("[NaN]", "NaN")])
async def test_test_event_with_a_bad_payload_is_refused_and_stays(browser, webhook, receiver, payload, reason):
    page = await browser.get(f"/webhooks/{webhook.id}/test")
    answer = await browser.press(page, "", {"payload": payload}, form_id="send")
    assert answer.status_code == 422
    assert reason in text_of(answer)
    assert payload in text_of(answer)
    assert not receiver.requests


async def test_viewer_who_may_not_send_sees_no_button_and_cannot(browse, sent, webhook):
    delivery = sent(500)
    browser = browse(permissions="read,write,secrets")
    assert "Replay" not in text_of(await browser.get(f"/deliveries/{delivery.id}"))
    for path in (f"/deliveries/{delivery.id}/replay", f"/deliveries/{delivery.id}/cancel", "/deliveries/replay"):
        assert (await browser.post(path)).status_code == 403
    assert (await browser.get(f"/webhooks/{webhook.id}/test")).status_code == 403


async def test_delivery_of_a_deleted_webhook_is_still_shown(browser, sent, dispatcher, webhook):
    delivery = sent()
    dispatcher.webhooks.delete(webhook.id, tenant="acme")
    page = await browser.get(f"/deliveries/{delivery.id}")
    assert page.status_code == 200
    assert "no longer has" in text_of(page)


async def test_missed_events_are_recovered(browser, webhook, dispatcher, emit):
    emit()
    assert not dispatcher.log.deliveries(tenant="acme")
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    answer = await browser.post(f"/webhooks/{webhook.id}/recover", {"period": "1h"})
    assert "missed are being sent" in text_of(answer)
    assert len(dispatcher.log.deliveries(tenant="acme")) == 1


async def test_bulk_work_beyond_the_rate_is_done_in_part_and_says_so(dispatcher, authenticate, browse, webhook):
    dispatcher.emit_many([("whatsapp", "message.received", {"sender": {}})] * 5, tenant="acme")
    dispatcher.drain()
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    now = [0.0]
    rates = Rates(replays=Limiter(Rate(3, 60), clock=lambda: now[0]))
    browser = browse(app=create_console(dispatcher, authenticate=authenticate, rates=rates))
    answer = await browser.post(f"/webhooks/{webhook.id}/recover", {"period": "1h"})
    assert "Some of what this webhook missed is being sent." in text_of(answer)
    for delivery in dispatcher.log.deliveries(tenant="acme"):
        dispatcher.log.cancel(delivery.id, tenant="acme")
    assert len(dispatcher.log.deliveries(tenant="acme")) == 3
    assert (await browser.post("/deliveries/replay", {"state": "cancelled"})).status_code == 429
    now[0] = 41
    answer = await browser.post("/deliveries/replay", {"state": "cancelled"})
    assert "Some of the deliveries are being sent." in text_of(answer)
    assert len(dispatcher.log.deliveries(tenant="acme", state="pending")) == 2


async def test_deliveries_are_found_by_the_subject_that_they_show(browser, dispatcher, webhook):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    for subject in ("chat/7", "chat/8"):
        payload = {"sender": {"id": 1}, "content": {"text": "Hi"}}
        dispatcher.emit("whatsapp", "message.received", payload, tenant="acme", subject=subject)
    dispatcher.drain()
    listed = text_of(await browser.get("/deliveries?subject=chat%2F7"))
    assert "chat/7" in listed
    assert "chat/8" not in listed
    [delivery] = dispatcher.log.deliveries(tenant="acme", subject="chat/7")
    answer = await browser.get(f"/deliveries/{delivery.id}")
    assert "Subject chat/7" in text_of(answer)
    assert "deliveries?subject=chat%2F7" in answer.text.replace("chat/7", "chat%2F7")
