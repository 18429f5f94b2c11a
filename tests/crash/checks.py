"""Compare what was emitted, what the log says and what the receiver got; find every contradiction."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from attrs import asdict, define, field
from processes import Blow
from roles import DEADLINE, ENDPOINTS, LIMITED, MAPPED, ORDERED, Scene, payload_of, subject_of

from unihooks import Dispatcher, Webhook
from unihooks._model.log import Attempt, Delivery, Event
from unihooks.testing._requests import ReceivedRequest

# In seconds: a response takes at most this long, and its result is recorded within 50 ms. A busy
# machine may need more, for the commit itself and for its other work.
SLOWEST_ANSWER = 0.06
RECORDING = 0.05
MACHINE = 2.5
# A request arrives this many seconds after its timestamp at most; a timestamp has whole seconds.
LATEST = 1 + DEADLINE + MACHINE
_NEARLY = 0.95
_LATE_SHARE = 0.01


@define(kw_only=True)
class Figures:
    """The counts of one or more scenes."""

    events: int = 0
    deliveries: int = 0
    requests: int = 0
    lost: int = 0
    out_of_order: int = 0
    duplicates: int = 0
    responses_lost: int = 0
    most_duplicates_of_one_kill: int = 0
    oldest_duplicate_ms: int = 0
    refused_emits: int = 0
    kills: int = 0
    freezes: int = 0
    restarts: int = 0
    cuts: int = 0
    taken_over: int = 0
    caught_in_the_write: int = 0
    problems: list[str] = field(factory=list)

    def add(self, other: Figures) -> None:
        """Add the figures of another scene."""
        for name, value in asdict(other).items():
            mine = getattr(self, name)
            setattr(self, name, max(mine, value) if name.startswith(("most", "oldest")) else mine + value)


@define
class Chain:
    """A delivery with its attempts, oldest first, and the requests that arrived for it."""

    delivery: Delivery
    attempts: list[Attempt]
    requests: list[ReceivedRequest]

    def unrecorded(self) -> list[ReceivedRequest]:
        """Return the requests without an attempt in the log."""
        known = [request for _, request in self.arrived()]
        return [request for request in self.requests if request not in known]

    def arrived(self) -> Iterator[tuple[Attempt, ReceivedRequest]]:
        """Find the attempts of the log that arrived, each with its request."""
        left = list(self.requests)
        for attempt in self.attempts:
            request = _request_of(attempt, left)
            if request is not None:
                left.remove(request)
                yield attempt, request


def judge(
    scene: Scene,
    dispatcher: Dispatcher,
    webhooks: Sequence[Webhook],
    requests: Sequence[ReceivedRequest],
    blows: Sequence[Blow],
) -> Figures:
    """Return the figures of a settled scene, with a sentence for each broken promise."""
    journal = Journal.read(scene)
    events = list(_every(lambda cursor: dispatcher.log.events(limit=250, cursor=cursor)))
    deliveries = list(_every(lambda cursor: dispatcher.log.deliveries(limit=250, cursor=cursor)))
    chains = _chains(dispatcher, scene, webhooks, deliveries, requests)
    figures = Figures(
        events=len(events),
        deliveries=len(deliveries),
        requests=len(requests),
        refused_emits=journal.refused,
        kills=sum(blow.kind == "kill" for blow in blows),
        freezes=sum(blow.kind == "freeze" for blow in blows),
    )
    lost = set(_lost(journal, chains))
    figures.lost = len(lost)
    figures.problems += [f"lost: {one}" for one in lost]
    figures.problems += _wrong_events(scene, journal, events, deliveries)
    figures.problems += _wrong_requests(scene, webhooks, events, requests)
    caught = _caught_in_the_write(requests, blows)
    out_of_order = list(_out_of_order(scene, journal, [one for one in requests if one not in caught]))
    figures.out_of_order = len(out_of_order)
    figures.problems += out_of_order
    figures.caught_in_the_write = len(caught)
    figures.problems += [
        f"{request.headers['webhook-id']} was sent by {_worker(request)} {_age(request):.1f} s after its timestamp"
        for request in requests
        if _age(request) > LATEST and request not in caught
    ]
    for chain in chains:
        chain.requests = [request for request in chain.requests if request not in caught] or chain.requests
        figures.problems += _wrong_log(chain)
        figures.taken_over += _is_taken_over(chain, blows)
    _count_duplicates(figures, chains, blows)
    _count_lost_responses(figures, chains, [blow for blow in blows if blow.kind == "cut"])
    return figures


@define
class Journal:
    """The notes of the emitters: nonces tried, those emitted in the host's own transaction, ids acknowledged."""

    tried: set[str] = field(factory=set)
    joined: set[str] = field(factory=set)
    acknowledged: dict[str, str] = field(factory=dict)
    refused: int = 0

    @classmethod
    def read(cls, scene: Scene) -> Journal:
        """Read the file of a scene."""
        journal = cls()
        for line in Path(scene.journal).read_text().splitlines():
            word, nonce, *rest = line.split(" ")
            if word == "ok":
                journal.acknowledged[nonce] = rest[0]
            elif word == "refused":
                journal.refused += 1
            else:
                journal.tried.add(nonce)
                if word == "join":
                    journal.joined.add(nonce)
        return journal


