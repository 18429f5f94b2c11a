"""The guided form: values survive every step and refusal, and nothing needs JavaScript."""

from __future__ import annotations

import base64
import re
import time
from itertools import pairwise

import pytest
from console_browser import CANARY, fields_of, text_of

from unihooks import Condition, DeliveryPolicy, EventSubscription, Webhook, WebhookStatus, sign, verify
from unihooks.testing import Receiver

SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{40,}")


STEP_OF = {"event": "events", "events_text": "events", "conditions": "events", "mapping": "mapping"}
STEP_OF |= {"header_name": "headers", "header_value": "headers", "header_choice": "headers"}
STEPS = ("details", "events", "mapping", "headers", "review")
# A page shows that a header has a value, and that it is kept.
HIDDEN = ("header_value", "header_choice")


async def filled(browser, given: dict):
    """Return the last page of a new draft, after each step was sent the given values that belong to it."""
    answer = await browser.get("/new?fresh=1")
    for step, following in pairwise(STEPS):
        sent = {name: value for name, value in given.items() if STEP_OF.get(name, "details") == step}
        answer = await browser.press(answer, f"step:{following}", sent)
    return answer


def url(receiver: Receiver, path: str = "/hooks", host: str = "crm.example.com") -> str:
    return receiver.url_for(path, host=host)


async def test_webhook_is_added_step_by_step_without_javascript(browser, receiver, dispatcher):
    answer = await browser.get("/new")
    assert "157.175.105.131" in answer.text
    answer = await browser.press(answer, "add-endpoint", {"name": "CRM sync", "description": "Copies"})
    urls = [url(receiver), url(receiver, host="audit.example.com")]
    answer = await browser.press(answer, "next", {"endpoint_url": urls})
    answer = await browser.press(answer, "next", {"event": ["whatsapp message.received"]})
    answer = await browser.press(answer, "remove:sender.name")
    answer = await browser.press(answer, "rename:content.text", {"to:content.text": "body"})
    assert '"body": "Hi"' in text_of(answer)
    answer = await browser.press(answer, "next")
    answer = await browser.press(answer, "add-header")
    answer = await browser.press(answer, "next", {"header_name": "Authorization", "header_value": CANARY})
    assert CANARY not in text_of(answer)
    answer = await browser.press(answer, "save")
    (webhook,) = dispatcher.webhooks.list(tenant="acme")
    assert (webhook.name, webhook.description, webhook.status) == ("CRM sync", "Copies", WebhookStatus.INACTIVE)
    assert [one.url for one in webhook.endpoints] == urls
    assert webhook.subscriptions == (EventSubscription("whatsapp", "message.received"),)
    assert (webhook.mapping.remove, dict(webhook.mapping.rename)) == (("sender.name",), {"content.text": "body"})
    assert webhook.headers.revealed() == [("Authorization", CANARY)]
    assert webhook.secrets[0].reveal() in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "157.175.105.131" in answer.text
    assert answer.url.path == f"/webhooks/{webhook.id}/ready"
    answer = await browser.get(f"/webhooks/{webhook.id}/secret")
    assert all(language in answer.text for language in ("Python", "Node.js", "Go", "PHP", "Ruby"))


async def test_every_value_survives_going_back_and_forth(browser, receiver, dispatcher):
    given = {
        "name": "N\u00e4me <b>",
        "description": "two\nlines",
        "endpoint_url": url(receiver),
        "ordered": "yes",
        "event": ["whatsapp message.received", "whatsapp message.read"],
        "mapping": "remove a.b\nnonsense here",
        "header_name": "X-Key",
        "header_value": "v 1",
        "header_choice": "new",
    }
    answer = await filled(browser, given)
    for go in ("back", "back", "step:review", "step:details", "add-endpoint", "drop-endpoint:1", "step:events"):
        answer = await browser.press(answer, go)
    for step in ("details", "events", "payload", "headers"):
        answer = await browser.get(f"/new/{answer.url.path.split('/')[2]}/{step}")
        fields = fields_of(answer)
        for name, value in given.items():
            values = [value] if isinstance(value, str) else value
            if STEP_OF.get(name, "details").replace("mapping", "payload") == step and name not in HIDDEN:
                assert set(values) <= {found for field, found in fields if field == name}, name
    assert ("header_name", "X-Key") in fields
    assert "v 1" not in answer.text
    answer = await browser.press(answer, "step:mapping")
    await browser.press(await browser.press(answer, "step:review", {"mapping": ""}), "save")
    (added,) = dispatcher.webhooks.list(tenant="acme")
    assert (added.name, added.headers.revealed()) == ("N\u00e4me <b>", [("X-Key", "v 1")])


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"name": ""}, "Enter a name."),
        ({"endpoint_url": "http://example.com/"}, "https"),
        ({"endpoint_url": "https://10.0.0.1/"}, "not"),
        ({"endpoint_url": "https://me:pw@example.com/"}, "password"),
        ({"endpoint_url": ""}, "Enter at least one URL"),
        ({"mapping": "rename a -> b\nfoo"}, "Line 2: write"),
        ({"mapping": "rename a[0] -> b"}, "Only a named property can be renamed."),
        ({"event": "whatsapp gone"}, "There is no event type gone."),
        (
            {"header_name": "Host", "header_value": "x", "header_choice": "new"},
            "The header Host is set with every request or not allowed.",
        ),
        ({"header_name": "X-A", "header_value": "", "header_choice": "new"}, "The value of X-A is not valid."),
    ],
)
async def test_refused_values_stay_in_the_form_with_the_reason(browser, receiver, dispatcher, changes, sentence):
    good = {"name": "CRM", "endpoint_url": url(receiver), "event": ["whatsapp message.received"]}
    given = {**good, **changes}
    answer = await browser.press(await filled(browser, given), "save")
    wrong = STEP_OF.get(next(iter(changes)), "details")
    assert answer.url.path.endswith({"mapping": "payload"}.get(wrong, wrong))
    assert sentence in text_of(answer)
    fields = fields_of(answer)
    stays = {name: value for name, value in given.items() if STEP_OF.get(name, "details") == wrong}
    assert all(
        (name, value) in fields for name, value in stays.items() if isinstance(value, str) and name not in HIDDEN
    )
    assert (await browser.press(answer, "next", stays)).status_code == 422
    assert not dispatcher.webhooks.list(tenant="acme")


