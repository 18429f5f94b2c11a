"""Keep the health of endpoints: what a lane knows about its last attempts, and its last stored state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from attrs import define, evolve, field

from unihooks._base.times import optional_from_us
from unihooks._contract.activity import DAY_HOURS, HOUR, slice_of
from unihooks._model.health import BreakerState, Counts, EndpointHealth, HealthState, judge
from unihooks._model.log import DeliveryState
from unihooks._model.policy import CircuitBreaker
from unihooks._model.webhooks import EndpointState, Webhook
from unihooks.abc import (
    FAILING_LIMIT_US,
    FAILING_SILENCE_US,
    FAILING_TOO_LONG,
    TOLD_AGAIN_US,
    AttemptRow,
    HealthChange,
    Result,
)
from unihooks.stores.sql.transaction import Call, Outcome, Row, Transaction

_NOTHING = (Counts(), Counts())
# The outcomes of an endpoint's last 20 attempts are one number, so that statements can note many successes by a shift.
# Each is a bit, 1 for a success, the newest one last; a leading 1 says how many there are.
_LEADING = 1 << 20


@define
class LaneHealth:
    """The health of a locked lane, followed through the results of one batch in their order.

    `has_paused` says that the breaker has begun a pause, `is_relieved` that one has ended.
    """

    tenant: str
    webhook_id: str
    failing_since: int | None
    failures: int
    last_success_at: int | None
    last_failure_at: int | None
    outcomes: int
    state: HealthState = field(converter=HealthState)
    pause_us: int | None
    probe_at: int | None
    told_health: HealthState = field(converter=HealthState)
    told_at: int | None
    breaker: CircuitBreaker | None = field(default=None, kw_only=True)
    has_paused: bool = False
    is_relieved: bool = False

    def note(self, result: Result, attempt: AttemptRow, now: int) -> str | None:
        """Count one result; return the reason to disable the endpoint, if there is one."""
        succeeded = result.state is DeliveryState.DELIVERED
        longer = self.outcomes << 1 | succeeded
        self.outcomes = longer if longer < 2 * _LEADING else longer & (_LEADING - 1) | _LEADING
        if succeeded:
            self.failing_since, self.failures, self.last_success_at = None, 0, now
            self._close_breaker()
            return result.disable
        if now - (self.last_failure_at or now) > FAILING_SILENCE_US:
            self.failing_since = None
            if self.pause_us is None:
                self.failures = 0
        self.failing_since = self.failing_since or now
        self.failures += 1
        self.last_failure_at = now
        self._break(result, now)
        # A single failure of a new delivery may be a hiccup; its retry will show.
        is_certain = attempt.number > 1 or result.state is DeliveryState.FAILED
        too_long = is_certain and now - self.failing_since >= FAILING_LIMIT_US
        return result.disable or (FAILING_TOO_LONG if too_long else None)

    def row(self, due_at: int | None, wait_until: int | None, now: int) -> Row:
        """Return the parameters of `set_lanes` except the endpoint; `due_at` is when the next retry is due."""
        if self.is_relieved:
            due_at = now if due_at is None else min(due_at, now)
        waits = [at for at in (wait_until, self.probe_at if self.has_paused else None) if at is not None]
        times = (self.failing_since, self.failures, self.last_success_at, self.last_failure_at)
        breaker = (self.pause_us, self.probe_at, self.is_relieved)
        told = (self.told_health.value, self.told_at)
        return (*times, self.outcomes, self.state.value, *told, *breaker, due_at, max(waits, default=None))

    def change(self, endpoint_id: str, last_hour: Counts) -> HealthChange | None:
        """Judge the lane as it is now; return the change of its state, if there is one."""
        before, self.state = self.state, judge(last_hour, _last_attempts(self.outcomes))
        if before is self.state:
            return None
        return HealthChange(self.tenant, self.webhook_id, endpoint_id, before, self.state)

    def tell(self, endpoint_id: str, now: int, *, may_fail: bool) -> HealthChange | None:
        """Return the change to report now, if any: that it is failing, or healthy after it was reported as failing."""
        told = self.told_health
        if self.state is HealthState.FAILING and told is HealthState.HEALTHY and may_fail:
            if self.told_at is not None and now - self.told_at < TOLD_AGAIN_US:
                return None
            self.told_at = now
        elif self.state is not HealthState.HEALTHY or told is HealthState.HEALTHY:
            return None
        self.told_health = self.state
        return HealthChange(self.tenant, self.webhook_id, endpoint_id, told, self.state)

    def _break(self, result: Result, now: int) -> None:
        """Begin a pause after as many failures in a row as the breaker allows, or after a failed probe."""
        if self.breaker is None:
            self._close_breaker()
            return
        if self.pause_us is None:
            is_due = self.failures >= self.breaker.failures
        else:
            # A request that was under way when the pause began tells nothing new.
            terms = result.claimed.terms
            is_due = terms is not None and terms.is_probe and now >= (self.probe_at or 0)
        if is_due:
            self.pause_us = self.breaker.next_pause_us(self.pause_us)
            self.probe_at = now + self.breaker.jittered_us(self.pause_us)
            self.has_paused = True

    def _close_breaker(self) -> None:
        if self.pause_us is not None:
            self.pause_us = self.probe_at = None
            self.has_paused, self.is_relieved = False, True


def looking(endpoint_ids: Collection[str], now: int) -> list[Call]:
    """Return the calls that lock and read lanes, and count their last hour, as `followed` takes them."""
    values = {"endpoints": list(endpoint_ids)}
    return [Call("lane_health", values=values), _counting(endpoint_ids, now, hours=1)]


def followed(
    lanes: Outcome, counted: Outcome, breaker: CircuitBreaker | None = None
) -> tuple[dict[str, LaneHealth], dict[str, Counts]]:
    """Return the lanes by endpoint, and the counts of the last hour, from the outcomes of `looking`."""
    healths = {endpoint_id: LaneHealth(*row, breaker=breaker) for endpoint_id, *row in lanes.rows}
    hours = _counts(counted.rows)
    return healths, {endpoint_id: hours.get(endpoint_id, _NOTHING)[0] for endpoint_id in healths}


def changes(healths: dict[str, LaneHealth], hours: dict[str, Counts]) -> list[HealthChange]:
    """Judge lanes, and return their changes."""
    judged = (lane.change(endpoint_id, hours[endpoint_id]) for endpoint_id, lane in healths.items())
    return [one for one in judged if one is not None]


def noticed(calls: Iterable[Call], outcomes: Iterable[Outcome]) -> list[str]:
    """Return the unhealthy endpoints, from the outcomes of calls that include `note_success`."""
    noted = next(outcome for call, outcome in zip(calls, outcomes, strict=True) if call.name == "note_success")
    return [endpoint_id for endpoint_id, health in noted.rows if health != HealthState.HEALTHY]


def told(healths: dict[str, LaneHealth], failing: Collection[str], now: int) -> list[HealthChange]:
    """Return the changes of health to report now; of failing lanes, only those in `failing` are reported."""
    chosen = (lane.tell(endpoint_id, now, may_fail=endpoint_id in failing) for endpoint_id, lane in healths.items())
    return [one for one in chosen if one is not None]


def forget(tx: Transaction, endpoint_ids: list[str]) -> None:
    """Let the counts of the last hour, by which health is judged, count only for charts from now on."""
    keep_parts(tx, tx.fetch("take_parts_of_endpoints", endpoints=endpoint_ids) if endpoint_ids else ())


def keep_parts(tx: Transaction, taken: Iterable[Row]) -> int:
    """Add up parts of hours that were taken out of the table; return how many there were."""
    taken = sorted(taken, key=itemgetter(0, 1, 2))
    rows: list[Row] = []
    for key, parts in groupby(taken, key=itemgetter(0, 1, 2)):
        counts = zip(*(part[3:] for part in parts), strict=True)
        rows.append((*key, 0, *map(sum, counts)))
    tx.run("add_hours", rows)
    return len(taken)


def endpoint_health(tx: Transaction, tenant: str, webhook_ids: Collection[str]) -> dict[str, list[EndpointHealth]]:
    """Return the health of endpoints, in their order, by webhook; webhooks of other tenants are left out."""
    lanes = tx.fetch("health_of_lanes", webhooks=list(webhook_ids), tenant=tenant, now=tx.now) if webhook_ids else []
    counted = _counting([row[1] for row in lanes], tx.now, hours=DAY_HOURS)
    counts = _counts(tx.fetch(counted.name, **counted.values)) if lanes else {}
    found: dict[str, list[EndpointHealth]] = {}
    for webhook_id, endpoint_id, *row in lanes:
        health = _to_health(endpoint_id, row, *counts.get(endpoint_id, _NOTHING), tx.now)
        found.setdefault(webhook_id, []).append(health)
    return found


def with_health(tx: Transaction, webhooks: Sequence[Webhook]) -> list[Webhook]:
    """Return webhooks of one tenant with the health of their endpoints."""
    tenant = webhooks[0].tenant if webhooks else ""
    found = endpoint_health(tx, tenant, [one.id for one in webhooks])
    known = {one.endpoint_id: one for healths in found.values() for one in healths}
    return [
        evolve(webhook, endpoints=[evolve(one, health=known.get(one.id, one.health)) for one in webhook.endpoints])
        for webhook in webhooks
    ]


def _counting(endpoint_ids: Collection[str], now: int, *, hours: int) -> Call:
    """Return the call that counts the attempts of the last hour, and those since `hours` hours before this one."""
    hour, part = now // HOUR, slice_of(now)
    values = {"endpoints": list(endpoint_ids), "hour": hour, "slice": part, "since": hour - hours}
    return Call("counts_of_endpoints", values=values)


def _counts(rows: Iterable[Row]) -> dict[str, tuple[Counts, Counts]]:
    return {endpoint_id: (Counts(*counts[:2]), Counts(*counts[2:])) for endpoint_id, *counts in rows}


def _last_attempts(outcomes: int) -> Counts:
    return Counts(outcomes.bit_length() - 1, outcomes.bit_count() - 1)


def _to_health(endpoint_id: str, row: Sequence[Any], last_hour: Counts, last_day: Counts, now: int) -> EndpointHealth:
    state, failures, failing_since, not_before, probe_at, success_at, failure_at, outcomes, next_at = row
    judged = judge(last_hour, _last_attempts(outcomes))
    return EndpointHealth(
        endpoint_id=endpoint_id,
        state=judged if state == EndpointState.ENABLED else HealthState.DISABLED,
        failures=failures,
        failing_since=optional_from_us(failing_since),
        last_hour=last_hour,
        last_day=last_day,
        breaker=_breaker(probe_at, now),
        next_probe_at=optional_from_us(probe_at),
        not_before=None if not_before is None or not_before <= now else optional_from_us(not_before),
        last_success_at=optional_from_us(success_at),
        last_failure_at=optional_from_us(failure_at),
        next_attempt_at=optional_from_us(next_at),
    )


def _breaker(probe_at: int | None, now: int) -> BreakerState:
    if probe_at is None:
        return BreakerState.CLOSED
    return BreakerState.OPEN if probe_at > now else BreakerState.HALF_OPEN
