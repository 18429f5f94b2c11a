"""Print what happens in the demo, step by step."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from unihooks._model.log import Attempt, Delivery, Event
from unihooks._model.webhooks import Webhook
from unihooks.cli._tables import Column, plain, show_fields, show_rows, table
from unihooks.cli._values import HIDDEN, state_of, time

if TYPE_CHECKING:
    from unihooks.testing import ReceivedRequest

_WIDE = 400
_SHOWN_HEADERS = (
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "unihooks-product",
    "unihooks-event",
    "authorization",
)


class Story:
    """The printer of the demo's steps; a silent one prints nothing.

    In a pipe, lines are as long as they need to be.
    """

    def __init__(self, *, silent: bool = False) -> None:
        width = None if sys.stdout.isatty() else _WIDE
        self._out = Console(quiet=silent, width=width, highlight=False, markup=False, emoji=False)
        self._steps = 0
        self._headers_shown = False

    def registered(self, webhook: Webhook, path: Path) -> None:
        """Print the customer's configuration."""
        self._step("A customer adds a webhook and activates it")
        self._fields(
            ("store", f"{path} (SQLite)"),
            ("webhook", webhook.id),
            *(("endpoint", endpoint.url) for endpoint in webhook.endpoints),
            ("events", ", ".join(f"{one.product} {one.event_type}" for one in webhook.subscriptions)),
            ("remove", ", ".join(webhook.mapping.remove)),
            ("rename", ", ".join(f"{old} to {new}" for old, new in webhook.mapping.rename.items())),
            ("headers", f"{', '.join(webhook.headers)} (values are never shown)"),
        )

    def emitted(self, event: Event) -> None:
        """Print the emitted event."""
        self._step("The host emits an event, which is stored on disk before anything is sent")
        self._fields(("event", event.id), ("type", f"{event.product} {event.event_type}"))

    def mapped(self, before: Any, after: Any) -> None:
        """Print the changes that the mapping makes in the payload."""
        self._step("The mapping turns the payload into the one that this customer wants")
        for mark, line in _changes(before, after):
            self._say(f"{mark} {line}", {"-": "red", "+": "green"}.get(mark, ""))

    def working(self) -> None:
        """Print that the worker starts."""
        self._step("A worker signs it and sends it over HTTPS with verified certificates")

    def arrived(self, request: ReceivedRequest, *, verified: bool, seconds: float) -> None:
        """Print that a request has arrived, and the headers of the first one."""
        check = "signature verified" if verified else "NOT VERIFIED"
        where = f"https://{request.headers.get('host', '')}{request.path}"
        self._say(f"+{seconds:.2f} s  {where}  {len(request.body)} bytes, {check}", "green" if verified else "bold red")
        if not self._headers_shown:
            self._headers_shown = True
            pairs = [(name, _shown(name, request)) for name in _SHOWN_HEADERS if name in request.headers]
            self._out.print(
                table([Column(""), Column("", flexible=True)], [(f"  {n}", plain(v)) for n, v in pairs], heading=False)
            )

    def failed_once(self, delivery: Delivery | None) -> None:
        """Print that a delivery waits for its retry."""
        if delivery is None:
            self._say("no delivery waits for a retry, but one should", "bold red")
            return
        self._step(
            "The second endpoint returned 503, so its delivery is tried again: the same bytes with a new signature"
        )
        self._fields(("delivery", delivery.id), ("next attempt", time(delivery.next_attempt_at)))

    def forged(self, *, refused: bool) -> None:
        """Print whether a forged body was refused."""
        self._say(
            f"a body that was changed on the way is {'refused by verify' if refused else 'ACCEPTED'}",
            "" if refused else "bold red",
        )

    def log(self, event: Event, deliveries: Sequence[Delivery], attempts: Sequence[Attempt]) -> None:
        """Print the log."""
        self._step("The log has recorded everything")
        columns = [Column("event"), Column("type", flexible=True), Column("created")]
        self._rows(columns, [[event.id, f"{event.product} {event.event_type}", time(event.created_at)]])
        columns = [Column("delivery"), Column("state"), Column("attempts"), Column("url", flexible=True)]
        self._rows(columns, [[one.id, state_of(one), one.attempt_count, one.url] for one in deliveries])
        columns = [Column("attempt of"), Column("number"), Column("started"), Column("ms"), Column("response")]
        rows = [
            [one.delivery_id, one.number, time(one.started_at), f"{one.duration_ms:.1f}", one.status_code or one.error]
            for one in attempts
        ]
        self._rows(columns, rows)

    def end(self, *, ok: bool, seconds: float) -> None:
        """Print the outcome."""
        self._out.print()
        if ok:
            self._say(f"Everything arrived and was verified in {seconds:.1f} s.", "bold green")
        else:
            self._say(f"Not everything arrived as it should in {seconds:.1f} s; see the log above.", "bold red")

    def _step(self, sentence: str) -> None:
        self._steps += 1
        self._out.print()
        self._say(f"{self._steps}. {sentence}", "bold")

    def _say(self, text: str, style: str = "") -> None:
        self._out.print(Text(plain(text), style=style), overflow="fold")

    def _fields(self, *fields: tuple[str, object]) -> None:
        show_fields([(f"  {name}", value) for name, value in fields], out=self._out, aligned=True)

    def _rows(self, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        show_rows(columns, rows, out=self._out, aligned=True)
        self._out.print()


def _changes(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    """Yield the lines of two payloads, each with `-`, `+` or a space; a comma alone is no change."""
    old, new = (json.dumps(one, indent=2).splitlines() for one in (before, after))
    matcher = SequenceMatcher(None, [line.rstrip(",") for line in old], [line.rstrip(",") for line in new])
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        for line in old[start:end]:
            yield (" " if kind == "equal" else "-"), line
        if kind != "equal":
            for line in new[new_start:new_end]:
                yield "+", line


def _shown(name: str, request: ReceivedRequest) -> str:
    return HIDDEN if name == "authorization" else request.headers[name]
