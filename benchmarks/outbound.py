"""Deliver with django-outbound-webhooks and its own relay, which is also durable and signed."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from receiver import wait_for
from tasks import SECRET, Meter, Task

_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_domain_events", "django_outbound_webhooks"]
_TABLES = {
    "events": "django_domain_events_eventrecord",
    "deliveries": "django_domain_events_deliveryrecord",
    "attempts": "django_outbound_webhooks_deliveryattempt",
}


def why_not() -> str:
    """Return why it cannot be compared, or nothing."""
    return "" if find_spec("django_outbound_webhooks") else "it is not installed"


def outbound(task: Task, count: Any) -> dict[str, float]:
    """Fire events in batches of 50 and let one relay, in a thread of this process, deliver them."""
    with tempfile.TemporaryDirectory(prefix="unihooks-bench-") as folder:
        _set_up(task, folder)
        events = _declare(task)
        ended = threading.Event()
        relay = threading.Thread(target=_relay, args=(ended,))
        relay.start()
        try:
            _fire(events, task.warm)
            wait_for(count, task.warm)
            meter = Meter()
            _fire(events, task.count)
            wait_for(count, task.warm + task.count)
            figures = meter.read(task.count)
        finally:
            ended.set()
            relay.join()
        return {**figures, **_log()}


def _set_up(task: Task, folder: str) -> None:
    authority = Path(folder) / "authority.pem"
    authority.write_text(task.address.authority)
    os.environ["SSL_CERT_FILE"] = str(authority)
    import django
    from django.conf import settings
    from django.core.management import call_command

    database = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(Path(folder) / "db"),
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL",
            "timeout": 30,
        },
    }
    settings.configure(
        INSTALLED_APPS=_APPS,
        DATABASES={"default": database},
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DJANGO_OUTBOUND_WEBHOOKS={"ALLOW_PRIVATE_ADDRESSES": True, "DEFAULT_FORMAT": "payload"},
        DJANGO_DOMAIN_EVENTS={"POLL_SECONDS": 0.01},
    )
    django.setup()
    call_command("migrate", verbosity=0)


def _declare(task: Task) -> list[Any]:
    """Make one kind of event for each endpoint, whose body is the payload itself."""
    from django_domain_events import event
    from django_outbound_webhooks import formats, register_endpoint
    from django_outbound_webhooks.types.rendered_body import RenderedBody

    class Payload:
        name = "payload"
        version = 1

        def render(self, *, payload: dict[str, Any], **_: object) -> Any:
            body = json.dumps({"id": payload["id"], **payload}, separators=(",", ":")).encode()
            return RenderedBody(body=body, content_type="application/json")

    formats.register(Payload())
    events = []
    for number, url in enumerate(task.urls):
        name = f"bench.{number}"
        kind = event(name=name)(_new_kind(number))
        register_endpoint(name=url, url=url, secret=SECRET, event_names=[name])
        events.append(kind(**task.payload))
    return events


def _new_kind(number: int) -> type:
    from dataclasses import make_dataclass

    return make_dataclass(f"Bench{number}", [("id", int), ("text", str), ("tags", list[str])], frozen=True)


def _fire(events: Sequence[Any], how_many: int) -> None:
    from django.db import transaction
    from django_domain_events import fire

    for start in range(0, how_many, 50):
        with transaction.atomic():
            for number in range(start, min(how_many, start + 50)):
                fire(events[number % len(events)])


def _relay(ended: threading.Event) -> None:
    from django.db import connection
    from django_domain_events.delivery.run_relay import run_relay

    run_relay(worker_id="bench", stop=ended.is_set, allow_unsafe_concurrency=True)
    connection.close()


def _log() -> dict[str, float]:
    from django.db import connection

    counts = {}
    with connection.cursor() as cursor:
        for name, table in _TABLES.items():
            cursor.execute(f"SELECT count(*) FROM {table}")
            counts[name] = cursor.fetchone()[0]
    return {**counts, "delivered": counts["attempts"]}
