"""The command `demo`: one real webhook, from `emit` to two receivers."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import Factory, define, field, frozen

from unihooks._dispatcher import Dispatcher
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.signing import verify
from unihooks._model.catalog import Catalog
from unihooks._model.log import Attempt, Delivery, Event
from unihooks._model.products import EventType
from unihooks._model.retries import RetryPolicy
from unihooks._model.webhooks import EventSubscription, Webhook
from unihooks.cli._options import json_option
from unihooks.cli._values import attempt_value, delivery_value, plain_value, webhook_value, write_json
from unihooks.cli.demo.story import Story
from unihooks.exceptions import VerificationError
from unihooks.stores import SQLiteStore

if TYPE_CHECKING:
    from unihooks.testing import ReceivedRequest, Receiver

TENANT = "acme"
FIRST_RETRY = 0.6
_CRM, _AUDIT = "/hooks", "/in"
_REQUESTS = 3
_PATIENCE = 10.0


@frozen(kw_only=True)
class Arrival:
    """A request as its receiver saw it: `verified` if the signature was valid, `intact` if the content was correct."""

    request: ReceivedRequest
    verified: bool
    intact: bool


@define(kw_only=True)
class Outcome:
    """The demo's observations so far."""

    webhook: Webhook
    event: Event
    arrivals: list[Arrival] = Factory(list)
    deliveries: list[Delivery] = Factory(list)
    attempts: list[Attempt] = Factory(list)
    forgery_refused: bool = False
    started: float = field(factory=time.monotonic)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Return whether everything arrived as it should, and was verified."""
        return (
            len(self.arrivals) == len(self.attempts) == _REQUESTS
            and all(one.verified and one.intact for one in self.arrivals)
            and [delivery.state.value for delivery in self.deliveries] == ["delivered"] * len(self.webhook.endpoints)
            and self.forgery_refused
        )


@click.command()
@click.option("--serve", is_flag=True, help="Serve the console on the demo's data afterwards, until Ctrl-C.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="The port of the console; by default any free port."
)
@json_option
@click.pass_context
def demo(ctx: click.Context, *, serve: bool, port: int, as_json: bool) -> None:
    """Show a webhook from `emit` to receipt.

    A WhatsApp message is mapped, signed, sent to two endpoints and verified
    there.

    Everything is real and stays on this machine: an SQLite file in a temporary
    folder, HTTPS with verified certificates, an endpoint that fails once, and
    a retry. The exit code is 0 only if everything worked.
    """
    story = Story(silent=as_json)
    with _receiver() as receiver, tempfile.TemporaryDirectory(prefix="unihooks-demo-") as folder:
        path = Path(folder) / "webhooks.db"
        outcome = run_demo(receiver, path, story)
        if as_json:
            write_json(_value(outcome))
        story.end(ok=outcome.ok, seconds=outcome.seconds)
        if serve:
            _serve(receiver, path, port)
    ctx.exit(0 if outcome.ok else 1)


def _serve(receiver: Receiver, path: Path, port: int) -> None:
    """Serve the console on the demo's data, with a new event every few seconds."""
    from unihooks.cli.demo.serving import serve_console

    message = _message_received()
    receiver.on(_AUDIT).always(503)
    with _dispatcher(receiver, path, message.catalog) as dispatcher, dispatcher.running():
        serve_console(
            dispatcher,
            tenant=TENANT,
            port=port,
            emit=lambda: dispatcher.emit("whatsapp", message.event.name, message.event.example, tenant=TENANT),
        )


def run_demo(receiver: Receiver, path: Path, story: Story) -> Outcome:
    """Play host, customer and worker against a started receiver, with the store at `path`."""
    message = _message_received()
    # The second endpoint fails at first, so that the demo shows a retry.
    receiver.on(_AUDIT).answer(503)
    with _dispatcher(receiver, path, message.catalog) as dispatcher:
        webhook = _registered(dispatcher, receiver)
        story.registered(webhook, path)
        event = dispatcher.emit("whatsapp", message.event.name, message.event.example, tenant=TENANT)
        outcome = Outcome(webhook=webhook, event=event)
        story.emitted(event)
        story.mapped(event.payload, webhook.mapping.preview(event.payload).result)
        with dispatcher.running():
            _deliver(dispatcher, receiver, outcome, story)
        _read_log(dispatcher, outcome)
        story.log(outcome.event, outcome.deliveries, outcome.attempts)
    outcome.seconds = time.monotonic() - outcome.started
    return outcome


def _dispatcher(receiver: Receiver, path: Path, catalog: Catalog) -> Dispatcher:
    return Dispatcher(
        SQLiteStore(path),
        catalog=catalog,
        targets=receiver.targets,
        ssl_context=receiver.ssl_context,
        retries=RetryPolicy.from_delays([FIRST_RETRY, 2 * FIRST_RETRY], jitter=0),
        egress_ips=["127.0.0.1"],
    )


