"""The group of all commands, which turns errors into a sentence and an exit code."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import click

from unihooks.cli.commands.deliveries import deliveries
from unihooks.cli.commands.events import events
from unihooks.cli.commands.jobs import jobs
from unihooks.cli.commands.queue import migrate, status, worker
from unihooks.cli.commands.tenants import tenants
from unihooks.cli.commands.webhooks import webhooks
from unihooks.cli.demo.demo import demo
from unihooks.exceptions import UnihooksError


class _Commands(click.Group):
    """A group that reports errors in one sentence, with exit code 2 for bad input and 1 for failures."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UnihooksError as error:
            kind = click.UsageError if isinstance(error, ValueError) else click.ClickException
            raise kind(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("unihooks"), prog_name="unihooks")
def cli() -> None:
    """Outgoing webhooks: try them, run a worker, read the log, replay deliveries."""


for command in (demo, migrate, worker, status, webhooks, events, deliveries, jobs, tenants):
    cli.add_command(command)
