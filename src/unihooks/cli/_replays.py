"""Replay many deliveries: find them, ask, send them again, and report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click
from attrs import Factory, define

from unihooks._dispatcher import Dispatcher
from unihooks._model.log import Delivery
from unihooks.cli._listing import counted, everything
from unihooks.cli._values import write_json
from unihooks.exceptions import Conflict, NotFound


@define
class _Outcome:
    """What has been done so far."""

    replayed: list[dict[str, str]] = Factory(list)
    refused: list[dict[str, str]] = Factory(list)


def replay_deliveries(
    dispatcher: Dispatcher, *, tenant: str, ids: Sequence[str], filters: dict[str, Any], ask: bool, as_json: bool
) -> None:
    """Replay the deliveries with these ids, or those that match the filters, after a question."""
    if ids:
        found = [dispatcher.log.delivery(one, tenant=tenant) for one in dict.fromkeys(ids)]
    else:
        found = list(
            everything(lambda limit, at: dispatcher.log.deliveries(tenant=tenant, limit=limit, cursor=at, **filters))
        )
    chosen = _once_per_endpoint(found)
    if chosen and ask and not ids:
        click.confirm(_question(len(found), len(chosen)), abort=True, err=True)
    outcome = _Outcome()
    try:
        _replay(dispatcher, tenant, chosen, outcome)
    finally:
        _report(outcome, len(chosen), as_json=as_json)
    if outcome.refused:
        click.get_current_context().exit(1)


def _once_per_endpoint(found: Iterable[Delivery]) -> list[Delivery]:
    """Keep the newest delivery per event and endpoint, since all of them would send the same bytes."""
    kept: dict[tuple[str, str], Delivery] = {}
    for delivery in found:
        kept.setdefault((delivery.event_id, delivery.endpoint_id), delivery)
    return list(kept.values())


def _question(found: int, chosen: int) -> str:
    again = "" if found == chosen else f" ({found} found; each event is sent to an endpoint once)"
    return f"Replay {chosen} {_noun(chosen)}{again}?"


def _replay(dispatcher: Dispatcher, tenant: str, chosen: Sequence[Delivery], outcome: _Outcome) -> None:
    """Replay from the oldest to the newest, the order in which they were emitted."""
    for delivery in counted(reversed(chosen), "replayed", len(chosen)):
        try:
            made = dispatcher.log.replay(delivery.id, tenant=tenant)
        except (Conflict, NotFound) as error:
            outcome.refused.append({"id": delivery.id, "reason": str(error)})
        else:
            outcome.replayed.append({"id": made.id, "replay_of": delivery.id})


def _report(outcome: _Outcome, chosen: int, *, as_json: bool) -> None:
    if as_json:
        write_json({"chosen": chosen, "replayed": outcome.replayed, "refused": outcome.refused})
        return
    for one in outcome.refused:
        click.echo(f"{one['id']}: {one['reason']}", err=True)
    done = len(outcome.replayed)
    click.echo(f"{done} of {chosen} {_noun(chosen)} replayed")


def _noun(count: int) -> str:
    return "delivery" if count == 1 else "deliveries"
