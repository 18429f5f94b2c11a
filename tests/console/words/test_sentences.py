"""Every error, reason and warning that a viewer may meet is shown in the viewer's language, with its figures."""

from __future__ import annotations

import pickle
import random
import re

import pytest

from unihooks import (
    Catalog,
    Condition,
    DeliveryPolicy,
    Dispatcher,
    Endpoint,
    EventSubscription,
    HeaderSet,
    PayloadMapping,
    TargetPolicy,
    Webhook,
)
from unihooks._base.sentences import Kept, Sentence, recognized, said
from unihooks._message.payload import encode
from unihooks._model.endpoints import normaliser
from unihooks._model.limits import Limits
from unihooks.console.draft.conditions_text import read as read_conditions
from unihooks.console.draft.mapping_text import read as read_mapping
from unihooks.console.words import locale
from unihooks.console.words.explanations import explain_error
from unihooks.console.words.sentence_texts import TEXTS, Plural
from unihooks.console.words.sentences import told
from unihooks.exceptions import InvalidWebhook, TargetRefused, UnihooksError
from unihooks.stores import MemoryStore

CHANCE = random.Random(1)
URL = "https://example.com/"
DEEP: list = []
for _ in range(70):
    DEEP = [DEEP]


@pytest.fixture(autouse=True)
def english_again():
    yield
    locale.use("en")


def check_url(url, **policy):
    return lambda: TargetPolicy(**policy).check_url(url)


def check_any_url(url):
    return lambda: normaliser(None)(url)


def webhook(**changes):
    return lambda: Webhook(**{"name": "CRM", "endpoints": [URL], **changes})


def mapping(**rules):
    return lambda: PayloadMapping(**rules)


def condition(*parts):
    return lambda: Condition(*parts)


def bounds(policy, **limits):
    return lambda: DeliveryPolicy(**policy).check_bounds(Limits(**limits))


def shop(**event) -> Catalog:
    catalog = Catalog()
    catalog.add_product("shop").add_event("order.paid", **event)
    return catalog


def payload(value, schema):
    return lambda: shop(schema=schema).check_payload("shop", "order.paid", value)


