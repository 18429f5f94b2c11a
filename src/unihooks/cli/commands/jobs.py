"""The commands for jobs: list, show, stop; and how commands that start one show its progress."""

from __future__ import annotations

from functools import partial
from time import sleep as _sleep
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from unihooks._dispatcher import Dispatcher
from unihooks._model.jobs import Job, JobState
from unihooks.cli._apps import with_dispatcher
from unihooks.cli._listing import show_listing
from unihooks.cli._options import about_one, json_option, paging_options, tenant_option
from unihooks.cli._tables import Column, console, show_fields
from unihooks.cli._values import plain_value, short_time, write_json

_COLUMNS = [
    Column("id"),
    Column("state"),
    Column("kind"),
    Column("done"),
    Column("made"),
    Column("created"),
    Column("ended"),
    Column("webhook"),
    Column("reason", flexible=True),
]
_LOOK_SECONDS = 0.25

wait_option = click.option("--wait", is_flag=True, help="Show the progress and return when the job has ended.")


@click.group()
def jobs() -> None:
    """List, show and stop jobs: recoveries and replays that workers do in slices."""


@jobs.command("list")
@with_dispatcher
@tenant_option
@paging_options
@json_option
def list_jobs(dispatcher: Dispatcher, *, tenant: str, **paging: Any) -> None:
    """List jobs, newest first."""
    show_listing(partial(dispatcher.jobs.list, tenant=tenant), _COLUMNS, _row, plain_value, **paging)


@jobs.command("show")
@about_one("job_id")
@wait_option
def show_job(dispatcher: Dispatcher, *, job_id: str, tenant: str, wait: bool, as_json: bool) -> None:
    """Show one job with its progress."""
    show_started(dispatcher, dispatcher.jobs.get(job_id, tenant=tenant), wait=wait, as_json=as_json)


@jobs.command("stop")
@about_one("job_id")
def stop_job(dispatcher: Dispatcher, *, job_id: str, tenant: str, as_json: bool) -> None:
    """Stop a job; the deliveries that it has made stay. A job that has ended stays as it is."""
    _show(dispatcher.jobs.stop(job_id, tenant=tenant), as_json=as_json)


def show_started(dispatcher: Dispatcher, job: Job, *, wait: bool, as_json: bool) -> None:
    """Show a job; if asked to wait, show it after its end, and exit with 1 unless it is done."""
    if wait:
        job = _waited_for(dispatcher, job)
    _show(job, as_json=as_json)
    if wait and job.state is not JobState.DONE:
        click.get_current_context().exit(1)


def _waited_for(dispatcher: Dispatcher, job: Job) -> Job:
    """Return the job once it has ended, with a progress bar on stderr if that is a terminal."""
    if job.is_unfinished and not dispatcher.stats().workers:
        click.echo("no worker was seen in the last minute; start one with: unihooks worker", err=True)
    errors = console(stderr=True)
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(job.kind.value, total=job.total, completed=job.done)
        while job.is_unfinished:
            _sleep(_LOOK_SECONDS)
            job = dispatcher.jobs.get(job.id, tenant=job.tenant)
            progress.update(task, total=job.total, completed=job.done)
    return job


def _show(job: Job, *, as_json: bool) -> None:
    if as_json:
        write_json(plain_value(job))
    else:
        show_fields(_fields(job), out=console())


def _row(job: Job) -> list[object]:
    times = [short_time(job.created_at), short_time(job.ended_at)]
    return [job.id, job.state.value, job.kind.value, _progress(job), job.made, *times, job.webhook_id, job.reason]


def _fields(job: Job) -> list[tuple[str, object]]:
    return [
        ("id", job.id),
        ("kind", job.kind.value),
        ("state", job.state.value),
        ("reason", job.reason),
        ("webhook", job.webhook_id),
        ("done", _progress(job)),
        ("made", str(job.made)),
        ("created", short_time(job.created_at)),
        ("ended", short_time(job.ended_at)),
    ]


def _progress(job: Job) -> str:
    return f"{job.done} of {job.total}"
