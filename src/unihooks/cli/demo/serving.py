"""Serve the demo's console on this machine until Ctrl-C."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import click

from unihooks._dispatcher import Dispatcher

_EVERY_SECONDS = 3.0
_HOST = "127.0.0.1"


def serve_console(dispatcher: Dispatcher, *, tenant: str, port: int, emit: Callable[[], Any]) -> None:
    """Serve the console and print a link that opens it as this tenant; call `emit` every few seconds."""
    try:
        import uvicorn

        from unihooks.console import Permission, Viewer, create_console, only_portal_links, portal_link
    except ImportError as error:
        sentence = "--serve needs an extra; install it with: pip install 'unihooks[demo]'"
        raise click.ClickException(sentence) from error
    secret = secrets.token_hex(32)
    app = create_console(dispatcher, authenticate=only_portal_links, secret=secret)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with _listening(port) as listener:
        url = f"http://{_HOST}:{listener.getsockname()[1]}"
        viewer = Viewer(tenant, "Demo", frozenset(Permission))
        link = portal_link(url, viewer, secret=secret, lifetime=timedelta(hours=24), session=timedelta(hours=24))
        click.echo(f"\nThe console, until Ctrl-C:\n{link}")
        with _repeating(emit), contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((_HOST, port))
    except OSError as error:
        raise click.ClickException(f"port {port} cannot be used: {error.strerror}; use another --port") from None
    with listener:
        yield listener


@contextlib.contextmanager
def _repeating(action: Callable[[], Any]) -> Iterator[None]:
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(_EVERY_SECONDS):
            action()

    thread = threading.Thread(target=repeat, name="unihooks-demo-events")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
