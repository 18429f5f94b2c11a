"""Show rows: a table on a wide terminal, blocks on a narrow one, tab-separated lines in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click
from attrs import frozen
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_GAP = 2
_ALWAYS = 2
_LEAST_FLEXIBLE = 16
_STYLES = {
    "delivered": "green",
    "active": "green",
    "enabled": "green",
    "pending": "yellow",
    "pending, held": "yellow",
    "failed": "red",
    "disabled": "red",
    "cancelled": "dim",
    "running": "yellow",
    "done": "green",
    "stopped": "dim",
    "inactive": "dim",
}


@frozen
class Column:
    """A column; a flexible one may be wrapped, others (ids, states, times) stay on one line."""

    name: str
    flexible: bool = False


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints all text literally; it respects NO_COLOR and the terminal's width."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def plain(text: object) -> str:
    r"""Return the text on one line, with escapes for what would act on a terminal: controls, direction marks.

    >>> plain("two\nlines, \x1b[31mred")
    'two\\nlines, \\x1b[31mred'
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(text))


def show_rows(
    columns: Sequence[Column], rows: Iterable[Sequence[object]], *, out: Console, aligned: bool = False
) -> None:
    """Print the rows without cutting anything; `aligned` uses spaces instead of tabs in a pipe too."""
    cells = [[plain("" if cell is None else cell) for cell in row] for row in rows]
    if not (out.is_terminal or aligned):
        _write_lines(columns, cells)
        return
    columns, cells = _without_empty(columns, cells)
    if _least_width(columns, cells) <= out.width:
        out.print(table(columns, cells))
    else:
        _write_blocks(columns, cells, out)


def show_fields(fields: Sequence[tuple[str, object]], *, out: Console, aligned: bool = False) -> None:
    """Print named values, one per line, without those that are None or empty."""
    shown = [(name, plain(value)) for name, value in fields if value not in (None, "")]
    if not (out.is_terminal or aligned):
        for name, value in shown:
            click.echo(f"{name}\t{value}")
        return
    grid = Table.grid(padding=(0, _GAP))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in shown:
        grid.add_row(name, styled(value))
    out.print(grid)


def table(columns: Sequence[Column], cells: Iterable[Sequence[str]], *, heading: bool = True) -> Table:
    """Return a table whose cells may be wrapped but are never truncated."""
    made = Table(box=None, padding=(0, _GAP, 0, 0), show_header=heading, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column.name, overflow="fold", no_wrap=not column.flexible)
    for row in cells:
        made.add_row(*(styled(cell) for cell in row))
    return made


def styled(text: str) -> Text:
    """Return the text, in the colour of the state if it names one."""
    return Text(text, style=_STYLES.get(text, ""))


def _write_lines(columns: Sequence[Column], cells: Iterable[Sequence[str]]) -> None:
    click.echo("\t".join(column.name for column in columns))
    for row in cells:
        click.echo("\t".join(row))


def _write_blocks(columns: Sequence[Column], cells: Iterable[Sequence[str]], out: Console) -> None:
    """Print each row as a block: the first two cells on one line, the others with their names below."""
    for row in cells:
        out.print(Text(row[0], style="bold"), styled(row[1]), overflow="fold")
        named = [
            Text.assemble((f"{column.name} ", "dim"), styled(cell))
            for column, cell in list(zip(columns, row, strict=True))[2:]
            if cell
        ]
        out.print(Padding(Text(", ", overflow="fold").join(named), (0, 0, 0, _GAP)))


def _without_empty(columns: Sequence[Column], cells: list[list[str]]) -> tuple[Sequence[Column], list[list[str]]]:
    """Leave out the columns that are empty in every row."""
    kept = [index for index, _ in enumerate(columns) if index < _ALWAYS or any(row[index] for row in cells)]
    return [columns[index] for index in kept], [[row[index] for index in kept] for row in cells]


def _least_width(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> int:
    width = -_GAP
    for index, column in enumerate(columns):
        longest = max(map(cell_len, [column.name, *(row[index] for row in cells)]))
        width += _GAP + (min(longest, _LEAST_FLEXIBLE) if column.flexible else longest)
    return width
