"""The commands for tenants: list, usage, erase."""

from __future__ import annotations

from typing import Any

import attrs
import click

from unihooks._contract.statistics import TenantStatistics, Usage
from unihooks._dispatcher import Dispatcher
from unihooks.cli._apps import with_dispatcher
from unihooks.cli._listing import show_listing
from unihooks.cli._options import json_option, paging_options
from unihooks.cli._tables import Column, console, show_fields
from unihooks.cli._values import write_json

_COLUMNS = [Column("tenant", flexible=True), Column("webhooks"), Column("due")]


@click.group()
def tenants() -> None:
    """List tenants, show how much one has, and erase one."""


@tenants.command("list")
@with_dispatcher
@paging_options
@json_option
def list_tenants(dispatcher: Dispatcher, **options: Any) -> None:
    """List tenants by name, with how many webhooks they have and how much is due."""
    show_listing(dispatcher.tenants, _COLUMNS, _row, attrs.asdict, **options)


@tenants.command("usage")
@click.argument("tenant")
@with_dispatcher
@json_option
def usage(dispatcher: Dispatcher, *, tenant: str, as_json: bool) -> None:
    """Show how much a tenant has, and has done in 24 hours."""
    found = dispatcher.usage(tenant)
    if as_json:
        write_json(attrs.asdict(found))
    else:
        show_fields(_fields(found), out=console())


@tenants.command("erase")
@click.argument("tenant")
@with_dispatcher
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def erase(dispatcher: Dispatcher, *, tenant: str, yes: bool, as_json: bool) -> None:
    """Erase a tenant for good.

    Its webhooks, secrets, events, deliveries, attempts and counts are removed. If the command is interrupted, run it
    again: it continues with what is left.
    """
    if not yes:
        found = dispatcher.usage(tenant)
        sentence = (
            f"Erase the tenant {tenant!r} for good, with {found.webhooks} webhooks and all events "
            f"(about {found.stored_bytes} bytes)?"
        )
        click.confirm(sentence, abort=True, err=True)
    erased = dispatcher.erase_tenant(tenant)
    if as_json:
        write_json({"tenant": tenant, "events": erased})
    else:
        click.echo(f"erased, with {erased} {'event' if erased == 1 else 'events'}")


def _row(one: TenantStatistics) -> list[object]:
    return [one.tenant, one.webhooks, one.due]


def _fields(found: Usage) -> list[tuple[str, object]]:
    return [
        ("webhooks", found.webhooks),
        ("endpoints", found.endpoints),
        ("events in 24 hours", found.events_24h),
        ("deliveries in 24 hours", found.deliveries_24h),
        ("pending deliveries", found.pending),
        ("stored bytes, estimated", found.stored_bytes),
    ]
