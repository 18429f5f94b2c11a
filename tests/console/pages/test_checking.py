"""The live check of an endpoint: its name, its server, its certificate; no request is sent."""

from __future__ import annotations

import re

import httpx
import pytest
from console_browser import text_of

from unihooks import Dispatcher, TargetPolicy, Webhook
from unihooks.console import Limiter, Rate, Rates, create_console
from unihooks.exceptions import InvalidArgument, TargetRefused
from unihooks.stores import MemoryStore


@pytest.fixture
def any_name(receiver, tmp_path):
    """Return a dispatcher for which every name leads to the receiver, whatever its certificate says."""
    targets = TargetPolicy(allow=["127.0.0.0/8"], resolver=lambda _host, _port: ["127.0.0.1"])
    with Dispatcher(MemoryStore(), targets=targets, ssl_context=receiver.ssl_context) as dispatcher:
        yield dispatcher


async def test_a_url_that_is_typed_is_checked_and_nothing_is_sent(browser, receiver):
    urls = ["https://no-such-name.example.org/", receiver.url_for("/hooks", host="crm.example.com")]
    text = text_of(await browser.post("/check?of=1", [("endpoint_url", url) for url in urls]))
    assert "accepts connections" in text
    assert "Its certificate is accepted" in text
    assert "TLS 1.3" in text
    assert re.search(r"valid until \d{4}-\d\d-\d\d", text)
    assert receiver.requests == []


async def test_refused_and_unreachable_destinations_have_one_sentence(browser):
    closed, unknown, internal = (
        "https://crm.example.com:1024/",
        "https://no-such-name.example.org/",
        "https://10.0.0.1/",
    )
    answers = [text_of(await browser.post("/check", {"endpoint_url": url})) for url in (closed, unknown)]
    assert all("could not be reached" in text and "accepts connections" not in text for text in answers)
    assert answers[0].replace(closed, "") == answers[1].replace(unknown, "")
    # An address that is written out is refused by the form alone, and the sentence says so.
    assert "accepts connections" not in text_of(await browser.post("/check", {"endpoint_url": internal}))


async def test_a_certificate_of_another_host_is_named_as_the_fault(receiver, any_name):
    found = await any_name.webhooks.acheck_endpoint(receiver.url_for("/", host="elsewhere.example.org"))
    assert (found.connected, found.good) == (True, False)
    assert found.error == "TLS certificate is not valid for this host"
    good = await any_name.webhooks.acheck_endpoint(receiver.url)
    assert (good.good, good.error, good.tls) == (True, None, "TLSv1.3")
    assert good.certificate_ends_at is not None
    assert any_name.webhooks.check_endpoint(receiver.url).good


async def test_an_endpoint_is_checked_from_its_page_by_those_who_may_send(browser, browse, webhook):
    (endpoint,) = webhook.endpoints
    path = f"/webhooks/{webhook.id}/endpoints/{endpoint.id}/check"
    assert path in (await browser.get(f"/webhooks/{webhook.id}")).text
    assert "Its certificate is accepted" in text_of(await browser.post(path))
    assert path not in (await browse(permissions="read").get(f"/webhooks/{webhook.id}")).text
    assert (await browse(permissions="read").post(path)).status_code == 403
    assert (await browse("other").post(path)).status_code == 404


async def test_a_url_that_cannot_be_used_gets_a_sentence(browser, dispatcher):
    assert "must start with https://" in text_of(await browser.post("/check", {"endpoint_url": "http://example.com"}))
    for fields in ([], [("endpoint_url", "")], [("endpoint_url", "x\0")]):
        assert (await browser.post("/check?of=²", fields)).status_code == 200
    with pytest.raises(TargetRefused):
        dispatcher.webhooks.check_endpoint("ftp://example.com")


@pytest.mark.parametrize("inside", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]])
def test_a_name_that_moves_to_an_internal_address_is_not_dialled(receiver, inside):
    port = httpx.URL(receiver.url).port
    url, asked = f"https://rebind.example.com:{port}/", []

    def rebinding(host, _port):
        asked.append(host)
        return inside

    with Dispatcher(
        MemoryStore(), targets=TargetPolicy(resolver=rebinding), ssl_context=receiver.ssl_context
    ) as dispatcher:
        webhook = dispatcher.webhooks.add(Webhook(name="rebinding", endpoints=[url]))
        found = dispatcher.webhooks.check_endpoint(url)
        (attempt,) = dispatcher.webhooks.send_test(webhook.id, product="chat", event_type="x", payload={})

    # One look-up each: what the guard has checked is what is dialled.
    assert asked == ["rebind.example.com"] * 2
    assert (found.good, found.connected, attempt.status_code) == (False, False, None)
    assert found.error == attempt.error
    assert inside[-1] not in repr(found) + repr(attempt)
    assert receiver.requests == []


async def test_checks_are_limited(dispatcher, authenticate, browse, receiver):
    limited = create_console(
        dispatcher, authenticate=authenticate, rates=Rates(checks=Limiter(Rate(burst=1, seconds=600)))
    )
    browser = browse(app=limited)
    assert (await browser.post("/check", {"endpoint_url": receiver.url})).status_code == 200
    answer = await browser.post("/check", {"endpoint_url": receiver.url})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_a_transport_of_the_hosts_own_is_not_looked_through(authenticate, browse):
    with Dispatcher(MemoryStore(), targets=None, transport=httpx.MockTransport(lambda _: httpx.Response(204))) as one:
        webhook = one.webhooks.add(Webhook(name="a", endpoints=["https://example.com/"]), tenant="acme")
        page = await browse(app=create_console(one, authenticate=authenticate)).get(f"/webhooks/{webhook.id}")
        assert "Check connection" not in page.text
        assert not one.webhooks.can_check_endpoints
        with pytest.raises(InvalidArgument):
            await one.webhooks.acheck_endpoint("https://example.com/")
