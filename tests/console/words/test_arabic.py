"""No page shows an English word to a reader of Arabic, not even in errors; JSON and code stay left to right."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from html.parser import HTMLParser

import pytest

from unihooks import Catalog, EventSubscription, HeaderSet, PayloadMapping, Webhook
from unihooks._base.sentences import Kept
from unihooks.console import Permission, Viewer, create_console
from unihooks.testing import Answer

# Names of things that are called so in every language, and the button that leads back to English.
KNOWN = re.findall(
    r"\S+",
    """
    English UTC URL HTTP HTTPS TLS JSON API OpenAPI AsyncAPI KiB curl POST Ed25519 whsec Retry After
    HMAC SHA base64 webhook id delivery timestamp signature disable Standard Webhooks Content Length
    Transfer Encoding chunked CR LF xx Gone Authorization Python Node js Go PHP Ruby application com
    example https hooks none CSV p50 p95 p99 ms IPv4 IPv6 PATH NAME remove rename ge amount items
    price odd key Bearer order acme origin null p90
    """,
)
# What the host, its catalog and the customer have named.
DATA = ("shop", "order", "paid", "lines", "sku", "id", "note", "number", "crm")
LATIN = re.compile(r"[A-Za-z]{2,}")
SHOWN = {"title", "aria-label", "placeholder", "alt", "content", "data-copied", "data-done", "label"}
SKIPPED = {"script", "style", "code", "pre", "svg", "textarea"}
VOID = {"meta", "link", "input", "img", "br", "hr", "path", "rect", "circle", "line", "use", "source"}
# Names and figures within a text, ids, event types, and the places in what scripts say.
ISOLATED = re.compile("\u2068[^\u2069]*\u2069|[a-z]+_[0-9A-Z]{26}|[a-z]+[.][a-z_]+|{[a-z]+}")


class Reader(HTMLParser):
    """A parser of what a person reads or hears: texts and attributes, except those marked as left to right."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        is_shown = not self._open or self._open[-1][1]
        is_shown = is_shown and tag not in SKIPPED and given.get("dir") != "ltr" and given.get("lang") in (None, "ar")
        if is_shown and tag != "meta":
            self.found += [value for name, value in attrs if value and (name in SHOWN or name.startswith("data-say"))]
        if tag not in VOID:
            self._open.append((tag, is_shown))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not self._open or self._open[-1][1]:
            self.found.append(data)


def english_in(answer) -> list[str]:
    reader = Reader()
    reader.feed(answer.text)
    return [
        " ".join(text.split()) for text in reader.found if set(LATIN.findall(ISOLATED.sub("", text))) - {*KNOWN, *DATA}
    ]


@pytest.fixture
def catalog() -> Catalog:
    catalog = Catalog()
    shop = catalog.add_product("shop", title="المتجر", description="طلبات متجرك")
    shop.add_event(
        "order.paid",
        title="دُفع طلب",
        description="دفع زبون ثمن طلبه",
        example={"id": 1, "lines": [{"sku": "A-1"}]},
        schema={"type": "object", "required": ["id"], "properties": {"id": {"type": "integer", "description": "رقم"}}},
    )
    catalog.offer_operational_events()
    return catalog


@pytest.fixture
def dispatcher_options():
    return {"operational_events": True}


@pytest.fixture
def console(dispatcher):
    return create_console(dispatcher, authenticate=lambda _: Viewer("acme", "آدا", set(Permission)), title="خطافات")


@pytest.fixture
def reader(browse, console):
    return browse(app=console, **{"accept-language": "ar"})


@pytest.fixture
def webhook(dispatcher, receiver) -> Webhook:
    url = receiver.url_for("/hooks", host="crm.example.com")
    return dispatcher.webhooks.add(
        Webhook(
            name="مزامنة",
            endpoints=[url, f"{url}/2"],
            description="نسخ الطلبات",
            subscriptions=[EventSubscription("shop", "order.*")],
            mapping=PayloadMapping(remove=["note"], rename={"id": "number"}),
            headers=HeaderSet({"Authorization": "Bearer s3cr3t"}),
            status="active",
        ),
        tenant="acme",
    )


@pytest.fixture
def database(dispatcher):
    """Open the file of the store, to write what only time or another version would."""
    with closing(sqlite3.connect(dispatcher.settings.open_store._database.path)) as database:
        yield database


