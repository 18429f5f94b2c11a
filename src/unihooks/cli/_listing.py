"""Show a listing: one page with its cursors, or all pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import click
from rich.progress import Progress, SpinnerColumn, TextColumn

from unihooks._management.paging import Page
from unihooks.cli._tables import Column, console, plain, show_rows
from unihooks.cli._values import page_value, write_json

T = TypeVar("T")
Fetch = Callable[..., Page[T]]

_MOST_PER_PAGE = 250


def show_listing(
    fetch: Fetch[T],
    columns: Sequence[Column],
    row: Callable[[T], Sequence[object]],
    value: Callable[[T], Any],
    *,
    limit: int,
    cursor: str | None,
    every: bool,
    as_json: bool,
) -> None:
    """Show one page or all of them, as the options say; `fetch(limit=..., cursor=...)` returns a page."""
    if every and cursor is not None:
        raise click.UsageError("--all and --cursor exclude each other; use one of them")
    page: Page[T] = Page(tuple(everything(fetch))) if every else fetch(limit=limit, cursor=cursor)
    if as_json:
        write_json(page_value(page, value))
        return
    show_rows(columns, map(row, page), out=console())
    if not page:
        tenant = click.get_current_context().params.get("tenant")
        click.echo(f"nothing found for the tenant {plain(tenant)!r}" if tenant else "nothing found", err=True)
    for name, place in (("next", page.next), ("previous", page.previous)):
        if place:
            click.echo(f"{name} page: --cursor {place}", err=True)


def everything(fetch: Fetch[T]) -> Iterator[T]:
    """Yield the items of all pages, with progress on stderr if it is a terminal."""
    return counted(_items(fetch), "read")


def _items(fetch: Fetch[T]) -> Iterator[T]:
    cursor: str | None = ""
    while cursor is not None:
        page = fetch(limit=_MOST_PER_PAGE, cursor=cursor or None)
        yield from page
        cursor = page.next


def counted(items: Iterable[T], verb: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, and count them on stderr if it is a terminal."""
    columns = [SpinnerColumn(), TextColumn("{task.description} {task.completed:.0f}")]
    if total is not None:
        columns.append(TextColumn("of {task.total:.0f}"))
    errors = console(stderr=True)
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(verb, total=total)
        for item in items:
            yield item
            progress.advance(task)
