"""Replay deliveries, by ids one by one, or by filters in bulk or as a job, and report the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click
from attrs import Factory, define

from unihooks._dispatcher import Dispatcher
from unihooks.cli._listing import counted
from unihooks.cli._values import write_json
from unihooks.cli.commands.jobs import show_started
from unihooks.exceptions import Conflict, NotFound

_SLICE = 1_000
_MOST = 1_000_000
_MANY = 10_000


@define
class _Outcome:
    """The outcome so far."""

    replayed: list[dict[str, str]] = Factory(list)
    refused: list[dict[str, str]] = Factory(list)


def replay_ids(dispatcher: Dispatcher, *, tenant: str, ids: Sequence[str], as_json: bool) -> None:
    """Replay the deliveries with these ids."""
    chosen = [dispatcher.log.delivery(one, tenant=tenant).id for one in dict.fromkeys(ids)]
    outcome = _Outcome()
    try:
        for id_ in counted(chosen, "replayed", len(chosen)):
            _replay(dispatcher, tenant, id_, outcome)
    finally:
        _report(outcome, len(chosen), as_json=as_json)
    if outcome.refused:
        click.get_current_context().exit(1)


def replay_matching(dispatcher: Dispatcher, *, tenant: str, filters: dict[str, Any], ask: bool, as_json: bool) -> None:
    """Replay all deliveries that match the filters, after confirmation."""
    found = _found(dispatcher, tenant, filters, ask=ask)
    if found > _MANY:
        click.echo("for this many, use --job: workers do it, whatever happens to this command", err=True)
    made = sum(1 for _ in counted(_replayed(dispatcher, tenant, filters, found), "replayed", found))
    if as_json:
        write_json({"found": found, "made": made})
        return
    click.echo(f"{made} of {found} {_noun(found)} replayed")
    if made < found:
        click.echo("the others are pending, were delivered by a replay, or cannot be sent any more", err=True)


def replay_in_job(
    dispatcher: Dispatcher,
    *,
    tenant: str,
    filters: dict[str, Any],
    ask: bool,
    as_json: bool,
    wait: bool,
    rendering: str | None,
    **_: bool,
) -> None:
    """Let workers replay all deliveries that match the filters, after confirmation."""
    _found(dispatcher, tenant, filters, ask=ask)
    job = dispatcher.jobs.replay(tenant=tenant, rendering=rendering or "sent", **filters)
    show_started(dispatcher, job, wait=wait, as_json=as_json)


def _found(dispatcher: Dispatcher, tenant: str, filters: dict[str, Any], *, ask: bool) -> int:
    """Return how many deliveries match, after confirmation if there are any."""
    found = dispatcher.log.count(tenant=tenant, most=_MOST, **filters)
    if found and ask:
        click.confirm(f"Replay {found} {_noun(found)}? Each event is sent to an endpoint once", abort=True, err=True)
    return found


def _replayed(dispatcher: Dispatcher, tenant: str, filters: dict[str, Any], found: int) -> Iterator[None]:
    """Replay in slices, and yield once for each delivery that was made."""
    made, more = 0, found > 0
    # A replay that fails in the meantime may match as well, so no more are made than were found before.
    while more and made < found:
        done = dispatcher.log.replay_all(tenant=tenant, most=min(_SLICE, found - made), **filters)
        made, more = made + done.made, done.more
        yield from [None] * done.made


def _replay(dispatcher: Dispatcher, tenant: str, id_: str, outcome: _Outcome) -> None:
    try:
        made = dispatcher.log.replay(id_, tenant=tenant)
    except (Conflict, NotFound) as error:
        outcome.refused.append({"id": id_, "reason": str(error)})
    else:
        outcome.replayed.append({"id": made.id, "replay_of": id_})


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