@pytest.fixture
def log(dispatcher, receiver, webhook, database) -> list[str]:
    """Return ids of deliveries: for each sentence that a store keeps, one with that reason, error and warning."""
    sentences = [str(one(**dict.fromkeys(one.places, 7)) if one.places else one) for one in Kept.known.values()]
    receiver.answer(*[Answer(500)] * 500)
    for _ in sentences:
        dispatcher.emit("shop", "order.paid", {"id": 1, "note": "x"}, tenant="acme", subject="order/7")
    dispatcher.drain(timeout=60)
    ids = [one.id for one in dispatcher.log.deliveries(tenant="acme", limit=250)]
    with database:
        for at, (id_, text) in enumerate(zip(ids, sentences, strict=False)):
            state = ("failed", "cancelled", "pending")[at % 3]
            database.execute("UPDATE unihooks_deliveries SET reason = ?, state = ? WHERE id = ?", (text, state, id_))
            database.execute(
                "UPDATE unihooks_attempts SET error = ?, status_code = NULL, warnings = ? WHERE delivery_id = ?",
                (text, json.dumps([text]), id_),
            )
    return ids[: len(sentences)]


async def test_every_failed_delivery_is_explained_in_arabic(reader, log):
    assert len(log) == len(Kept.known)
    for id_ in log:
        assert not english_in(await reader.get(f"/deliveries/{id_}")), id_
    assert not english_in(await reader.get("/deliveries"))


async def test_every_reason_of_a_disabled_endpoint_is_in_arabic(reader, dispatcher, webhook, database):
    dispatcher.webhooks.disable_endpoint(webhook.id, webhook.endpoints[0].id, tenant="acme")
    for sentence in Kept.known.values():
        text = str(sentence(**dict.fromkeys(sentence.places, 7)) if sentence.places else sentence)
        with database:
            database.execute(
                "UPDATE unihooks_endpoints SET disabled_reason = ? WHERE id = ?", (text, webhook.endpoints[0].id)
            )
        assert not english_in(await reader.get(f"/webhooks/{webhook.id}")), sentence.code


async def test_pages_are_in_arabic(reader, dispatcher, receiver, webhook):
    receiver.answer(*[204] * 3, Answer(503), Answer(410), *[Answer(500)] * 500)
    for _ in range(4):
        dispatcher.emit("shop", "order.paid", {"id": 1}, tenant="acme", subject="order/7")
    dispatcher.drain(timeout=30)
    dispatcher.jobs.replay(tenant="acme", webhook_id=webhook.id, state="failed")
    own = f"/webhooks/{webhook.id}"
    sections = ["details", "endpoints", "events", "payload", "headers", "policy"]
    paths = ["/", "/?health=failing", "/?search=zzz", "/deliveries", "/deliveries?search=zzz", "/deliveries/replay"]
    paths += [f"{own}{part}" for part in ("", "/deliveries", "/test", "/settings", "/secret", "/delete", "/ready")]
    paths += [f"{own}/settings/{section}" for section in sections]
    paths += ["/jobs", "/events", "/new", "/nothing", "/webhooks/nothing", "/deliveries/nothing"]
    found = {path: english_in(await reader.get(path)) for path in paths}
    assert not {path: texts for path, texts in found.items() if texts}
    # The operator, who is no customer, is told what to run.
    assert all("`unihooks worker`" in text for text in english_in(await reader.get("/operator")))


@pytest.mark.parametrize(
    "section, fields",
    [
        ("details", {"name": " "}),
        ("details", {"name": "x" * 201, "description": "x" * 2001}),
        ("endpoints", {"endpoint_url": "http://example.com"}),
        ("endpoints", {"endpoint_url": ""}),
        ("payload", {"mapping": "nonsense"}),
        ("payload", {"mapping": "rename a[0] -> b"}),
        ("payload", {"mapping": "rename a -> c\nrename b -> c"}),
        ("policy", {"policy_rate": "0"}),
        ("policy", {"policy_rate": "fast"}),
        ("policy", {"policy_retry_delays": "soon"}),
        ("policy", {"policy_burst": "3"}),
    ],
)
async def test_refusals_of_a_form_are_in_arabic(reader, webhook, section, fields):
    page = await reader.get(f"/webhooks/{webhook.id}/settings/{section}")
    answer = await reader.press(page, "save", fields)
    assert answer.status_code == 422
    assert 'class="problem"' in answer.text or 'class="alert wrong"' in answer.text
    assert not english_in(answer)


