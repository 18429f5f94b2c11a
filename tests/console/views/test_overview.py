"""The list's health and order, and the page of one webhook: its sentence, chart, failures and endpoints."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from console_browser import text_of

from unihooks import DeliveryPolicy, EventSubscription, Limits, Webhook
from unihooks.testing import Answer


@pytest.fixture
def hook(dispatcher, receiver, emit):
    """Make an active webhook with its own event type whose endpoints return the statuses, one event for each."""

    def make(name: str, *statuses: int, events: int = 1, disabled: int = 0) -> Webhook:
        paths = [f"/{name}/{at}" for at in range(max(1, len(statuses)))]
        webhook = dispatcher.webhooks.add(
            Webhook(
                name=name,
                endpoints=[receiver.url_for(path, host="crm.example.com") for path in paths],
                subscriptions=[EventSubscription("whatsapp", "message.received")],
                status="active",
            ),
            tenant="acme",
        )
        for path, status in zip(paths, statuses, strict=False):
            receiver.on(path).always(status)
        for _ in range(events if statuses else 0):
            emit()
        for endpoint in webhook.endpoints[:disabled]:
            dispatcher.webhooks.disable_endpoint(webhook.id, endpoint.id, tenant="acme", reason="it moves")
        # What comes later is for others.
        dispatcher.webhooks.update(webhook.id, tenant="acme", subscriptions=[EventSubscription("sms", "sent")])
        return webhook

    return make


def names(page) -> list[str]:
    return re.findall(r'class="name" href="[^"]*"><bdi>([^<]+)', page.text)


def link(page, label: str) -> str:
    """Return the path and query of the link with a label."""
    found = re.search(rf'href="([^"]+)"[^>]*>(?:<[^>]+>)*{re.escape(label)}', page.text)
    assert found, label
    return unescape(found[1])


def verdict(page) -> str:
    found = re.search(r'<div [^>]*id="verdict".*?</div>', page.text, re.DOTALL)
    assert found
    return re.sub(r"[\u2066-\u2069]", "", text_of(type(page)(200, text=found[0])))


# The list.


async def test_the_list_begins_with_failing_webhooks_and_has_one_word_for_each(browser, hook):
    hook("unused")
    hook("well", 204)
    hook("half-off", 204, 500, disabled=0)
    hook("off", 204, disabled=1)
    hook("broken", 500)
    page = await browser.get("/")
    assert names(page) == ["broken", "half-off", "off", "well", "unused"]
    words = re.findall(r'class="bare"><span class="badge state (\w+)">([^<]+)', page.text)
    assert words == [
        ("bad", "Failing"),
        ("bad", "Failing"),
        ("off", "Disabled"),
        ("good", "Healthy"),
        ("none", "No events yet"),
    ]
    assert names(await browser.get("/?sort=newest")) == ["broken", "off", "half-off", "well", "unused"]


async def test_the_filters_of_the_list_go_by_health(browser, hook, receiver, dispatcher, emit):
    hook("unused")
    hook("well", 204)
    hook("off", 204, disabled=1)
    hook("broken", 500)
    degraded = hook("degraded", 204)
    receiver.on("/degraded/0").always(500)
    dispatcher.webhooks.update(
        degraded.id, tenant="acme", subscriptions=[EventSubscription("whatsapp", "message.received")]
    )
    emit()
    expected = {
        "failing": ["broken", "degraded"],
        "degraded": ["degraded"],
        "disabled": ["off"],
        "healthy": ["well"],
        "none": ["unused"],
        "nonsense": ["broken", "degraded", "off", "well", "unused"],
    }
    for health, found in expected.items():
        assert names(await browser.get(f"/?health={health}")) == found, health


async def test_a_webhook_is_as_its_worst_enabled_endpoint(browser, hook):
    hook("b", 204, 500, disabled=1)
    hook("a", 500, 204, disabled=1)
    page = await browser.get("/?sort=name")
    assert re.findall(r'class="bare"><span class="badge state (\w+)"', page.text) == ["good", "bad"]


async def test_a_webhook_with_one_of_two_endpoints_disabled_says_so_in_the_list(browser, hook):
    hook("half", 204, 204, disabled=1)
    hook("off", 204, disabled=1)
    page = await browser.get("/?health=disabled&sort=name")
    assert names(page) == ["half", "off"]
    assert re.search(r'value="disabled" selected>With a disabled endpoint<', page.text)
    words = re.findall(r'class="bare"><span class="badge state (\w+)">[^<]+</span>(?:<p[^>]*>([^<]+))?', page.text)
    assert words == [("good", "1 endpoint disabled"), ("off", "")]


async def test_throttling_says_that_it_is_for_all_endpoints_of_the_webhook(browser, hook):
    one, two = hook("one", 204), hook("two", 204, 204)
    said = "it applies to all of its 2 endpoints, not to this one alone"
    page = text_of(await browser.get(f"/webhooks/{two.id}"))
    assert all(text in page for text in (said, "Throttle webhook", "Save for all 2 endpoints"))
    page = text_of(await browser.get(f"/webhooks/{one.id}"))
    assert all(text not in page for text in ("Throttle webhook", "not to this one alone"))


async def test_pages_of_the_order_by_health_follow_each_other(browser, hook, dispatcher):
    hook("broken", 500)
    for number in range(24):
        dispatcher.webhooks.add(Webhook(name=f"hook {number:02}", endpoints=["https://example.com/"]), tenant="acme")
    first = await browser.get("/")
    assert names(first) == ["broken", *[f"hook {number:02}" for number in range(23, 4, -1)]]
    second = await browser.get(unescape(first.text.split('rel="next" href="')[1].split('"')[0]))
    assert names(second) == [f"hook {number:02}" for number in range(4, -1, -1)]
    back = await browser.get(unescape(second.text.split('rel="prev" href="')[1].split('"')[0]))
    assert names(back) == names(first)


# The sentence.


async def test_the_sentence_says_how_much_succeeded_and_what_most_failures_are(browser, hook):
    webhook = hook("crm", 204, 429, events=2)
    page = await browser.get(f"/webhooks/{webhook.id}")
    assert (
        "1 of 2 endpoints is failing. 50 % of the attempts succeeded in the last 24 h. "
        "2 deliveries failed or are being retried, mostly 429." in verdict(page)
    )
    query = parse_qs(urlsplit(link(page, "See failures")).query)
    assert query["code"] == ["429"]
    found = await browser.get(link(page, "See failures"))
    assert len(re.findall(r'id="row-', found.text)) == 2
    page = await browser.get(f"/webhooks/{webhook.id}?period=1h")
    assert "succeeded in the last hour" in verdict(page)


async def test_an_obstacle_to_all_deliveries_is_shown_first_with_its_remedy(browser, hook, dispatcher):
    webhook = hook("crm", 204, disabled=1)
    page = await browser.get(f"/webhooks/{webhook.id}")
    assert "Its endpoint was disabled just now, so its deliveries are on hold." in verdict(page)
    assert "Enable again" in verdict(page)
    assert re.search(r"On hold: it was disabled <time[^>]*>just now</time>: <bdi>it moves", page.text)
    dispatcher.webhooks.update(webhook.id, tenant="acme", subscriptions=[])
    assert "No events are chosen yet" in verdict(await browser.get(f"/webhooks/{webhook.id}"))
    dispatcher.webhooks.deactivate(webhook.id, tenant="acme")
    assert "This webhook is inactive" in verdict(await browser.get(f"/webhooks/{webhook.id}"))
    new = hook("new")
    text = verdict(await browser.get(f"/webhooks/{new.id}"))
    assert "Nothing was sent in the last 24 h." in text
    assert "Send a test event" in text
    many = hook("many", 204, 204, disabled=2)
    assert "All its endpoints are disabled" in verdict(await browser.get(f"/webhooks/{many.id}"))


async def test_a_reader_is_offered_nothing_that_would_be_refused(browse, hook):
    webhook = hook("crm", 500, disabled=1)
    page = await browse(permissions="read").get(f"/webhooks/{webhook.id}")
    main = page.text.split("<main")[1]
    assert "<form" not in main
    assert f"/webhooks/{webhook.id}/test" not in page.text
    assert "/endpoints/" not in page.text


async def test_all_good_is_said_in_a_sentence_without_an_action(browser, hook):
    webhook = hook("crm", 204, events=3)
    text = verdict(await browser.get(f"/webhooks/{webhook.id}"))
    assert text.strip() == "Healthy. Everything succeeded in the last 24 h: 3 attempts."


# The chart, and what failed.


@pytest.mark.parametrize("period, bars", [("1h", 12), ("24h", 24), ("7d", 28), ("30d", 30)])
async def test_each_period_has_a_chart_whose_bars_lead_to_the_log(browser, hook, period, bars):
    webhook = hook("crm", 500, events=2)
    page = await browser.get(f"/webhooks/{webhook.id}?period={period}")
    assert page.text.count("<span><time") + page.text.count('class="minor"') >= 4
    ticks = page.text.split('class="ticks"')[1].split("</div>")[0]
    assert len(re.findall(r"<span[ >]", ticks)) == bars
    (bar,) = re.findall(r'<a href="([^"]+)" tabindex="-1" aria-label="([^"]+)"', page.text)
    assert "2 attempts, 2 failed" in bar[1]
    # The same numbers stand in a table, whose links the keyboard reaches without JavaScript.
    table = page.text.split('class="as-table"')[1].split("</table>")[0]
    assert unescape(bar[0]) in unescape(table)
    assert len(re.findall(r'id="row-', (await browser.get(unescape(bar[0]))).text)) == 2


async def test_failures_are_listed_by_status_code_and_event_type_with_links(browser, dispatcher, receiver):
    webhook = dispatcher.webhooks.add(
        Webhook(
            name="crm",
            endpoints=[receiver.url_for("/crm", host="crm.example.com")],
            subscriptions=[EventSubscription("whatsapp", "*"), EventSubscription("sms", "sent")],
            status="active",
            policy=DeliveryPolicy(retry_delays=[]),
        ),
        tenant="acme",
    )
    receiver.on("/crm").answer(429, 500, 500, 204)
    for product, event_type in (("whatsapp", "message.received"), ("sms", "sent"), ("sms", "sent"), ("sms", "sent")):
        dispatcher.emit(product, event_type, {"sender": {}}, tenant="acme")
        dispatcher.drain()
    page = await browser.get(f"/webhooks/{webhook.id}")
    sums = page.text.split('id="by-code"')[1].split("</section>")[0]
    assert re.findall(r'class="number">([^<]+)', sums) == ["2", "1", "2", "1"]
    assert len(re.findall(r'id="row-', (await browser.get(link(page, "429"))).text)) == 1
    assert "3 deliveries of this period failed or are being retried." in text_of(page)
    by_type = unescape(re.findall(r'class="text clip" href="([^"]+)"', sums)[0])
    assert len(re.findall(r'id="row-', (await browser.get(by_type)).text)) == 2


async def test_failures_without_a_response_lead_to_the_log_and_are_counted_alike(
    browser, hook, receiver, dispatcher, emit
):
    webhook = hook("crm", 204)
    receiver.on("/crm/0").always(Answer(drop=True))
    dispatcher.webhooks.update(
        webhook.id, tenant="acme", subscriptions=[EventSubscription("whatsapp", "message.received")]
    )
    for _ in range(2):
        emit()
    page = await browser.get(f"/webhooks/{webhook.id}")
    assert "2 deliveries failed or are being retried, mostly without a response." in verdict(page)
    for label in ("See failures", "No response"):
        found = await browser.get(link(page, label))
        assert parse_qs(urlsplit(link(page, label)).query)["code"] == ["none"]
        assert len(re.findall(r'id="row-', found.text)) == 2, label
        assert 'value="none" placeholder' in found.text


async def test_half_of_the_failures_are_not_most_of_them(browser, hook):
    webhook = hook("crm", 429, 500)
    page = await browser.get(f"/webhooks/{webhook.id}")
    assert "2 deliveries failed or are being retried. See failures" in verdict(page)


async def test_failed_attempts_of_delivered_events_are_shown_as_attempts(browser, hook, receiver, dispatcher):
    webhook = hook("crm", 500)
    receiver.on("/crm/0").always(204)
    [delivery] = dispatcher.log.deliveries(tenant="acme")
    dispatcher.log.cancel(delivery.id, tenant="acme")
    page = await browser.get(f"/webhooks/{webhook.id}")
    assert "0 % of the attempts succeeded in the last 24 h; 1 failed." in verdict(page)


async def test_failures_of_an_event_type_link_to_failed_deliveries_and_not_to_all_pending_ones(
    browser, webhook, dispatcher, receiver, emit
):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    receiver.always(Answer(429, headers={"retry-after": "300"}))
    for _ in range(2):
        emit()
    page = await browser.get(f"/webhooks/{webhook.id}")
    by_type = unescape(re.findall(r'class="text clip" href="([^"]+)"', page.text)[0])
    assert len(re.findall(r'id="row-', (await browser.get(by_type)).text)) == 1
    assert len(re.findall(r'id="row-', (await browser.get("/deliveries?state=pending")).text)) == 2


# Endpoints.


async def test_each_endpoint_has_a_line_with_its_rate_its_p95_and_what_it_waits_for(browser, hook, dispatcher):
    webhook = hook("crm", 204, 500, events=5)
    page = await browser.get(f"/webhooks/{webhook.id}")
    good, bad = page.text.split('class="endpoint-line"')[1:]
    text = re.sub(r"[\u2066-\u2069]", "", text_of(type(page)(200, text=good)))
    assert "100 % of 5 attempts succeeded" in text
    assert re.search(r"p95 [\d.]+ m?s", text)
    text = re.sub(r"[\u2066-\u2069]", "", text_of(type(page)(200, text=bad)))
    assert "0 % of 5 attempts succeeded" in text
    assert "5 failures in a row" in text
    assert "Paused after repeated failures. One delivery is sent as a probe in" in text
    for endpoint in webhook.endpoints:
        assert f"/webhooks/{webhook.id}/deliveries?endpoint={endpoint.id}" in page.text
        test = await browser.get(f"/webhooks/{webhook.id}/test?endpoint={endpoint.id}")
        assert re.search(rf'value="{endpoint.id}" selected', test.text)
        assert f'data-copy="{endpoint.url}"' in page.text


async def test_endpoints_are_throttled_and_let_go_again(browser, browse, webhook, dispatcher):
    path = f"/webhooks/{webhook.id}/throttle"
    answer = await browser.post(path, {"rate": "2.5"})
    assert "at most that many deliveries per second" in text_of(answer)
    assert "Throttled: at most 2.5 deliveries per second" in text_of(answer)
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").policy == DeliveryPolicy(rate=2.5)
    for wrong in ("many", "0", "nan", "1e99", "-1"):
        answer = await browser.post(path, {"rate": wrong})
        assert answer.status_code == 422, wrong
        assert f'value="{wrong}"' in answer.text
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").policy.rate == 2.5
    dispatcher.webhooks.update(webhook.id, tenant="acme", policy=DeliveryPolicy(rate=5, burst=9, deadline=3))
    await browser.post(path, {"rate": ""})
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").policy == DeliveryPolicy(deadline=3)
    assert (await browse(permissions="read").post(path, {"rate": "1"})).status_code == 403


async def test_a_rate_beyond_the_hosts_limits_is_refused_in_words(browser, webhook):
    answer = await browser.post(f"/webhooks/{webhook.id}/throttle", {"rate": str(Limits().rate + 1)})
    assert answer.status_code == 422
    assert re.search(r"at most 10,?000", text_of(answer))


async def test_a_pause_that_the_receiver_asks_for_is_shown(browser, webhook, dispatcher, receiver, emit):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    receiver.answer(Answer(503, headers={"Retry-After": "1800"}))
    emit()
    page = await browser.get(f"/webhooks/{webhook.id}")
    assert re.search(r"It asked for a pause with Retry-After. Deliveries continue in (29|30) minutes", text_of(page))
