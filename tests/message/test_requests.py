from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from unihooks import HeaderSet, Secret, verify
from unihooks._base.times import to_us
from unihooks._message.requests import USER_AGENT, Destination, Message, Route, build_request, prepare
from unihooks.exceptions import VerificationError

NOW = datetime(2026, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)
SECRET = "whsec_" + "Q" * 43 + "="
OLD = "whsec_" + "R" * 43 + "="


def destination(**changes):
    fields = {
        "endpoint_id": "ep_1",
        "webhook_id": "wh_1",
        "tenant": "acme",
        "url": "https://example.com:8443/in?a=1",
        "headers": HeaderSet({"Authorization": "Bearer s3cr3t"}),
        "secrets": (Secret(SECRET),),
        "open": True,
        "config_version": 1,
    }
    return Destination(**{**fields, **changes})


def built(deadline=5.0, **changes):
    message = Message("evt_1", "chat", "message.received", b'{"a":1}')
    return build_request(prepare(destination(**changes), to_us(NOW)), message, now=to_us(NOW), deadline=deadline)


def test_a_request_has_the_promised_headers_in_order():
    request = built()
    assert request.method == "POST"
    assert str(request.url) == "https://example.com:8443/in?a=1"
    assert request.read() == b'{"a":1}'
    headers = {name: value for name, value in request.headers.items() if name != "webhook-signature"}
    assert headers == {
        "host": "example.com:8443",
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "content-length": "7",
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "unihooks-product": "chat",
        "unihooks-event": "message.received",
        "unihooks-webhook": "wh_1",
        "authorization": "Bearer s3cr3t",
    }
    assert list(request.headers)[-1] == "authorization"


async def test_a_transport_of_the_hosts_may_read_the_body_in_any_way():
    for read in (lambda it: it.content, lambda it: it.read(), lambda it: b"".join(it.stream)):
        assert read(built()) == b'{"a":1}'
    request = built()
    assert await request.aread() == request.content == b'{"a":1}'


def test_a_request_verifies():
    request = built()
    assert verify(request.headers, request.read(), SECRET, tolerance=10**10).id == "evt_1"


def test_endpoint_and_deadline_travel_with_the_request():
    request = built(deadline=7.5)
    assert request.extensions["unihooks"] == {"endpoint_id": "ep_1", "deadline": 7.5}


def test_the_log_shows_the_headers_that_were_sent_without_secrets():
    request = built()
    logged = {name.lower(): value for name, value in json.loads(request.shown())}
    assert logged.pop("authorization") == "***"
    sent = dict(request.headers)
    del sent["authorization"]
    assert logged == sent


def test_only_secrets_that_are_valid_now_sign():
    secrets = (Secret(SECRET), Secret(OLD, expires_at=NOW), Secret(OLD, expires_at=NOW - timedelta(days=1)))
    request = built(secrets=secrets)
    with pytest.raises(VerificationError):
        verify(request.headers, request.read(), OLD, tolerance=10**10)


def test_a_prepared_destination_expires_with_its_first_secret():
    later, soon = NOW + timedelta(hours=2), NOW + timedelta(hours=1)
    secrets = (Secret(SECRET), Secret(OLD, expires_at=later), Secret(OLD, expires_at=soon))
    assert prepare(destination(secrets=secrets), to_us(NOW)).expires_at == to_us(soon)
    assert prepare(destination(), to_us(NOW)).expires_at is None


def test_a_prepared_destination_shows_no_secret():
    prepared = prepare(destination(), to_us(NOW))
    assert "s3cr3t" not in repr(prepared)
    assert "QQQQ" not in repr(prepared)


def test_responses_are_shown_without_the_values_of_custom_headers():
    prepared = prepare(destination(), to_us(NOW))
    assert prepared.hidden.redacted(b"you sent Bearer s3cr3t") == b"you sent ***"
    assert prepared.hidden.redacted_headers([(b"x-s3cr3t", b"is s3cr3t")], 1024) == [(b"x-***", b"is ***")]
    plain = prepare(destination(headers=HeaderSet()), to_us(NOW))
    assert plain.hidden.redacted_headers([(b"x-a", b"b")], 1024) == [(b"x-a", b"b")]


def test_a_request_has_every_attribute_that_httpx_sets_on_its_own():
    own = httpx.Request("POST", "https://example.com/", content=b"{}", extensions={"unihooks": {}})
    request = built()
    for name in vars(own).keys() - {"_content"}:  # ours is the property `content`
        assert getattr(request, name)


@pytest.mark.parametrize("host", ["example.com", "a_b.x-1.example.co", "xn--bcher-kva.example", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":443", ":80", ":8443"])
@pytest.mark.parametrize("path", ["/", "/in?a=1&b=%20/..", "/a.b/.c/..d?", "/a/../b", "/%zz%2f{}|^`", "/a?x'y", "/é"])
def test_a_url_that_need_not_be_parsed_is_sent_as_httpx_sends_it(host, port, path):
    for scheme in ("https", "http"):
        url = httpx.URL(f"{scheme}://{host}{port}{path}")
        request = built(url=f"{scheme}://{host}{port}{path}")
        assert request.url == url
        assert request.prepared.address == str(url)
        assert request.prepared.route == Route.to(url, "ep_1")
        assert request.head.startswith(b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (url.raw_path, url.netloc))
