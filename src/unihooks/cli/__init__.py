"""The command `unihooks`: try it, run a worker, read the log and replay from a terminal."""

from __future__ import annotations

import os
import sys

_EXTRA = ("click", "rich")
_USAGE_ERROR = 2


def main() -> None:
    """Run the command line; if its extra is missing, say so and exit with 2."""
    try:
        from unihooks.cli._commands import cli
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        print("The command line needs an extra; install it with: pip install 'unihooks[cli]'", file=sys.stderr)  # noqa: T201
        sys.exit(_USAGE_ERROR)
    try:
        cli(prog_name="unihooks")
    except OSError as error:
        # The remaining output would fail again when the interpreter ends, this time with a traceback.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        print(f"Error: the output cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