async def test_a_value_without_a_name_and_missing_fields_are_reported_as_sentences(browser):
    answer = await browser.press(await browser.get("/new"), "step:headers", {"name": "CRM", "endpoint_url": ""})
    nameless = {"header_name": "", "header_value": "x", "header_choice": "new"}
    assert "Enter the name of the header." in text_of(await browser.press(answer, "next", nameless))
    review = text_of(await browser.get(answer.url.path.replace("headers", "review")))
    assert "Endpoints Missing" in review
    assert "Payload Unchanged" in review


async def test_url_is_checked_while_typing_without_any_look_up(browser):
    answer = await browser.press(await browser.get("/new"), "", {"endpoint_url": "https://192.168.0.1/"})
    assert answer.status_code == 200
    assert re.search(r'id="endpoint-0-check".*?class="problem"', answer.text, re.DOTALL)
    answer = await browser.press(answer, "", {"endpoint_url": "https://no-such-name.example.com/"})
    assert "This URL is well formed" in text_of(answer)


async def test_creation_shows_no_secret_without_permission(browse, receiver, dispatcher):
    browser = browse(permissions="read,write")
    answer = await browser.press(await browser.get("/new"), "save", {"name": "x", "endpoint_url": url(receiver)})
    assert answer.status_code == 200
    assert len(dispatcher.webhooks.list(tenant="acme")) == 1
    assert not SECRET.search(answer.text)


async def test_secret_is_shown_on_reveal_and_rotation_only(browser, browse, webhook, dispatcher):
    secret = webhook.secrets[0].reveal()
    page = f"/webhooks/{webhook.id}/secret"
    assert not SECRET.search((await browser.get(page)).text)
    answer = await browser.post(f"{page}/reveal")
    assert secret in answer.text
    assert answer.headers["cache-control"] == "no-store"
    answer = await browser.post(f"{page}/rotate", {"overlap": "1"})
    fresh, old = dispatcher.webhooks.get(webhook.id, tenant="acme").secrets
    assert fresh.reveal() in answer.text
    assert old.expires_at is not None
    for path in (f"{page}/reveal", f"{page}/rotate"):
        assert (await browse(permissions="read,write,send").post(path)).status_code == 403


async def test_events_are_typed_where_there_is_no_catalog(browse, dispatcher, authenticate, receiver):
    from unihooks.console import create_console

    dispatcher.catalog = None
    browser = browse(app=create_console(dispatcher, authenticate=authenticate))
    given = {"name": "x", "endpoint_url": url(receiver), "events_text": "a b.c\n  a   * \n"}
    answer = await browser.press(await filled(browser, given), "step:events")
    assert ("events_text", "a b.c\na *") in fields_of(answer)


def test_mapping_text_expresses_the_mapping():
    from unihooks import PayloadMapping
    from unihooks.console.draft.mapping_text import read, write

    mapping = PayloadMapping(
        remove=["a.b", "c[*].d", "['line\nbreak']", 'say "x"'],
        rename={"x": "y", "z": " spaced ", "['a -> b']": "c -> d", "q": '"quoted"'},
    )
    again = read(write(mapping))
    assert (again.remove, again.rename) == (mapping.remove, mapping.rename)
    assert write(again) == write(mapping)


async def test_refusal_inside_a_page_is_no_failed_request_for_the_browser(browser):
    answer = await browser.get("/new")
    browser.client.headers["hx-request"] = "true"
    answer = await browser.press(answer, "save")
    assert answer.status_code == 200
    assert "data-refused" in answer.text


