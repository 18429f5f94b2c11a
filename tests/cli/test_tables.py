"""The layout of rows on terminals of any width, and in pipes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from unihooks.cli._tables import Column, plain, show_fields, show_rows

ID = "dlv_01M862GC443P2CASY4141M0TGD"
COLUMNS = [Column("id"), Column("state"), Column("none"), Column("url", flexible=True)]
ROWS = [[ID, "failed", None, "https://crm.example.com/" + "long/" * 12]]


def drawn(width, rows=ROWS, show=show_rows, **options):
    out = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True, markup=False, highlight=False)
    show(*([COLUMNS] if show is show_rows else []), rows, out=out, **options)
    return out.file.getvalue()


@pytest.mark.parametrize("width", [32, 40, 60, 80, 120, 300])
def test_nothing_is_cut_at_any_width(width):
    text = drawn(width)
    assert ID in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert ROWS[0][3] in "".join(text.split()).replace("url", "")
    assert (
        max(map(len, text.replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines())) <= width
    )


def test_column_that_says_nothing_is_left_out():
    assert "none" not in drawn(120)
    assert "none" in drawn(120, [[ID, "failed", "here", "x"]])


def test_narrow_terminal_gets_a_block_per_row():
    first, second, *_ = drawn(44).splitlines()
    assert (ID in first, "failed" in first) == (True, True)
    assert "url" in second


def test_no_color_means_no_colour():
    assert "\x1b[31m" not in drawn(120)


def test_markup_and_escapes_of_customers_are_shown_literally():
    text = drawn(120, [[ID, "failed", "[red]x[/red]", "\x1b]0;title\x07\n\u202eabc"]])
    assert "[red]x[/red]" in text
    assert "\\x1b]0;title\\x07\\n\\u202eabc" in text


def test_plain_text_stays_as_it_is():
    assert (
        plain("Zahlung erhalten: \u0645\u0631\u062d\u0628\u0627") == "Zahlung erhalten: \u0645\u0631\u062d\u0628\u0627"
    )


def test_fields_without_value_are_left_out():
    text = drawn(80, [("state", "failed"), ("reason", None), ("count", 0)], show_fields)
    assert "reason" not in text
    assert "count" in text