# What must hold.


def _lost(journal: Journal, chains: Iterable[Chain]) -> Iterator[str]:
    """Find the acknowledged events that did not reach every endpoint."""
    reached: dict[str, set[str]] = defaultdict(set)
    for chain in chains:
        if chain.delivery.state == "delivered" and chain.requests:
            reached[chain.delivery.event_id].add(chain.delivery.endpoint_id)
    for nonce, event_id in journal.acknowledged.items():
        if len(reached[event_id]) != ENDPOINTS:
            yield f"{nonce} {event_id} reached {len(reached[event_id])} of {ENDPOINTS} endpoints"


def _wrong_events(
    scene: Scene, journal: Journal, events: Sequence[Event], deliveries: Sequence[Delivery]
) -> Iterator[str]:
    stored = {event.payload["nonce"]: event.id for event in events}
    if len(stored) != len(events):
        yield "an event is stored twice"
    yield from (f"{nonce} was never emitted" for nonce in stored.keys() - journal.tried)
    for nonce, event_id in journal.acknowledged.items():
        if stored.get(nonce) != event_id:
            yield f"{nonce} was acknowledged as {event_id} and is stored as {stored.get(nonce)}"
    for nonce in scene.place.orders() ^ (stored.keys() & journal.joined):
        yield f"{nonce} is a row of the host or an event, not both"
    if len(deliveries) != len(events) * ENDPOINTS:
        yield f"{len(events)} events have {len(deliveries)} deliveries"
    yield from (f"delivery {one.id} is {one.state}: {one.reason}" for one in deliveries if one.state != "delivered")


def _wrong_requests(
    scene: Scene, webhooks: Sequence[Webhook], events: Sequence[Event], requests: Sequence[ReceivedRequest]
) -> Iterator[str]:
    payloads = {event.id: event.payload for event in events}
    plain, mapped, ordered, limited = webhooks
    senders = {scene.path(MAPPED): mapped, scene.path(ORDERED): ordered, scene.path(LIMITED): limited}
    for request in requests:
        event_id, is_mapped = request.headers["webhook-id"], request.path == scene.path(MAPPED)
        request.verify(senders.get(request.path, plain).secrets, tolerance=86_400)
        payload = payloads.get(event_id)
        if payload is None:
            yield f"{event_id} was delivered but never emitted"
        elif payload != payload_of(payload["nonce"]) or request.json() != _on_the_wire(payload, is_mapped=is_mapped):
            yield f"{event_id} arrived with another payload: {request.body!r}"


def _out_of_order(scene: Scene, journal: Journal, requests: Iterable[ReceivedRequest]) -> Iterator[str]:
    """Find requests of an ordered webhook that came after one of a later event of their subject."""
    last: dict[str, int] = {}
    for request in requests:
        nonce = request.json()["nonce"] if request.path == scene.path(ORDERED) else ""
        # When an event was stored whose emit was refused, nobody knows.
        if nonce in journal.acknowledged:
            subject, number = subject_of(nonce), int(nonce.rpartition(".")[2])
            if number < last.get(subject, -1):
                yield f"out of order: {nonce} arrived after number {last[subject]}"
            last[subject] = max(number, last.get(subject, -1))
            if request.headers["unihooks-subject"] != subject:
                yield f"{nonce} arrived with the subject {request.headers['unihooks-subject']}"


def _wrong_log(chain: Chain) -> Iterator[str]:
    """Find attempts without a request, requests after the recorded success, and results recorded too late."""
    name = f"delivery {chain.delivery.id}"
    left = list(chain.requests)
    last = None
    for attempt in chain.attempts:
        last = _request_of(attempt, left)
        if last is not None:
            left.remove(last)
        elif attempt.status_code is not None:
            yield f"{name}: attempt {attempt.number} is in the log but never arrived"
    if [attempt.number for attempt in chain.attempts] != list(range(1, chain.delivery.attempt_count + 1)):
        yield f"{name}: the log's attempts are not numbered 1 to {chain.delivery.attempt_count}"
    if [attempt.status_code for attempt in chain.attempts].count(204) != 1 or last is None:
        yield f"{name}: the log does not hold one success, at the end"
    if last is not None and chain.requests[-1] is not last:
        yield f"{name}: sent again by {_worker(chain.requests[-1])} after {_worker(last)} had recorded it as delivered"


def _caught_in_the_write(requests: Iterable[ReceivedRequest], blows: Iterable[Blow]) -> list[ReceivedRequest]:
    """Return requests that were sent too late, at most one for each frozen worker.

    It may have been frozen between its last look at the clock and the system call that sends,
    which is a matter of microseconds, but no program can close that gap.
    """
    frozen = {blow.name for blow in blows if blow.kind == "freeze"}
    late = {_worker(request): request for request in requests if _age(request) > LATEST}
    return [request for name, request in late.items() if name in frozen]