REFUSED = {
    "url-missing": webhook(endpoints=[" "]),
    "url-not-https": check_url("http://example.com/"),
    "url-malformed": check_any_url("http://a:b:c"),
    "url-form": check_url("example.com"),
    "url-without-host": check_any_url("ftp://example.com"),
    "url-host": check_url("https:///hooks"),
    "url-user-name": check_url("https://ada@example.com/"),
    "url-characters": check_url("https://example.com/a b"),
    "url-fragment": check_url("https://example.com/#a"),
    "url-too-long": check_url(f"{URL}{'a' * 3000}"),
    "port-refused": check_url("https://example.com:22/"),
    "host-malformed": check_url("https://exa!mple.com/"),
    "host-international": check_url("https://\u0640.example/"),
    "host-in-brackets": check_url("https://[192.0.2.1]/"),
    "host-local": check_url("https://localhost/"),
    "host-private": check_url("https://crm.internal/"),
    "address-denied": check_url("https://8.8.8.8/", deny=["8.0.0.0/8"]),
    "address-not-public": check_url("https://10.0.0.1/"),
    "address-malformed": check_url("https://1.2.3/"),
    "name-missing": webhook(name=" "),
    "text-too-long": webhook(name="x" * 201),
    "text-characters": webhook(description="\0"),
    "endpoints-missing": webhook(endpoints=[]),
    "endpoint-twice": webhook(endpoints=[URL, URL]),
    "product-malformed": lambda: EventSubscription("a b", "*"),
    "event-type-malformed": lambda: EventSubscription("shop", "a b"),
    "product-pattern": lambda: EventSubscription("shop*", "*"),
    "event-type-pattern": lambda: EventSubscription("shop", "*.paid"),
    "product-unknown": lambda: shop().check("zzz", "order.paid"),
    "product-unknown-near": lambda: shop().check("shob", "order.paid"),
    "event-type-unknown": lambda: shop().check("shop", "zzz"),
    "event-type-unknown-near": lambda: shop().check("shop", "order.payd"),
    "event-type-covers-none": lambda: shop().check_subscription("shop", "refund.*"),
    "too-many-conditions": lambda: EventSubscription("shop", "*", [Condition("a", "eq", at) for at in range(21)]),
    "condition-line": lambda: read_conditions("shop *\na..b exists"),
    "operator-unknown": condition("a", "like", 1),
    "value-needless": condition("a", "exists", 1),
    "value-missing": condition("a", "eq"),
    "value-list": condition("a", "in", 1),
    "value-order": condition("a", "lt", None),
    "value-text": condition("a", "prefix", 1),
    "value-kind": condition("a", "eq", []),
    "path-whole": mapping(remove=["$"]),
    "path-too-long": mapping(remove=["a" * 3000]),
    "path-unreadable": mapping(remove=["a..b"]),
    "path-steps": mapping(remove=[".".join("a" * 40)]),
    "too-many-rules": mapping(remove=[f"a{at}" for at in range(101)]),
    "too-many-wildcards": mapping(
        remove=[f"{''.join(CHANCE.choices(['[*]', '.a', '.b'], k=30))}.k{at}".lstrip(".") for at in range(99)]
    ),
    "rename-element": mapping(rename={"a[0]": "b"}),
    "new-name": mapping(rename={"a": ""}),
    "same-property": mapping(rename={"a.b": "c", "[*].b": "d"}),
    "same-new-name": mapping(rename={"a": "c", "b": "c"}),
    "renamed-twice": lambda: read_mapping("rename a -> b\nrename a -> c"),
    "rule-unreadable": lambda: read_mapping("drop a"),
    "arrow-missing": lambda: read_mapping("rename a b"),
    "quotes-open": lambda: read_mapping('remove "a'),
    "header-name": lambda: HeaderSet({"X Y": "a"}),
    "header-twice": lambda: HeaderSet([("X-A", "a"), ("x_a", "b")]),
    "header-reserved": lambda: HeaderSet({"Host": "a"}),
    "header-value": lambda: HeaderSet({"X-A": "\n"}),
    "header-value-kind": lambda: HeaderSet({"X-A": 1}),
    "header-value-too-long": lambda: HeaderSet({"X-A": "a" * 5000}),
    "too-many-headers": lambda: HeaderSet({f"X-{at}": "a" for at in range(21)}),
    "headers-too-long": lambda: HeaderSet({f"X-{at}": "a" * 4000 for at in range(3)}),
    "delay-malformed": lambda: DeliveryPolicy(retry_delays=[-1]),
    "delay-too-long": bounds({"retry_delays": [1e9]}),
    "too-many-delays": bounds({"retry_delays": [1, 1, 1]}, retries=2),
    "number-too-small": lambda: DeliveryPolicy(rate=0),
    "number-too-large": bounds({"rate": 1e9}),
    "in-flight-malformed": lambda: DeliveryPolicy(in_flight=0),
    "burst-without-rate": lambda: DeliveryPolicy(burst=2),
    "payload-too-deep": lambda: encode(DEEP),
    "payload-surrogate": lambda: encode({"a": "\ud800"}),
    "payload-key-surrogate": lambda: encode({"\ud800": 1}),
    "payload-not-finite": lambda: encode([float("nan")]),
    "schema-required": payload({}, {"required": ["id"]}),
    "schema-additional": payload({"a": 1}, {"additionalProperties": False}),
    "schema-dependent": payload({"a": 1}, {"dependentRequired": {"a": ["b"]}}),
    "schema-nothing": payload({}, schema=False),
    "schema-misfit": payload(1, {"type": "object"}),
}


def code_of(provoke) -> str | None:
    with pytest.raises(UnihooksError) as caught:
        provoke()
    return caught.value.code


@pytest.mark.parametrize("code", REFUSED)
def test_a_refusal_is_shown_in_both_languages_by_its_code(code):
    with pytest.raises(UnihooksError) as caught:
        REFUSED[code]()
    error = caught.value
    assert error.code == code
    english = told(error)
    locale.use("ar")
    arabic = told(error)
    assert english[0].isupper() or english.startswith(tuple(map(str, error.figures.values())))
    assert english != arabic
    assert "%(" not in english + arabic
    assert re.search("[\u0621-\u064a]", arabic)


