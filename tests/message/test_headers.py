"""Custom headers carry a customer's authentication and can change nothing else."""

# ruff: noqa: RUF001 - look-alike characters are what is tested

import copy
import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unihooks._message.headers import HeaderSet
from unihooks._message.secrets import Secret
from unihooks.exceptions import InvalidHeader

CANARY = "c4n4ry-7b1e"


@attrs.frozen
class Holder:
    headers: HeaderSet


def refused(headers):
    with pytest.raises(InvalidHeader) as raised:
        HeaderSet(headers)
    assert CANARY not in f"{raised.value!r} {raised.value.name}"
    return raised.value


def test_names_keep_case_and_order_and_values_are_secrets():
    headers = HeaderSet({"X-Token": "b", "Authorization": "Bearer s3cr3t"})
    assert list(headers) == ["X-Token", "Authorization"]
    assert dict(headers.items())["X-Token"] == Secret("b")
    assert headers.revealed() == [("X-Token", "b"), ("Authorization", "Bearer s3cr3t")]


def test_names_are_looked_up_without_regard_to_case():
    headers = HeaderSet({"X-Token": "b"})
    assert headers["x-token"] == Secret("b")
    assert "X-TOKEN" in headers
    assert headers.get("other") is None


def test_an_empty_set_is_empty():
    assert list(HeaderSet()) == HeaderSet().revealed() == []
    assert HeaderSet() == HeaderSet({})
    assert repr(HeaderSet()) == "HeaderSet()"


def test_secrets_pairs_and_other_sets_are_taken_too():
    headers = HeaderSet([("A", Secret("1")), ("B", "2")])
    assert HeaderSet(headers) == HeaderSet(headers.items()) == headers


def test_equality_regards_names_without_case_or_order_and_values():
    one, other = HeaderSet({"A": "1", "B": "2"}), HeaderSet({"b": "2", "a": "1"})
    assert one == other
    assert hash(one) == hash(other)
    assert one != HeaderSet({"A": "1", "B": "3"})
    assert one != HeaderSet({"A": "1"})
    assert one != {"A": Secret("1"), "B": Secret("2")}


@pytest.mark.parametrize(
    "show",
    [repr, str, "{}".format, attrs.asdict, Holder, dict, pickle.dumps],
)
def test_no_way_of_showing_a_set_shows_a_value(show):
    headers = HeaderSet({"Authorization": CANARY})
    assert CANARY not in str(show(Holder(headers) if show is attrs.asdict else headers))


def test_repr_shows_the_names():
    assert repr(HeaderSet({"A": "1", "X-B": "2"})) == "HeaderSet(A, X-B)"


def test_a_pickled_set_is_redacted_and_a_copied_one_is_not():
    headers = HeaderSet({"A": CANARY})
    assert copy.deepcopy(headers).revealed() == [("A", CANARY)]
    back = pickle.loads(pickle.dumps(headers))
    assert list(back) == ["A"]
    assert back != headers


def test_a_set_cannot_be_changed():
    headers = HeaderSet({"A": "1"})
    with pytest.raises(TypeError):
        headers["A"] = "2"
    with pytest.raises(AttributeError):
        headers.other = 1


