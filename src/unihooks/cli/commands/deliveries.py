"""The commands for deliveries: list, show, replay."""

from __future__ import annotations

from functools import partial
from typing import Any

import click
from rich.console import Console

from unihooks._dispatcher import Dispatcher
from unihooks._management.jobs import RENDERINGS
from unihooks._model.log import Attempt, Delivery
from unihooks.cli._apps import with_dispatcher
from unihooks.cli._listing import everything, show_listing
from unihooks.cli._options import about_one, delivery_filters, json_option, paging_options, split_filters, tenant_option
from unihooks.cli._tables import Column, console, plain, show_fields, show_rows
from unihooks.cli._values import attempt_value, delivery_value, safe_url, short_time, state_of, time, write_json
from unihooks.cli.commands.jobs import wait_option
from unihooks.cli.commands.replays import replay_ids, replay_in_job, replay_matching

_COLUMNS = [
    Column("id"),
    Column("state"),
    Column("attempts"),
    Column("created"),
    Column("next attempt"),
    Column("event", flexible=True),
    Column("subject", flexible=True),
    Column("url", flexible=True),
    Column("reason", flexible=True),
]
_ATTEMPT_COLUMNS = [
    Column("attempt"),
    Column("started"),
    Column("ms"),
    Column("response"),
    Column("error", flexible=True),
    Column("warnings", flexible=True),
]
_SHOWN_OF_BODY = 400


@click.group()
def deliveries() -> None:
    """List, show and replay deliveries."""


@deliveries.command("list")
@with_dispatcher
@tenant_option
@delivery_filters
@paging_options
@json_option
def list_deliveries(dispatcher: Dispatcher, *, tenant: str, **options: Any) -> None:
    """List deliveries, newest first.

    Shows the deliveries that match all of the filters.
    """
    fetch = partial(dispatcher.log.deliveries, tenant=tenant, **split_filters(options))
    show_listing(fetch, _COLUMNS, _row, delivery_value, **options)


@deliveries.command("show")
@about_one("delivery_id")
def show_delivery(dispatcher: Dispatcher, *, delivery_id: str, tenant: str, as_json: bool) -> None:
    """Show one delivery with all its attempts."""
    delivery = dispatcher.log.delivery(delivery_id, tenant=tenant)
    attempts = list(everything(partial(dispatcher.log.attempts, delivery_id, tenant=tenant)))
    if as_json:
        write_json({**delivery_value(delivery), "attempts": [attempt_value(attempt) for attempt in attempts]})
        return
    out = console()
    show_fields(_fields(delivery), out=out)
    click.echo()
    show_attempts(attempts, out=out)
    if attempts:
        _show_response(attempts[0])


@deliveries.command("replay")
@click.argument("delivery_ids", metavar="[ID]...", nargs=-1)
@with_dispatcher
@tenant_option
@delivery_filters
@click.option("--all", "every", is_flag=True, help="Replay all deliveries of the tenant.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--job", is_flag=True, help="Let workers do it in slices: better for more than a few thousand.")
@click.option(
    "--rendering",
    type=click.Choice(RENDERINGS),
    help="In a job: send the original bytes, or those that the webhook would send today.",
)
@wait_option
@json_option
def replay(
    dispatcher: Dispatcher,
    *,
    delivery_ids: tuple[str, ...],
    tenant: str,
    every: bool,
    yes: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Replay deliveries, by id or by filter, or let workers do it as a job.

    Filters choose the deliveries that `deliveries list` shows. Each is sent again as a new delivery with the same body
    and the same webhook-id. With filters, each event is sent to an endpoint once, and not at all if a replay of it is
    pending or was delivered. --rendering and --wait imply --job.
    """
    filters = split_filters(options)
    if bool(delivery_ids) + bool(filters) + every != 1:
        raise click.UsageError("use either ids, or filters such as --state failed, or --all")
    if any(options.values()):
        if delivery_ids:
            raise click.UsageError("a job takes filters such as --state failed, or --all, and no ids")
        replay_in_job(dispatcher, tenant=tenant, filters=filters, ask=not yes, as_json=as_json, **options)
    elif delivery_ids:
        replay_ids(dispatcher, tenant=tenant, ids=delivery_ids, as_json=as_json)
    else:
        replay_matching(dispatcher, tenant=tenant, filters=filters, ask=not yes, as_json=as_json)


def show_attempts(attempts: list[Attempt], *, out: Console) -> None:
    """Show attempts as a table."""
    show_rows(_ATTEMPT_COLUMNS, map(_attempt_row, attempts), out=out)


def _row(delivery: Delivery) -> list[object]:
    return [
        delivery.id,
        state_of(delivery),
        delivery.attempt_count,
        short_time(delivery.created_at),
        short_time(delivery.next_attempt_at),
        f"{delivery.product} {delivery.event_type}",
        delivery.subject,
        safe_url(delivery.url),
        delivery.waiting or delivery.reason,
    ]


def _attempt_row(attempt: Attempt) -> list[object]:
    started = time(attempt.started_at)
    return [
        attempt.number,
        started,
        f"{attempt.duration_ms:.0f}",
        attempt.status_code or "none",
        attempt.error,
        "; ".join(attempt.warnings),
    ]


def _fields(delivery: Delivery) -> list[tuple[str, object]]:
    return [
        ("id", delivery.id),
        ("state", state_of(delivery)),
        ("waiting", delivery.waiting),
        ("reason", delivery.reason),
        ("event", f"{delivery.event_id} {delivery.product} {delivery.event_type}"),
        ("subject", delivery.subject),
        ("webhook", delivery.webhook_id),
        ("endpoint", delivery.endpoint_id),
        ("url", safe_url(delivery.url)),
        ("created", short_time(delivery.created_at)),
        ("next attempt", short_time(delivery.next_attempt_at)),
        ("replay of", delivery.replay_of),
    ]


def _show_response(attempt: Attempt) -> None:
    text = plain(attempt.response_body.decode(errors="backslashreplace"))
    if text:
        more = (
            f" ... ({len(attempt.response_body)} bytes kept; --json shows all of them)"
            if len(text) > _SHOWN_OF_BODY
            else ""
        )
        click.echo(f"\nlast response's body\t{text[:_SHOWN_OF_BODY]}{more}")
