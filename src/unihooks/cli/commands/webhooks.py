"""The commands for webhooks: list, show, recover."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import click

from unihooks._dispatcher import Dispatcher
from unihooks._model.policy import DeliveryPolicy
from unihooks._model.webhooks import Endpoint, EventSubscription, Webhook, WebhookStatus
from unihooks.cli._apps import with_dispatcher
from unihooks.cli._listing import show_listing
from unihooks.cli._options import about_one, json_option, paging_options, tenant_option, time_options
from unihooks.cli._tables import Column, console, show_fields, show_rows
from unihooks.cli._values import safe_url, short_time, webhook_value, write_json
from unihooks.cli.commands.jobs import show_started, wait_option

_COLUMNS = [
    Column("id"),
    Column("status"),
    Column("name", flexible=True),
    Column("endpoints"),
    Column("events", flexible=True),
]
_ENDPOINT_COLUMNS = [
    Column("endpoint"),
    Column("state"),
    Column("health"),
    Column("last hour"),
    Column("24 hours"),
    Column("not before"),
    Column("url", flexible=True),
    Column("reason", flexible=True),
]


@click.group()
def webhooks() -> None:
    """List and show customers' webhooks, and send what they missed.

    Secrets, values of headers and values in URLs' queries are never shown.
    """


@webhooks.command("list")
@with_dispatcher
@tenant_option
@click.option("--status", type=click.Choice([status.value for status in WebhookStatus]))
@click.option("--search", metavar="TEXT", help="Search name, description, URLs and metadata, ignoring case.")
@paging_options
@json_option
def list_webhooks(
    dispatcher: Dispatcher, *, tenant: str, status: str | None, search: str | None, **paging: Any
) -> None:
    """List webhooks, newest first."""
    fetch = partial(dispatcher.webhooks.list, tenant=tenant, status=status, search=search)
    show_listing(fetch, _COLUMNS, _row, webhook_value, **paging)


@webhooks.command("show")
@about_one("webhook_id")
def show_webhook(dispatcher: Dispatcher, *, webhook_id: str, tenant: str, as_json: bool) -> None:
    """Show one webhook with its endpoints."""
    webhook = dispatcher.webhooks.get(webhook_id, tenant=tenant)
    if as_json:
        write_json(webhook_value(webhook))
        return
    out = console()
    show_fields(_fields(webhook), out=out)
    click.echo()
    show_rows(_ENDPOINT_COLUMNS, [_endpoint_row(one) for one in webhook.endpoints], out=out)


@webhooks.command("recover")
@click.argument("webhook_id", metavar="ID")
@with_dispatcher
@tenant_option
@time_options
@wait_option
@json_option
def recover(
    dispatcher: Dispatcher,
    *,
    webhook_id: str,
    tenant: str,
    since: datetime | None,
    until: datetime | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Let workers send what a webhook missed, and resend what failed, as a job.

    Events made since then that were never planned for it are sent, and those whose last delivery failed are sent again.
    """
    if since is None:
        raise click.UsageError("give a start time, such as --since 24h")
    job = dispatcher.jobs.recover(webhook_id, tenant=tenant, since=since, until=until)
    show_started(dispatcher, job, wait=wait, as_json=as_json)


def _row(webhook: Webhook) -> list[object]:
    return [webhook.id, webhook.status.value, webhook.name, len(webhook.endpoints), _subscribed(webhook)]


def _endpoint_row(endpoint: Endpoint) -> list[object]:
    health = endpoint.health
    shares = [f"{one.succeeded}/{one.attempts}" if one.attempts else "" for one in (health.last_hour, health.last_day)]
    figures = [health.state.value, *shares, short_time(health.not_before)]
    return [endpoint.id, endpoint.state.value, *figures, safe_url(endpoint.url), _reason(endpoint)]


def _reason(endpoint: Endpoint) -> str:
    """Return why an endpoint is disabled, or how many attempts have failed in a row and since when."""
    health = endpoint.health
    if endpoint.disabled_reason or not health.failures:
        return endpoint.disabled_reason or ""
    since = f" since {short_time(health.failing_since)}" if health.failing_since else ""
    return f"{health.failures} failed in a row{since}"


def _fields(webhook: Webhook) -> list[tuple[str, object]]:
    return [
        ("id", webhook.id),
        ("tenant", webhook.tenant),
        ("name", webhook.name),
        ("description", webhook.description),
        ("status", webhook.status.value),
        ("events", _subscribed(webhook) or "none yet"),
        ("remove", ", ".join(webhook.mapping.remove)),
        ("rename", ", ".join(f"{path} to {name}" for path, name in webhook.mapping.rename.items())),
        ("headers", ", ".join(webhook.headers)),
        ("policy", _policy(webhook.policy)),
        ("ordered", "yes, by subject" if webhook.ordered else "no"),
        ("metadata", ", ".join(f"{name}: {text}" for name, text in webhook.metadata.items())),
        ("version", webhook.version),
        ("created", short_time(webhook.created_at)),
        ("updated", short_time(webhook.updated_at)),
        ("activated", short_time(webhook.activated_at)),
        ("deactivated", short_time(webhook.deactivated_at)),
    ]


def _policy(policy: DeliveryPolicy) -> str:
    return ", ".join(
        f"{name} {' '.join(f'{one:g}' for one in value) if isinstance(value, tuple) else f'{value:g}'}"
        for name, value in policy.given().items()
    )


def _subscribed(webhook: Webhook) -> str:
    return ", ".join(f"{one.product} {one.event_type}{_conditions(one)}" for one in webhook.subscriptions)


def _conditions(one: EventSubscription) -> str:
    return f" where {' and '.join(map(str, one.where))}" if one.where else ""
