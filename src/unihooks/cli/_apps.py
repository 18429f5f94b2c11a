"""Find the dispatcher that a command works on: an application's, or one on an SQLite file."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from unihooks._dispatcher import Dispatcher

VARIABLE = "UNIHOOKS_APP"
_FORM = "module:attribute, such as myapp.hooks:dispatcher"

Command = Callable[..., Any]


def with_app(command: Command) -> Command:
    """Pass the dispatcher of `--app` to the command, and close it at the end."""

    @_app_option
    @wraps(command)
    def run(*, app: str | None, **rest: Any) -> Any:
        if app is None:
            raise click.UsageError(f"name the dispatcher with --app {_FORM}, or set {VARIABLE}")
        with load(app) as dispatcher:
            return command(dispatcher, **rest)

    return run


def with_dispatcher(command: Command) -> Command:
    """Pass the dispatcher of `--app` or `--sqlite` to the command, and close it at the end."""

    @_app_option
    @click.option(
        "--sqlite",
        metavar="PATH",
        type=click.Path(dir_okay=False, path_type=Path),
        help="An SQLite file to use instead of --app.",
    )
    @wraps(command)
    def run(*, app: str | None, sqlite: Path | None, **rest: Any) -> Any:
        with _chosen(app, sqlite) as dispatcher:
            return command(dispatcher, **rest)

    return run


def load(text: str) -> Dispatcher:
    """Return the dispatcher that `module:attribute` names, or that the callable there returns."""
    module_name, _, attribute = text.partition(":")
    if not attribute or not all(part.isidentifier() for part in [*module_name.split("."), *attribute.split(".")]):
        raise click.UsageError(f"{text!r} does not have the form {_FORM}")
    found: Any = _imported(module_name)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise click.UsageError(f"module {module_name!r} has no attribute {attribute!r}") from None
    if callable(found):
        found = _guarded(found, f"calling {text}")
    if not isinstance(found, Dispatcher):
        raise click.UsageError(f"{text} must be a Dispatcher or return one, not {type(found).__name__!r}")
    return found


_app_option = click.option(
    "--app",
    metavar="MODULE:ATTRIBUTE",
    envvar=VARIABLE,
    show_envvar=True,
    help="The dispatcher, or a callable that returns it.",
)


def _chosen(app: str | None, sqlite: Path | None) -> Dispatcher:
    context = click.get_current_context()
    if sqlite is None and app is None:
        raise click.UsageError(f"name the store with --app {_FORM}, or with --sqlite PATH")
    if sqlite is None:
        return load(str(app))
    if app is not None and context.get_parameter_source("app") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--app and --sqlite exclude each other; use one of them")
    # Only `migrate` creates a file; for other commands, a path that does not exist is a mistake.
    if context.info_name != "migrate" and not sqlite.exists():
        raise click.UsageError(f"there is no file {str(sqlite)!r}; `unihooks migrate --sqlite PATH` creates it")
    from unihooks.stores import SQLiteStore

    return Dispatcher(SQLiteStore(sqlite, migrate=False))


def _imported(module_name: str) -> Any:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return _guarded(lambda: importlib.import_module(module_name), f"importing {module_name}")
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise click.UsageError(
                f"there is no module {error.name!r} in {folder} or among the installed packages"
            ) from None
        sentence = f"importing {module_name} failed: it needs the module {error.name!r}, which is not installed"
        raise click.ClickException(sentence) from None


def _guarded(action: Callable[[], Any], doing: str) -> Any:
    """Run the application's code; turn an exception into one sentence that says where it was raised."""
    try:
        return action()
    except (ModuleNotFoundError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  # the application may raise anything, even by sys.exit
        raise click.ClickException(f"{doing} failed: {type(error).__name__}: {error}{_place(error)}") from None


def _place(error: BaseException) -> str:
    """Return where in the application's files an error was raised, if it was."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame for frame in frames if frame.filename not in (__file__, importlib.__file__) and frame.filename[0] != "<"
    ]
    return f" ({os.path.relpath(own[-1].filename)}, line {own[-1].lineno})" if own else ""
