"""A console that a host serves, with a worker and a customer's system, all real: what a browser opens in tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from attrs import frozen
from waiting import wait_for

from unihooks import Catalog, Delivery, Dispatcher, EventSubscription, Webhook
from unihooks.console import Permission, Viewer
from unihooks.testing import Receiver

EGRESS_IP = "157.175.105.131"
PORTAL_SECRET = "a secret of the host's, of 32 or more"
AUTHORIZATION = "Bearer s3cr3t-of-crm"
EXAMPLE = {
    "messageId": "4ac6890b-1756-4d6d-8a11-2b9c6d0e4f10",
    "sender": {"contact": "+966500000001", "name": "Sara"},
    "content": {"type": "text", "text": "Hello"},
}
SCHEMA = {
    "type": "object",
    "required": ["messageId", "sender"],
    "properties": {
        "messageId": {"type": "string", "description": "Identifies the message"},
        "sender": {
            "type": "object",
            "properties": {"contact": {"type": "string", "description": "Phone number"}, "name": {"type": "string"}},
        },
        "content": {"type": "object", "properties": {"type": {"enum": ["text", "image"]}, "text": {"type": "string"}}},
    },
}


@frozen
class Site:
    """A console below a path of a host, with its dispatcher and receiver; its customer is the tenant acme."""

    url: str
    dispatcher: Dispatcher
    receiver: Receiver

    def crm(self, path: str = "/hooks") -> str:
        """Return the URL of a path of the customer's system."""
        return self.receiver.url_for(path, host="crm.example.com")

    def add_webhook(self, *paths: str, **fields: Any) -> Webhook:
        """Add the customer's webhook for messages, switched on."""
        fields.setdefault("name", "CRM sync")
        fields.setdefault("endpoints", [self.crm(path) for path in paths or ("/hooks",)])
        fields.setdefault("subscriptions", [EventSubscription("whatsapp", "message.received")])
        fields.setdefault("status", "active")
        return self.dispatcher.webhooks.add(Webhook(**fields), tenant="acme")

    def webhooks(self) -> list[Webhook]:
        """Return the customer's webhooks."""
        return list(self.dispatcher.webhooks.list(tenant="acme"))

    def reread(self, webhook: Webhook) -> Webhook:
        """Return a webhook as it is now."""
        return self.dispatcher.webhooks.get(webhook.id, tenant="acme")

    def emit(self, count: int = 1, *, payload: Any = EXAMPLE, subject: str | None = None) -> None:
        """Emit messages, and wait until the log has the response of each endpoint."""
        emit = self.dispatcher.emit
        events = {
            emit("whatsapp", "message.received", payload, tenant="acme", subject=subject).id for _ in range(count)
        }

        def are_answered() -> bool:
            made = [one for one in self.deliveries() if one.event_id in events]
            return {one.event_id for one in made} == events and all(one.attempt_count for one in made)

        wait_for(are_answered)

    def deliveries(self, **filters: Any) -> list[Delivery]:
        """Return the customer's deliveries, the newest first."""
        return list(self.dispatcher.log.deliveries(tenant="acme", limit=250, **filters))


def catalog() -> Catalog:
    """Return the events of a host that sends messages."""
    offered = Catalog()
    whatsapp = offered.add_product("whatsapp", title="WhatsApp", description="Messages of your numbers")
    whatsapp.add_event(
        "message.received",
        title="Message received",
        description="Somebody wrote to one of your numbers",
        example=EXAMPLE,
        schema=SCHEMA,
    )
    whatsapp.add_event("message.read", title="Message read", example={"messageId": "4ac6890b", "status": "read"})
    offered.add_product("sms", title="SMS").add_event("sent", title="SMS sent", example={"id": 1, "to": "+966500000"})
    return offered


def viewer_from_cookie(request: Any) -> Viewer | None:
    """Return the viewer that a cookie names, as a host's session would."""
    tenant = request.cookies.get("tenant")
    permissions = request.cookies.get("permissions", "read-write-send-secrets-operate").split("-")
    return Viewer(tenant, "Ada Lovelace", set(map(Permission, permissions))) if tenant else None


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an application, and give its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
