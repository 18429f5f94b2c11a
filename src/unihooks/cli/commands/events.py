"""The commands for events: list, show."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import click

from unihooks._dispatcher import Dispatcher
from unihooks._model.log import Event
from unihooks.cli._apps import with_dispatcher
from unihooks.cli._listing import show_listing
from unihooks.cli._options import about_one, json_option, paging_options, tenant_option, time_options
from unihooks.cli._tables import Column, console, show_fields
from unihooks.cli._values import plain_value, short_time, write_json

_COLUMNS = [
    Column("id"),
    Column("created"),
    Column("product", flexible=True),
    Column("event", flexible=True),
    Column("subject", flexible=True),
]


@click.group()
def events() -> None:
    """List and show events."""


@events.command("list")
@with_dispatcher
@tenant_option
@click.option("--product", metavar="NAME")
@click.option("--event-type", metavar="NAME")
@click.option("--subject", metavar="TEXT")
@time_options
@paging_options
@json_option
def list_events(
    dispatcher: Dispatcher,
    *,
    tenant: str,
    **options: Any,
) -> None:
    """List events, newest first."""
    filters = {name: options.pop(name) for name in ("product", "event_type", "subject", "since", "until")}
    show_listing(partial(dispatcher.log.events, tenant=tenant, **filters), _COLUMNS, _row, plain_value, **options)


@events.command("show")
@about_one("event_id")
def show_event(dispatcher: Dispatcher, *, event_id: str, tenant: str, as_json: bool) -> None:
    """Show one event with its payload."""
    event = dispatcher.log.event(event_id, tenant=tenant)
    if as_json:
        write_json(plain_value(event))
        return
    fields = [
        ("id", event.id),
        ("tenant", event.tenant),
        ("event", f"{event.product} {event.event_type}"),
        ("subject", event.subject),
        ("created", short_time(event.created_at)),
    ]
    show_fields(fields, out=console())
    click.echo(f"\n{json.dumps(event.payload, indent=2)}")


def _row(event: Event) -> list[object]:
    return [event.id, short_time(event.created_at), event.product, event.event_type, event.subject]