def _count_duplicates(figures: Figures, chains: Sequence[Chain], blows: Sequence[Blow]) -> None:
    """Count the requests without an attempt; each was in flight or not yet recorded at a blow."""
    per_blow: dict[Blow, int] = defaultdict(int)
    for chain in chains:
        for request in chain.unrecorded():
            figures.duplicates += 1
            at = request.received_at.timestamp()
            age, blow = min(_ages(request, at, blows), key=itemgetter(0), default=(float("inf"), None))
            if blow is None or age > SLOWEST_ANSWER + RECORDING + MACHINE:
                figures.problems.append(
                    f"delivery {chain.delivery.id}: a request of {_worker(request)} was neither recorded "
                    f"nor within reach of a blow ({age:.3f} s)"
                )
                continue
            if blow.kind != "outage":
                per_blow[blow] += 1
            figures.oldest_duplicate_ms = max(figures.oldest_duplicate_ms, round(age * 1000))
    figures.most_duplicates_of_one_kill = max(per_blow.values(), default=0)


def _count_lost_responses(figures: Figures, chains: Sequence[Chain], cuts: Sequence[Blow]) -> None:
    """Count requests that arrived but are in the log as failed; if there were cuts, each was under way at one.

    On a busy machine a few responses come after the deadline.
    """
    late = 0
    for chain in chains:
        for attempt, request in chain.arrived():
            if attempt.status_code is None:
                figures.responses_lost += 1
                if not cuts or any(_loses_response(cut, request) for cut in cuts):
                    continue
                if attempt.duration_ms >= DEADLINE * 1000 * _NEARLY:
                    late += 1
                else:
                    figures.problems.append(
                        f"delivery {chain.delivery.id}: a request of {_worker(request)} arrived and failed "
                        f"out of reach of a cut: {attempt.error}"
                    )
    if late > figures.requests * _LATE_SHARE:
        figures.problems.append(f"{late} requests arrived and got their response too late, out of reach of a cut")


def _loses_response(cut: Blow, request: ReceivedRequest) -> bool:
    at = request.received_at.timestamp()
    is_near = cut.before - SLOWEST_ANSWER - MACHINE < at < cut.after + MACHINE
    return is_near and cut.name in (_worker(request), "receiver")


def _ages(request: ReceivedRequest, at: float, blows: Iterable[Blow]) -> Iterator[tuple[float, Blow]]:
    """Find the blows at which a request may have been under way, and its age; a crash of the server strikes all."""
    for blow in blows:
        if blow.name in (_worker(request), "server") and at < blow.after + MACHINE:
            began = blow.before if blow.kind in ("outage", "cut") else blow.after
            yield max(0.0, began - at), blow


# Reading.


def _chains(
    dispatcher: Dispatcher,
    scene: Scene,
    webhooks: Sequence[Webhook],
    deliveries: Iterable[Delivery],
    requests: Iterable[ReceivedRequest],
) -> list[Chain]:
    endpoints = [endpoint for webhook in webhooks for endpoint in webhook.endpoints]
    by_path = {scene.path(number): endpoint.id for number, endpoint in enumerate(endpoints)}
    arrived: dict[tuple[str, str], list[ReceivedRequest]] = defaultdict(list)
    for request in requests:
        arrived[request.headers["webhook-id"], by_path[request.path]].append(request)
    return [
        Chain(
            delivery,
            _attempts(dispatcher, delivery.id),
            sorted(arrived[delivery.event_id, delivery.endpoint_id], key=lambda request: request.received_at),
        )
        for delivery in deliveries
    ]


def _attempts(dispatcher: Dispatcher, delivery_id: str) -> list[Attempt]:
    return list(_every(lambda cursor: dispatcher.log.attempts(delivery_id, limit=250, cursor=cursor)))[::-1]


def _every(fetch: Callable[[str | None], Any]) -> Iterator[Any]:
    page = fetch(None)
    yield from page.items
    while page.next is not None:
        page = fetch(page.next)
        yield from page.items


def _request_of(attempt: Attempt, requests: Sequence[ReceivedRequest]) -> ReceivedRequest | None:
    """Return the first request that this attempt may have sent: same worker, same timestamp, not earlier."""
    sent = dict(attempt.request_headers)
    for request in requests:
        same_second = request.headers["webhook-timestamp"] == sent.get("webhook-timestamp")
        if same_second and _worker(request) == sent["user-agent"] and request.received_at >= attempt.started_at:
            return request
    return None


def _worker(request: ReceivedRequest) -> str:
    return str(request.headers["user-agent"])


def _age(request: ReceivedRequest) -> float:
    return request.received_at.timestamp() - int(request.headers["webhook-timestamp"])


def _is_taken_over(chain: Chain, blows: Iterable[Blow]) -> bool:
    """Return whether a frozen worker had claimed it first, and another one delivered it."""
    frozen = {blow.name for blow in blows if blow.kind == "freeze"}
    workers = [_worker(request) for request in chain.requests]
    return workers[:1] != workers[-1:] and workers[0] in frozen


def _on_the_wire(payload: dict[str, Any], *, is_mapped: bool) -> dict[str, Any]:
    mapped = {"nonce": payload["nonce"], "words": payload["text"]}
    return json.loads(json.dumps(mapped if is_mapped else payload))