async def test_of_a_private_key_only_the_public_part_is_shown(browser, dispatcher, receiver):
    private = "whsk_" + base64.b64encode(bytes(range(32))).decode()
    added = dispatcher.webhooks.add(
        Webhook(name="Ed25519", endpoints=[url(receiver)], secrets=[private]), tenant="acme"
    )
    answer = await browser.post(f"/webhooks/{added.id}/secret/reveal")
    assert private not in answer.text
    public = re.search(r"whpk_[A-Za-z0-9+/=]{44}", answer.text)[0]
    body, now = b"{}", int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign("evt_1", now, body, private),
    }
    assert verify(headers, body, public)
    assert "Ed25519" in text_of(answer)


CONDITIONS = """whatsapp message.received
content.text prefix "Hi"
lines[*].amount ge 100

whatsapp message.received
sender.id in [1, 2]
"""


async def test_conditions_are_written_as_text_and_kept(browser, receiver, dispatcher):
    events = {"event": "whatsapp message.received", "conditions": CONDITIONS}
    answer = await filled(browser, {"name": "CRM sync", "endpoint_url": url(receiver), **events})
    await browser.press(answer, "save")
    (webhook,) = dispatcher.webhooks.list(tenant="acme")
    first, second = webhook.subscriptions
    assert [str(one) for one in first.where] == ['content.text prefix "Hi"', "lines[*].amount ge 100"]
    assert second == EventSubscription("whatsapp", "message.received", [Condition("sender.id", "in", [1, 2])])
    assert "lines[*].amount is at least 100" in text_of(await browser.get(f"/webhooks/{webhook.id}/settings"))
    await browser.press(await browser.get(f"/webhooks/{webhook.id}/settings/events"), "save")
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").subscriptions == webhook.subscriptions


@pytest.mark.parametrize(
    "text,told",
    [
        ("whatsapp message.received\namount is 5", "Line 2: write a path, an operator and a value"),
        ("whatsapp message.received\namount lt true", "takes a number or a text"),
        ("whatsapp message.received\na..b eq 1", "Line 2: a..b cannot be read from ..b on."),
        ("whatsapp", "Begin each paragraph with an event"),
        ("whatsapp message.sent\na eq 1", "whatsapp message.sent has conditions but is not chosen above"),
    ],
)
async def test_conditions_that_cannot_be_read_are_reported_beside_their_text(browser, receiver, dispatcher, text, told):
    page = await browser.press(await browser.get("/new"), "next", {"name": "CRM sync", "endpoint_url": url(receiver)})
    answer = await browser.press(page, "next", {"event": "whatsapp message.received", "conditions": text})
    assert told in text_of(answer)
    assert text.splitlines()[-1] in answer.text.replace("&#34;", '"')
    assert not dispatcher.webhooks.list(tenant="acme")


async def test_a_policy_is_entered_shown_and_kept(browser, receiver, dispatcher):
    policy = {"policy_retry_delays": "10, 60.5", "policy_deadline": "5", "policy_in_flight": "2", "policy_rate": "0.5"}
    answer = await filled(browser, {"name": "CRM sync", "endpoint_url": url(receiver), **policy})
    assert "retry_delays: 10, 60.5" in text_of(answer)
    await browser.press(answer, "save")
    (webhook,) = dispatcher.webhooks.list(tenant="acme")
    assert webhook.policy == DeliveryPolicy(retry_delays=[10, 60.5], deadline=5, in_flight=2, rate=0.5)


@pytest.mark.parametrize(
    "entered, told",
    [
        (("rate", "0"), "Enter a number of at least 0.01."),
        (("rate", "fast"), "Enter a number."),
        (("rate", "10001"), "Enter a number of at most 10000."),
        (("in_flight", "1.5"), "Enter a number."),
        (("deadline", "nan"), "Enter a number of at least 1."),
        (("burst", "5"), "This needs a value for deliveries per second as well."),
        (("retry_delays", "10, soon"), "Enter numbers, such as 10."),
    ],
)
async def test_a_policy_that_cannot_be_read_is_reported_beside_its_field(browser, receiver, dispatcher, entered, told):
    field, text = entered
    fields = {"name": "CRM sync", "endpoint_url": url(receiver), f"policy_{field}": text}
    answer = await browser.press(await browser.get("/new"), "next", fields)
    assert told in text_of(answer)
    assert f'id="policy-{field}-problem"' in answer.text
    assert f'value="{text}"' in answer.text
    assert not dispatcher.webhooks.list(tenant="acme")


async def test_order_is_chosen_shown_and_taken_back(browser, receiver, dispatcher):
    answer = await filled(browser, {"name": "CRM sync", "endpoint_url": url(receiver), "ordered": "yes"})
    assert "In order By subject" in text_of(answer)
    await browser.press(answer, "save")
    (webhook,) = dispatcher.webhooks.list(tenant="acme")
    assert webhook.ordered
