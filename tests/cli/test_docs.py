"""The reference of the command line is complete."""

from __future__ import annotations

from pathlib import Path

import click

from unihooks.cli._commands import cli

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def named(group, path="unihooks"):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from named(command, f"{path} {name}")
        else:
            yield f"{path} {name}"
            yield from (option for one in command.params for option in one.opts if option.startswith("--"))


def test_reference_names_every_command_and_option():
    text = REFERENCE.read_text(encoding="utf-8")
    assert [name for name in dict.fromkeys(named(cli)) if f"`{name}" not in text] == []
