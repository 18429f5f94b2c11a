"""Operational events: what happens to a tenant's webhooks, for webhooks that subscribe to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from attrs import fields, frozen

from unihooks._message.payload import encode_checked
from unihooks._model.endpoints import enabled
from unihooks._model.webhooks import Endpoint, Webhook

PRODUCT = "webhooks"
ENDPOINT_FAILING = "endpoint.failing"
ENDPOINT_RECOVERED = "endpoint.recovered"
ENDPOINT_DISABLED = "endpoint.disabled"
DELIVERY_FAILED = "delivery.failed"
WEBHOOK_CREATED = "webhook.created"
WEBHOOK_UPDATED = "webhook.updated"
WEBHOOK_ACTIVATED = "webhook.activated"
WEBHOOK_DEACTIVATED = "webhook.deactivated"
WEBHOOK_DELETED = "webhook.deleted"
SECRET_ROTATED = "secret.rotated"  # noqa: S105 - the name of an event

_NOT_TOLD = {"id", "tenant", "version", "status", "secrets", "created_at", "updated_at", "interval"}


@frozen
class OperationalEvent:
    """An event in the life of a webhook; `facts` are ids, names, a status and a reason, but never a secret."""

    tenant: str
    webhook_id: str
    event_type: str
    facts: dict[str, Any]

    def body(self, at: datetime) -> bytes:
        """Return the payload of the event, which is emitted at that time."""
        return encode_checked({"at": at.isoformat(), **self.facts})


@frozen
class Place:
    """An endpoint and its webhook, as operational events name them."""

    tenant: str
    webhook_id: str
    webhook_name: str
    endpoint: Endpoint

    def happened(self, event_type: str, reason: str | None, status_code: int | None, **facts: Any) -> OperationalEvent:
        """Return an event of this endpoint, with the status of the last response and the reason."""
        named = {
            "webhook": {"id": self.webhook_id, "name": self.webhook_name},
            "endpoint": {"id": self.endpoint.id, "origin": self._origin, "description": self.endpoint.description},
        }
        facts = {**named, **facts, "reason": reason, "status_code": status_code}
        return OperationalEvent(self.tenant, self.webhook_id, event_type, facts)

    @property
    def _origin(self) -> str:
        # The path and the query of a URL may be as good as a password.
        scheme, _, place = self.endpoint.origin.partition("://")
        return f"{scheme}://{place.rpartition('@')[2]}"


def created(webhook: Webhook) -> OperationalEvent:
    """Return the event of a webhook that was added."""
    return _webhook_event(WEBHOOK_CREATED, webhook)


def deleted(webhook: Webhook) -> OperationalEvent:
    """Return the event of a webhook that was deleted, given as it was before."""
    return _webhook_event(WEBHOOK_DELETED, webhook)


def revised(old: Webhook, new: Webhook) -> list[OperationalEvent]:
    """Return the events for a change of a webhook; none if nothing has changed."""
    return [] if new == old else list(_revised(old, new))


def newly_disabled(old: Webhook, new: Webhook) -> list[Endpoint]:
    """Return the endpoints that a change has disabled."""
    before = {endpoint.id for endpoint in old.endpoints if endpoint.enabled}
    return [endpoint for endpoint in new.endpoints if endpoint.id in before and not endpoint.enabled]


def _revised(old: Webhook, new: Webhook) -> Iterator[OperationalEvent]:
    told = False
    if new.status != old.status:
        told = True
        yield _webhook_event(WEBHOOK_ACTIVATED if new.active else WEBHOOK_DEACTIVATED, new)
    if new.secrets[:1] != old.secrets[:1]:
        told = True
        ends = [secret.expires_at for secret in new.secrets[1:] if secret.expires_at is not None]
        yield _webhook_event(SECRET_ROTATED, new, previous_until=max(ends).isoformat() if ends else None)
    for endpoint in newly_disabled(old, new):
        told = True
        yield Place(new.tenant, new.id, new.name, endpoint).happened(ENDPOINT_DISABLED, endpoint.disabled_reason, None)
    changed = _changed(old, new)
    if changed or not told:
        yield _webhook_event(WEBHOOK_UPDATED, new, changed=changed)


def _changed(old: Webhook, new: Webhook) -> list[str]:
    """Return the names of the fields that differ, except for those that other events report."""
    for endpoint in newly_disabled(old, new):
        new = new.with_endpoint(enabled(endpoint))
    names = [one.name for one in fields(Webhook) if one.name not in _NOT_TOLD]
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def _webhook_event(event_type: str, webhook: Webhook, **facts: Any) -> OperationalEvent:
    named = {"id": webhook.id, "name": webhook.name, "status": webhook.status.value, "version": webhook.version}
    return OperationalEvent(webhook.tenant, webhook.id, event_type, {"webhook": named, **facts})
