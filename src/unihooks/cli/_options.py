"""The options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from unihooks._contract.filters import DeliveryFilters
from unihooks._model.log import DeliveryState
from unihooks.cli._apps import Command, with_dispatcher

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII)


def moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    """Parse a time: ISO 8601, in UTC without a zone, or how long ago."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value)
    try:
        if ago:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        read = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        sentence = f"{value!r} is not a time; use 2026-05-01, 2026-05-01T12:00:00Z, or how long ago: 30m, 2h, 7d"
        raise click.BadParameter(sentence) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, to stdout.")
tenant_option = click.option("--tenant", default="default", show_default=True, help="The tenant.")


def about_one(argument: str) -> Callable[[Command], Command]:
    """Pass the dispatcher, the id of one thing, its tenant, and whether to print JSON."""

    def decorated(command: Command) -> Command:
        return click.argument(argument, metavar="ID")(with_dispatcher(tenant_option(json_option(command))))

    return decorated


def paging_options(command: Command) -> Command:
    """Add `--limit`, `--cursor` and `--all`."""
    options = [
        click.option("--limit", type=click.IntRange(1, 250), default=50, show_default=True, help="Rows per page."),
        click.option("--cursor", metavar="TEXT", help="The next or previous page, as the last page named it."),
        click.option("--all", "every", is_flag=True, help="Show all pages."),
    ]
    return _all_of(options, command)


def time_options(command: Command) -> Command:
    """Add `--since` and `--until`."""
    options = [
        click.option(
            "--since",
            callback=moment,
            metavar="TIME",
            help="From this time on: 2026-05-01T12:00:00Z, or how long ago: 30m, 2h, 7d.",
        ),
        click.option("--until", callback=moment, metavar="TIME", help="Before this time."),
    ]
    return _all_of(options, command)


def delivery_filters(command: Command) -> Command:
    """Add the filters of deliveries; see `split_filters`."""
    options: list[Callable[[Command], Command]] = [
        click.option("--state", type=click.Choice([state.value for state in DeliveryState])),
        click.option("--webhook", "webhook_id", metavar="ID"),
        click.option("--endpoint", "endpoint_id", metavar="ID"),
        click.option("--event", "event_id", metavar="ID"),
        click.option("--product", metavar="NAME"),
        click.option("--event-type", metavar="NAME"),
        click.option("--subject", metavar="TEXT"),
        click.option(
            "--status-code",
            metavar="CODE",
            help="The status of the last response: a code (503), a class (5xx), or none for no response.",
        ),
        click.option("--search", metavar="TEXT", help="The beginning of an id, a subject or a URL."),
        click.option(
            "--held/--not-held",
            default=None,
            help="Only pending deliveries that are held, or only those that are not.",
        ),
        time_options,
    ]
    return _all_of(options, command)


def split_filters(options: dict[str, Any]) -> dict[str, Any]:
    """Remove the filters from a command's options, and return those that are set."""
    taken = {name: options.pop(name) for name in DeliveryFilters.__annotations__ if name in options}
    return {name: value for name, value in taken.items() if value is not None}


def _all_of(options: Sequence[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