# fmt: off
RESERVED = [
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
    "upgrade", "http2-settings", "expect", "proxy-authorization", "proxy-connection", "proxy-x",
    "content-encoding", "accept-encoding", "content-type", "user-agent", "date", "cookie",
    "webhook-id", "webhook-signature", "webhook-timestamp", "webhook-x", "unihooks-event",
    "unihooks-x", "svix-id", "svix-signature", "signature", "signature-input", "content-digest",
    "traceparent", "tracestate", "ce-id", "ce-type", "x-forwarded-for", "x-forwarded-host",
    "x-forwarded-proto", "forwarded", "x-real-ip", "x-amz-date", "x-amz-security-token",
    "x-goog-api-key", "x-goog-meta-a", "sec-fetch-site", "sec-websocket-key", "metadata",
    "metadata-flavor", "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds",
    "x-google-metadata-request",
    # methods, paths and hosts that frameworks use instead of the request's own
    "x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-original-uri",
    "x-original-host", "x-rewrite-url", "x-http-path-override", "x-http-host-override", "x-host-override",
    "script-name", "path-info", "x-middleware-subrequest", "x-accel-redirect", "x-accel-expires", "x-sendfile",
    "x-envoy-original-path", "x-url-scheme", "front-end-https", "x-matched-path",
    # the origin of the request
    "x-forwarded", "x-forward-for", "x-forwarder-for", "forwarded-for", "forwarded-proto", "x-client-ip", "client-ip",
    "x-clientip", "true-client-ip", "cf-connecting-ip", "cf-connecting-ipv6", "cf-ipcountry", "x-cluster-client-ip",
    "fastly-client-ip", "fly-client-ip", "x-originating-ip", "x-remote-ip", "x-remote-addr", "remote-addr",
    "x-azure-clientip", "x-azure-socketip", "x-proxyuser-ip", "x-appengine-user-ip", "do-connecting-ip", "x-ip",
    "x-nf-client-connection-ip", "wl-proxy-client-ip", "x-real-port", "x-amzn-trace-id",
    # the signed-in user and the client certificate
    "remote-user", "x-remote-user", "x-remote-groups", "x-ssl-client-cert", "ssl-client-verify", "x-client-cert",
    "client-cert", "client-cert-chain", "x-client-certificate", "x-tls-client-cert", "x-arr-clientcert",
    "x-auth-request-email", "x-authenticated-user", "x-ms-client-principal", "cf-access-authenticated-user-email",
    "x-webauth-user", "x-amzn-oidc-data", "tailscale-user-login", "x-consumer-username", "x-proxy-user",
    # the connection
    "via", "proxy", "set-cookie", "set-cookie2", "cookie2", "alt-svc", "alt-used", "early-data", "max-forwards",
    "cdn-loop",
]
# fmt: on


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_name_is_refused_in_any_spelling(name):
    for spelling in (name, name.upper(), name.title(), name.replace("-", "_"), name.replace("-", ".")):
        assert refused({spelling: CANARY}).name == spelling


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-API-Key",
        "cf-access-client-id",
        "CF-Access-Client-Secret",
        "Accept",
        "X-Host",
        "Hostname",
        "Tex",
        "Metadata-X",
        "webhook",
        "Webhooks-Token",
        "Section",
        "CF-Access-Client-Id",
        "Fastly-Key",
        "X-Vercel-Protection-Bypass",
        "X-Functions-Key",
        "Ocp-Apim-Subscription-Key",
        "X-Consumer-Key",
        "X-Client-Id",
        "X-Client-Secret",
        "X-Auth-Token",
        "X-Auth-User",
        "X-User",
        "X-Vault-Token",
        "X-Request-Id",
        "X-Correlation-Id",
        "X-Hub-Signature-256",
        "X-Zip",
        "X-Membership",
        "X-Relationship",
        "X-Remotely",
        "Proxied-By",
        "X-Viable",
        "X_Token",
        "!#$%&'*+-.^_`|~09aZ",
        "a" * 128,
    ],
)
def test_every_other_name_is_accepted(name):
    assert HeaderSet({name: "v"}).revealed() == [(name, "v")]


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a b", " a", "a ", "a:", ":authority", "a\r\nb", "a\n", "a\x00", "a\t", "é", "ａ"),
        *("a(b)", "a/b", "a[b]", "a{b}", 'a"b', "a,b", "a;b", "a<b>", "a=b", "a?b", "a@b", "a\\b"),
        *("\ud800", "a\x7f", "K-Token\u212a", "a" * 129),
    ],
)
def test_a_name_that_is_no_token_is_refused(name):
    assert "\n" not in refused({name: CANARY}).message


@pytest.mark.parametrize("name", [f"Authorization: Bearer {CANARY}", f"x{'x' * 140}{CANARY}"])
def test_errors_do_not_repeat_a_pasted_name(name):
    assert refused({name: "v"}).name.endswith("...")


@pytest.mark.parametrize(
    "value",
    ["v", "Bearer s3cr3t", "a\tb  c", "!~", '"quoted", (x)', "=" * 4096],
)
def test_visible_ascii_with_inner_blanks_is_accepted(value):
    assert HeaderSet({"A": value}).revealed() == [("A", value)]
    assert HeaderSet({"A": Secret(value)}).revealed() == [("A", value)]


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "\t", f" {CANARY}", f"{CANARY} ", f"{CANARY}\n", f"{CANARY}\r\nHost: x"),
        *(f"{CANARY}\x00", f"{CANARY}\x7f", f"{CANARY}é", f"\u2028{CANARY}", f"{CANARY}\ud800"),
        *(f"{CANARY}\x1b[0m", f"{CANARY}\x85", CANARY + "x" * 4096),
    ],
)
def test_any_other_value_is_refused_and_not_repeated(value):
    assert refused({"X-Token": value}).name == "X-Token"
    assert refused({"X-Token": Secret(value)}).name == "X-Token"


@pytest.mark.parametrize("value", [None, 5, b"bytes", ["v"], True])
def test_a_value_that_is_not_text_is_refused(value):
    assert refused({"A": value}).name == "A"


@pytest.mark.parametrize("headers", [5, "ab", ["ab", "c"], [("a",)], {5: "v"}, {b"A": "v"}, None])
def test_headers_that_are_no_mapping_of_text_are_refused(headers):
    assert refused(headers).name == "headers"


def test_names_are_unique_with_underscore_read_as_hyphen():
    assert refused({"X-Token": CANARY, "x-token": "2"}).name == "x-token"
    assert refused({"X-Token": CANARY, "X_Token": "2"}).name == "X_Token"


def test_at_most_twenty_headers_and_8_kib_are_accepted():
    assert len(HeaderSet({f"X-{n}": "v" for n in range(20)})) == 20
    assert refused({f"X-{n}": "v" for n in range(21)}).name == "headers"
    full = {"A": "v" * 4095, "B": "v" * 4095}
    assert len(HeaderSet(full)) == 2
    assert refused(full | {"C": "v"}).name == "headers"


@given(st.dictionaries(st.text(), st.text()))
def test_whatever_is_given_is_kept_as_it_is_or_refused(headers):
    try:
        kept = HeaderSet(headers)
    except InvalidHeader:
        return
    assert kept.revealed() == list(headers.items())