# What these need, a running store or a request, is provoked in other tests of the console.
ELSEWHERE = {
    "endpoint-unknown",
    "too-many-endpoints",
    "too-many-endpoints-in-all",
    "too-many-webhooks",
    "too-many-tests",
    "too-many-jobs",
    "version-old",
    "reason-missing",
    "condition-in-vain",
    "header-own",
    "example-missing",
    "not-pending",
    "erased-before",
    "endpoint-gone",
    "never-rendered",
}


def test_every_text_belongs_to_a_sentence_and_every_kept_sentence_has_one():
    assert set(TEXTS) == {*REFUSED, *ELSEWHERE, *Kept.known}


@pytest.mark.parametrize("sentence", list(Kept.known.values()), ids=lambda sentence: sentence.code)
def test_a_stored_sentence_is_recognized_and_translated(sentence):
    figures = dict.fromkeys(sentence.places, "777")
    given = dict.fromkeys(sentence.places, 777)
    kept = str(sentence(**given)) if figures else str(sentence)
    assert (recognized(kept).code, recognized(kept).figures) == (sentence.code, figures)
    english = told(kept)
    assert english[0].isupper()
    locale.use("ar")
    assert told(kept) != english
    assert re.search("[\u0621-\u064a]", told(kept))


def test_a_sentence_within_a_sentence_is_translated_too():
    kept = "no retry is left after 3 attempts; the last: timed out after 20 s waiting for the response"
    assert told(kept) == (
        "No retry is left after 3 attempts. The last one: timed out after 20 s, waiting for the response"
    )
    assert told("on hold: the endpoint is disabled: TLS certificate has expired") == (
        "On hold: the endpoint is disabled: the TLS certificate has expired"
    )
    assert told("waits until 2026-01-31T12:00:05Z: the endpoint failed once") == (
        "Waits until 2026-01-31 12:00:05 UTC: the endpoint failed once"
    )
    locale.use("ar")
    assert told(kept) == "لم تبقَ محاولات بعد 3 محاولات. والأخيرة: انقضت المهلة بعد 20 ث، في انتظار الرد"


def test_a_reason_of_the_host_stays_as_it_was_written():
    for language in ("en", "ar"):
        locale.use(language)
        assert told("they asked us to") == "they asked us to"
    assert told("on hold: the endpoint is disabled: they asked us to").endswith(": they asked us to")


def test_a_refusal_meant_for_hosts_is_not_translated():
    assert told(InvalidWebhook("ordered must be True or False", name="ordered")) == "ordered must be True or False"


def test_names_and_paths_keep_their_direction_in_arabic():
    with pytest.raises(UnihooksError) as caught:
        PayloadMapping(rename={"a[0]": "b"})
    assert "\u2068" not in told(caught.value)
    locale.use("ar")
    assert "\u2068a[0]\u2069" in told(caught.value)


def test_an_error_keeps_its_text_code_and_figures_when_it_is_pickled():
    with pytest.raises(TargetRefused) as caught:
        TargetPolicy().check_url(f"{URL}{'a' * 3000}")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == "the URL is too long; use at most 2048 characters"
    assert (copy.code, copy.figures) == ("url-too-long", {"most": 2048})


def test_an_error_that_only_a_host_can_cause_has_no_code():
    with pytest.raises(InvalidWebhook) as caught:
        Endpoint(URL, enabled="yes")
    assert (caught.value.code, caught.value.figures) == (None, {})


def test_a_sentence_is_a_plain_text_to_others():
    sentence = said("too-long", "use at most {most}", most=3)
    assert isinstance(sentence, Sentence)
    assert (sentence, repr(sentence), type(str(sentence))) == ("use at most 3", "'use at most 3'", str)


def test_two_sentences_cannot_have_one_code():
    with pytest.raises(ValueError, match="erased"):
        Kept("erased", "another sentence")
    assert recognized("the event was erased").code == "erased"