@pytest.mark.parametrize("payload", ["{", "{}", "[1]", '{"id": NaN}', '{"id": 1, "a": "\\ud800"}', '{"id": "x"}'])
async def test_the_refusal_of_a_payload_is_in_arabic(reader, webhook, payload):
    fields = {"event": "shop order.paid", "payload": payload, "endpoint": webhook.endpoints[0].id}
    answer = await reader.post(f"/webhooks/{webhook.id}/test", fields)
    assert 'id="payload-problem"' in answer.text
    assert not english_in(answer)


async def test_the_reference_of_the_api_is_in_arabic_except_for_the_apis_own_sentences(reader):
    """The API is in English, so its own sentences are marked as English; everything around them is Arabic."""
    names = {
        "ISO",
        "json",
        "null",
        "RFC",
        "ETag",
        "If",
        "Match",
        "Idempotency",
        "Key",
        "next",
        "cursor",
        "errors",
        *Permission,
    }
    page = await reader.get("/reference")
    chapters = re.findall(r'href="(/reference/[a-z]+)"', page.text)
    assert chapters
    for path in ("/reference", *chapters):
        for text in english_in(await reader.get(path)):
            words = set(LATIN.findall(re.sub(r"\b[a-z]+[A-Z]\w+", "", text)))
            assert words <= {*KNOWN, *DATA, *names}, (path, text)


async def test_each_step_of_a_new_webhook_and_its_refusals_are_in_arabic(reader, dispatcher):
    page = await reader.get("/new")
    own = str(page.url).rpartition("/")[0]
    for step in ("details", "events", "payload", "headers", "review"):
        assert not english_in(await reader.get(f"{own}/{step}")), step
    refused = await reader.press(page, "next", {"name": "", "endpoint_url": "https://10.0.0.1/"})
    assert "هذا العنوان ليس عامًا" in refused.text
    assert not english_in(refused)
    assert not english_in(await reader.get("/"))


async def test_refusals_because_of_a_state_are_in_arabic(reader, dispatcher, receiver, webhook):
    receiver.answer(*[204] * 9)
    dispatcher.emit("shop", "order.paid", {"id": 1}, tenant="acme")
    dispatcher.drain(timeout=30)
    [delivery, *_] = dispatcher.log.deliveries(tenant="acme")
    for path, fields in ((f"/deliveries/{delivery.id}/cancel", {}), ("/webhooks/nothing/activate", {})):
        answer = await reader.post(path, fields)
        assert not english_in(answer), path


async def test_json_and_trees_run_from_left_to_right(reader, webhook):
    for section in ("payload", "events"):
        page = (await reader.get(f"/webhooks/{webhook.id}/settings/{section}")).text
        for tag in re.findall(r"<pre[^>]*>", page):
            assert 'dir="ltr"' in tag
    payload = (await reader.get(f"/webhooks/{webhook.id}/settings/payload")).text
    assert re.search(r'<ul class="tree"[^>]*dir="ltr"', payload)


async def test_the_test_receiver_and_the_operators_pages_are_in_arabic(reader, dispatcher, receiver, webhook):
    receiver.answer(204, *[Answer(500)] * 9)
    dispatcher.emit("shop", "order.paid", {"id": 1}, tenant="acme")
    dispatcher.drain(timeout=30)
    draft = str((await reader.get("/new")).url).split("/new/")[1].split("/")[0]
    page = await reader.get(f"/new/{draft}/receiver")
    found = re.search(r"(/receive/[A-Za-z0-9_-]+)", page.text)
    assert found, page.text
    await reader.client.post(found[1], json={"id": 1})
    for path in (
        f"/new/{draft}/receiver",
        "/operator",
        "/operator/tenant?name=acme",
        f"/webhooks/{webhook.id}/ready",
    ):
        answer = await reader.get(path)
        assert answer.status_code == 200, path
        assert all("`unihooks worker`" in text for text in english_in(answer)), (path, english_in(answer))
