"""A store with a failed past, and a way to run commands on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from click.testing import CliRunner, Result

from unihooks import Dispatcher, EventSubscription, HeaderSet, PayloadMapping, RetryPolicy, Webhook
from unihooks.cli._commands import cli
from unihooks.stores import SQLiteStore

SECRET = "s3cr3t"


@attrs.frozen
class Past:
    """A database file in which two events failed at two endpoints, and the webhook that they belong to."""

    path: Path
    dispatcher: Dispatcher
    webhook: Webhook

    def deliveries(self, **filters: Any) -> list[Any]:
        return list(self.dispatcher.log.deliveries(limit=250, **filters))


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    path = tmp_path / "webhooks.db"
    transport = httpx.MockTransport(lambda _: httpx.Response(500, text="\x1b[31mout of order\n"))
    retries = RetryPolicy.from_delays([])
    with Dispatcher(SQLiteStore(path), transport=transport, targets=None, retries=retries) as dispatcher:
        webhook = dispatcher.webhooks.add(
            Webhook(
                name="CRM\x1b[31m [red]sync[/red]",
                endpoints=[f"https://crm.example.com/hooks?key={SECRET}", "https://audit.example.com/in"],
                subscriptions=[EventSubscription("whatsapp", "*")],
                mapping=PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}),
                headers=HeaderSet({"Authorization": f"Bearer {SECRET}"}),
            )
        )
        dispatcher.webhooks.activate(webhook.id)
        dispatcher.emit_many([("whatsapp", "message.received", {"n": n}) for n in range(2)])
        assert dispatcher.drain().failed == 4
        yield Past(path, dispatcher, webhook)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run a command as `unihooks ...` would; raise what it does not catch."""
    monkeypatch.delenv("UNIHOOKS_APP", raising=False)

    def run(*arguments: object, **options: Any) -> Result:
        result = CliRunner().invoke(cli, [str(one) for one in arguments], prog_name="unihooks", **options)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def run_json(run: Callable[..., Result]) -> Callable[..., Any]:
    """Run a command with `--json` and return its stdout."""
    return lambda *arguments: json.loads(run(*arguments, "--json").stdout)