def test_the_library_is_named_in_no_text():
    for text in TEXTS.values():
        assert "unihooks" not in (text.one + text.many if isinstance(text, Plural) else text).lower()


@pytest.mark.parametrize(
    "code, what",
    [
        ("not-reachable", "The endpoint could not be reached"),
        ("timed-out-waiting", "Your system took too long to respond"),
        ("timed-out-in-handshake", "No encrypted connection"),
        ("certificate-expired", "The certificate of your system was not accepted"),
        ("tls-broke", "No encrypted connection"),
        ("reset-in-headers", "Your system closed the connection"),
        ("headers-too-large", "What came back is not a valid HTTP response"),
        ("too-many-interim", "What came back is not a valid HTTP response"),
        ("transport-failed", "The request could not be completed"),
    ],
)
def test_a_failed_attempt_is_explained_by_its_code(code, what):
    sentence = Kept.known[code]
    assert explain_error(
        str(sentence(**dict.fromkeys(sentence.places, 7)) if sentence.places else sentence)
    ).what.startswith(what)


@pytest.fixture
def dispatcher(receiver):
    limits = Limits(webhooks_per_tenant=2, endpoints_per_webhook=2, endpoints_per_tenant=3, jobs_per_tenant=1)
    with Dispatcher(
        MemoryStore(),
        catalog=shop(schema={"type": "object", "properties": {}, "additionalProperties": False}),
        targets=receiver.targets,
        ssl_context=receiver.ssl_context,
        limits=limits,
        header_prefix="acme",
    ) as dispatcher:
        yield dispatcher


def refusals_of(dispatcher, url):
    """Yield the refusals of a running store, by code."""
    webhooks, log = dispatcher.webhooks, dispatcher.log
    here = {"tenant": "acme"}
    first = webhooks.add(Webhook(name="A", endpoints=[url], status="active"), **here)
    webhooks.update(first.id, subscriptions=[EventSubscription("shop", "*")], **here)
    yield "too-many-endpoints", lambda: webhooks.update(first.id, endpoints=[f"{url}/{at}" for at in range(3)], **here)
    yield "endpoint-unknown", lambda: webhooks.update(first.id, endpoints=[Endpoint(url, id="ep_x")], **here)
    yield "version-old", lambda: webhooks.update(first.id, name="B", version=1, **here)
    yield "header-own", lambda: webhooks.update(first.id, headers={"acme-x": "1"}, **here)
    end = first.endpoints[0].id
    yield "reason-missing", lambda: webhooks.disable_endpoint(first.id, end, reason="", **here)
    yield "example-missing", lambda: webhooks.send_test(first.id, product="shop", event_type="order.paid", **here)
    second = webhooks.add(Webhook(name="B", endpoints=[url]), **here)
    yield "too-many-webhooks", lambda: webhooks.add(Webhook(name="C", endpoints=[url]), **here)
    webhooks.update(first.id, endpoints=[url, f"{url}/2"], **here)
    yield "too-many-endpoints-in-all", lambda: webhooks.update(second.id, endpoints=[url, f"{url}/2"], **here)
    event = dispatcher.emit("shop", "order.paid", {}, **here)
    dispatcher.drain(timeout=20)
    delivery = log.deliveries(event_id=event.id, **here)[0].id
    yield "not-pending", lambda: log.cancel(delivery, **here)
    dispatcher.jobs.replay(webhook_id=first.id, **here)
    yield "too-many-jobs", lambda: dispatcher.jobs.replay(webhook_id=first.id, **here)
    dispatcher.erase(event_ids=[event.id], **here)
    yield "erased-before", lambda: log.replay(delivery, **here)


def test_a_refusal_of_a_store_is_shown_in_both_languages_by_its_code(dispatcher, receiver):
    for code, refuse in refusals_of(dispatcher, receiver.url_for("/hooks", host="crm.example.com")):
        with pytest.raises(UnihooksError) as caught:
            refuse()
        assert caught.value.code == code, caught.value
        english = told(caught.value)
        locale.use("ar")
        assert re.search("[\u0621-\u064a]", told(caught.value)), code
        locale.use("en")
        assert english[0].isupper(), english
        assert "%(" not in english
