"""The receiver of the testing kit, called with an ordinary client."""

from __future__ import annotations

import builtins
import ssl
import threading
import time

import httpx
import pytest

from unihooks._message.signing import sign
from unihooks.exceptions import VerificationError
from unihooks.testing import Answer, Receiver

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


@pytest.fixture
def client(receiver):
    with httpx.Client(verify=receiver.ssl_context, trust_env=False, timeout=5) as session:
        yield session


def post_in_vain(client, url):
    with pytest.raises(httpx.HTTPError):
        client.post(url)


def test_request_is_recorded_as_it_arrived(receiver, client):
    client.post(receiver.url_for("/a?b=c"), content=b'{"n": 1}', headers=[("X-A", "1"), ("x-a", "2")])
    (request,) = receiver.requests
    assert (request.method, request.path, request.json()) == ("POST", "/a?b=c", {"n": 1})
    assert request.headers["X-a"] == "1, 2"
    assert request.headers.get_list("x-a") == ["1", "2"]
    assert request.received_at.tzinfo is not None


def test_chunked_request_is_read_whole(receiver, client):
    client.post(receiver.url, content=iter([b"ab", b"cd"]))
    assert receiver.requests[0].body == b"abcd"


def test_responses_come_from_the_constructor_then_answer_then_204():
    with Receiver([500]) as receiver, httpx.Client(verify=receiver.ssl_context, trust_env=False) as client:
        receiver.answer(Answer(200, body=b"ok"))
        answers = [client.post(receiver.url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 200, 204]
    assert answers[1].content == b"ok"


def test_path_has_a_script_of_its_own(receiver, client):
    receiver.always(500)
    receiver.on("/b").answer(503, 200)
    statuses = [client.post(receiver.url_for(path)).status_code for path in ["/b", "/b?q", "/b", "/a"]]
    assert statuses == [503, 200, 204, 500]


def test_connection_is_kept_and_counted(receiver, client):
    client.post(receiver.url)
    client.post(receiver.url)
    receiver.answer(Answer(close=True))
    client.post(receiver.url)
    client.post(receiver.url)
    assert [request.connection for request in receiver.requests] == [1, 1, 1, 2]


def test_drop_closes_without_a_response(receiver, client):
    receiver.answer(Answer(drop=True))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(receiver.url)
    assert len(receiver.requests) == 1


def test_raw_response_reaches_the_client(receiver, client):
    receiver.answer(Answer(raw=b"HTTP/1.0 299\r\n\r\n"))
    assert client.post(receiver.url).status_code == 299


def test_delay_holds_the_response_back(receiver, client):
    receiver.answer(Answer(delay=60), Answer(204, delay=0.05))
    with pytest.raises(httpx.ReadTimeout):
        client.post(receiver.url, timeout=0.5)
    assert client.post(receiver.url).status_code == 204


def test_hanging_response_never_comes_and_does_not_block_stop(receiver, client):
    receiver.answer(Answer(hang=True))
    with pytest.raises(httpx.ReadTimeout):
        client.post(receiver.url, timeout=0.2)
    receiver.answer(Answer(hang=True))
    thread = threading.Thread(target=post_in_vain, args=[client, receiver.url])
    thread.start()
    receiver.wait_for(2)
    receiver.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_wait_for_returns_once_enough_have_arrived(receiver, client):
    later = threading.Timer(0.05, client.post, [receiver.url])
    later.start()
    assert len(receiver.wait_for(1)) == 1
    later.join()


def test_wait_for_says_how_many_have_arrived(receiver, client):
    client.post(receiver.url)
    with pytest.raises(TimeoutError, match="1 of 2"):
        receiver.wait_for(2, timeout=0.05)


def test_clear_forgets_the_requests(receiver, client):
    client.post(receiver.url)
    receiver.clear()
    assert receiver.requests == []


def test_only_its_own_authority_is_trusted(receiver):
    with (
        Receiver() as stranger,
        httpx.Client(verify=stranger.ssl_context, trust_env=False) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.post(receiver.url)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "example.com", "a.example.com", "extra.test"])
def test_certificate_covers_the_names(name):
    with Receiver(names=["extra.test"]) as receiver:
        with httpx.Client(verify=receiver.ssl_context, trust_env=False) as client:
            answer = client.post(receiver.url, headers={"host": name}, extensions={"sni_hostname": name})
        assert answer.status_code == 204


def test_port_stays_the_same_after_a_stop(receiver, client):
    url = receiver.url
    client.post(url)
    receiver.stop()
    with pytest.raises(httpx.HTTPError):
        client.post(url)
    receiver.start()
    assert client.post(url).status_code == 204
    assert url == receiver.url == f"https://localhost:{receiver.port}/"


def test_stop_is_harmless_when_stopped():
    receiver = Receiver()
    receiver.stop()
    receiver.start()
    receiver.stop()
    receiver.stop()


def test_client_that_speaks_no_tls_or_no_http_affects_no_other(receiver, client):
    with pytest.raises(httpx.HTTPError):
        client.post(receiver.url.replace("https:", "http:"))
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(httpx.ConnectError), httpx.Client(verify=plain, trust_env=False) as distrustful:
        distrustful.post(receiver.url)
    assert client.post(receiver.url).status_code == 204


async def test_works_inside_an_event_loop():
    async with (
        Receiver() as receiver,
        httpx.AsyncClient(verify=receiver.ssl_context, trust_env=False) as client,
    ):
        await client.post(receiver.url)
        assert len(await receiver.await_for(1)) == 1


def test_targets_let_the_receiver_through(receiver):
    assert receiver.targets.check_url(receiver.url) == receiver.url


def test_names_of_the_certificate_lead_to_it(receiver):
    url = receiver.url_for("x", host="a.example.com")
    assert receiver.targets.check_url(url) == f"https://a.example.com:{receiver.port}/x"
    assert receiver.targets.resolver("a.example.com", receiver.port) == ["127.0.0.1"]
    assert receiver.targets.resolver("localhost", receiver.port) == ["127.0.0.1"]


def test_other_names_are_not_resolved(receiver):
    with pytest.raises(OSError, match="name"):
        receiver.targets.resolver("a.b.example.com", receiver.port)


def test_signature_is_verified_as_a_customer_would(receiver, client):
    now = int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign("evt_1", now, b"{}", [SECRET]),
    }
    client.post(receiver.url, content=b"{}", headers=headers)
    client.post(receiver.url, content=b"[]", headers=headers)
    good, forged = receiver.requests
    good.verify([SECRET])
    with pytest.raises(VerificationError):
        forged.verify([SECRET])


def test_missing_trustme_is_named_with_the_extra(monkeypatch):
    real = builtins.__import__

    def without_trustme(name, *args, **kwargs):
        if name == "trustme":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_trustme)
    with pytest.raises(ImportError, match=r"unihooks\[testing\]"):
        Receiver()