@frozen
class _Message:
    catalog: Catalog
    event: EventType


def _message_received() -> _Message:
    """Return the demo's catalog, and the event type of a received WhatsApp message."""
    catalog = Catalog()
    listed = json.loads((files("unihooks.cli.demo") / "catalog.json").read_text(encoding="utf-8"))
    for product in listed["products"]:
        added = catalog.add_product(product["name"], title=product["title"])
        for event in product["events"]:
            added.add_event(event["name"], title=event["title"], example=event["example"])
    return _Message(catalog, catalog["whatsapp"]["message.received"])


def _receiver() -> Receiver:
    try:
        from unihooks.testing import Receiver

        return Receiver()
    except ImportError as error:
        sentence = "the demo needs an extra to receive over HTTPS; install it with: pip install 'unihooks[cli,testing]'"
        raise click.ClickException(sentence) from error


def _registered(dispatcher: Dispatcher, receiver: Receiver) -> Webhook:
    webhook = Webhook(
        name="CRM sync",
        endpoints=[
            receiver.url_for(_CRM, host="crm.example.com"),
            receiver.url_for(_AUDIT, host="audit.example.com"),
        ],
        subscriptions=[EventSubscription("whatsapp", "message.received")],
        mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
        headers=HeaderSet({"Authorization": "Bearer demo-only"}),
    )
    added = dispatcher.webhooks.add(webhook, tenant=TENANT)
    return dispatcher.webhooks.activate(added.id, tenant=TENANT)


def _deliver(dispatcher: Dispatcher, receiver: Receiver, outcome: Outcome, story: Story) -> None:
    """Wait for the requests, check each as its receiver would, and wait until nothing is pending."""
    story.working()
    for count in range(1, _REQUESTS + 1):
        try:
            request = receiver.wait_for(count, timeout=_PATIENCE)[count - 1]
        except TimeoutError:
            break
        arrival = _checked(request, outcome)
        outcome.arrivals.append(arrival)
        story.arrived(request, verified=arrival.verified and arrival.intact, seconds=time.monotonic() - outcome.started)
        if count == len(outcome.webhook.endpoints):
            story.failed_once(_wait(lambda: _tried(dispatcher, outcome.webhook.endpoints[1].id)))
    _wait(lambda: not list(dispatcher.log.deliveries(tenant=TENANT, state="pending")))
    if outcome.arrivals:
        outcome.forgery_refused = _refuses_forgery(outcome.arrivals[0].request, outcome.webhook)
        story.forged(refused=outcome.forgery_refused)


def _checked(request: ReceivedRequest, outcome: Outcome) -> Arrival:
    expected = outcome.webhook.mapping.preview(outcome.event.payload).result
    try:
        message = verify(request.headers, request.body, outcome.webhook.secrets)
    except VerificationError:
        return Arrival(request=request, verified=False, intact=False)
    intact = (
        message.id == outcome.event.id
        and request.json() == expected
        and request.headers.get("authorization") == "Bearer demo-only"
        and request.body == (outcome.arrivals or [Arrival(request=request, verified=True, intact=True)])[0].request.body
    )
    return Arrival(request=request, verified=True, intact=intact)


def _refuses_forgery(request: ReceivedRequest, webhook: Webhook) -> bool:
    try:
        verify(request.headers, request.body.replace(b"Hello", b"Pay me"), webhook.secrets)
    except VerificationError:
        return True
    return False


def _tried(dispatcher: Dispatcher, endpoint_id: str) -> Delivery | None:
    """Return the delivery of an endpoint once the log has an attempt of it."""
    (delivery,) = dispatcher.log.deliveries(tenant=TENANT, endpoint_id=endpoint_id)
    return delivery if delivery.attempt_count else None


def _wait(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def _read_log(dispatcher: Dispatcher, outcome: Outcome) -> None:
    outcome.deliveries = list(dispatcher.log.deliveries(tenant=TENANT, event_id=outcome.event.id))
    outcome.attempts = [
        attempt for one in outcome.deliveries for attempt in dispatcher.log.attempts(one.id, tenant=TENANT)
    ]
    outcome.attempts.sort(key=lambda attempt: attempt.started_at)


def _value(outcome: Outcome) -> dict[str, Any]:
    return {
        "ok": outcome.ok,
        "seconds": round(outcome.seconds, 3),
        "webhook": webhook_value(outcome.webhook),
        "event": plain_value(outcome.event),
        "requests": [
            {
                "path": one.request.path,
                "received_at": one.request.received_at.isoformat(),
                "headers": sorted(one.request.headers),
                "body": one.request.json(),
                "verified": one.verified,
                "intact": one.intact,
            }
            for one in outcome.arrivals
        ],
        "forgery_refused": outcome.forgery_refused,
        "deliveries": [delivery_value(delivery) for delivery in outcome.deliveries],
        "attempts": [attempt_value(attempt) for attempt in outcome.attempts],
    }
