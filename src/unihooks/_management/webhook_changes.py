"""The verbs of `dispatcher.webhooks` that change a webhook: add, update, switch on and off, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen

from unihooks._base.awaitable import awaitable
from unihooks._base.ids import new_id
from unihooks._base.sentences import said
from unihooks._base.times import from_us
from unihooks._management.signing_secrets import check_signing, stamped
from unihooks._management.webhook_reading import WebhookReading
from unihooks._message.secrets import Secret
from unihooks._model.checks import check_id, check_tenant
from unihooks._model.endpoints import matched_endpoints, new_endpoints, normaliser
from unihooks._model.webhooks import ActiveInterval, Webhook, WebhookStatus
from unihooks.exceptions import InvalidArgument, InvalidHeader, InvalidWebhook

_CHANGEABLE = (
    "name",
    "description",
    "endpoints",
    "subscriptions",
    "mapping",
    "headers",
    "policy",
    "metadata",
    "ordered",
)


@frozen
class WebhookChanges(WebhookReading):
    """The verbs of `Webhooks` that change a webhook as a whole."""

    def add(self, webhook: Webhook, *, tenant: str = "default") -> Webhook:
        """Store a new webhook and return it with id, version, times and secrets.

        It is inactive unless it was built with `status=WebhookStatus.ACTIVE`. A secret is generated if none is given.
        `LimitReached` if the tenant has as many webhooks or endpoints as `Limits` allow.
        """
        added, limits = self._complete(webhook, check_tenant(tenant)), self._settings.limits
        self._settings.open_store.add_webhook(
            added, at_most=limits.webhooks_per_tenant, endpoints=limits.endpoints_per_tenant
        )
        self._settings.changes.changed(added)
        return added

    def _complete(self, webhook: Webhook, tenant: str) -> Webhook:
        """Return a new webhook as it would be stored."""
        _check_webhook(webhook, tenant)
        secrets = webhook.secrets or (Secret.generate(),)
        check_signing(secrets)
        webhook.policy.check_bounds(self._settings.limits)
        now = self._settings.open_store.now()
        moment = from_us(now)
        added = evolve(
            webhook,
            id=new_id("wh_", now),
            tenant=tenant,
            version=1,
            endpoints=new_endpoints(self._bounded(webhook).endpoints, normaliser(self._settings.targets), now),
            secrets=stamped(secrets, moment),
            created_at=moment,
            updated_at=moment,
            interval=_activation(now) if webhook.active else None,
        )
        self._check_subscriptions(added)
        return added

    def delete(self, id: str, *, tenant: str = "default", version: int | None = None) -> None:
        """Delete a webhook and cancel its pending deliveries; its log stays.

        Here and below, a `version`, if given, must be the current one; otherwise `Conflict` is raised.
        """
        _check_version(version)
        id_ = check_id("webhook", id)
        deleted = self._settings.open_store.delete_webhook(check_tenant(tenant), id_, version=version)
        self._settings.changes.changed(deleted)

    def update(self, id: str, *, tenant: str = "default", version: int | None = None, **changes: Any) -> Webhook:
        """Change name, description, endpoints, subscriptions, mapping, headers, policy, metadata or ordered.

        What is left out stays as it is. A `version`, if given, must be the current one; otherwise `Conflict` is raised.
        An endpoint with the id or the URL of an existing one keeps that one's id, health and pending deliveries. An
        endpoint that is left out of `endpoints` is removed, and its pending deliveries are cancelled.
        """
        unknown = set(changes) - set(_CHANGEABLE)
        if unknown:
            name = min(unknown)
            raise InvalidWebhook(f"{name!r} cannot be changed by update; it takes {', '.join(_CHANGEABLE)}", name=name)
        return self._revise(id, tenant, lambda current: self._changed(current, changes), version)

    def activate(self, id: str, *, tenant: str = "default", version: int | None = None) -> Webhook:
        """Activate a webhook: it gets events emitted from now on, and held deliveries resume."""
        return self._revise(id, tenant, self._activated, version)

    def deactivate(self, id: str, *, tenant: str = "default", version: int | None = None) -> Webhook:
        """Deactivate a webhook: it gets no later events, and its pending deliveries are held."""
        return self._revise(id, tenant, self._deactivated, version)

    aadd = awaitable(add)
    adelete = awaitable(delete)
    aupdate = awaitable(update)
    aactivate = awaitable(activate)
    adeactivate = awaitable(deactivate)

    def _revise(
        self, webhook_id: str, tenant: str, revise: Callable[[Webhook], Webhook], version: int | None = None
    ) -> Webhook:
        _check_version(version)
        before: Webhook | None = None

        def noting(current: Webhook) -> Webhook:
            nonlocal before
            before = current
            current.check_version(version)
            return revise(current)

        revised = self._settings.open_store.revise_webhook(
            check_tenant(tenant),
            check_id("webhook", webhook_id),
            noting,
            endpoints=self._settings.limits.endpoints_per_tenant,
        )
        self._settings.open_store.wake()
        if before is not None:
            self._settings.changes.revised(before, revised)
        return revised

    def _changed(self, current: Webhook, changes: dict[str, Any]) -> Webhook:
        changed = self._bounded(evolve(current, **changes))
        if "endpoints" in changes:
            now = self._settings.open_store.now()
            matched = matched_endpoints(changed.endpoints, current.endpoints, normaliser(self._settings.targets), now)
            changed = evolve(changed, endpoints=matched)
        if "policy" in changes:
            changed.policy.check_bounds(self._settings.limits)
        if "subscriptions" in changes:
            self._check_subscriptions(changed)
        # An update that changes nothing makes no new version, and calls no hook.
        return current if changed == current else self._touched(changed)

    def _activated(self, current: Webhook) -> Webhook:
        if current.active:
            return current
        active = _activation(self._settings.open_store.now())
        return self._touched(evolve(current, status=WebhookStatus.ACTIVE, interval=active))

    def _deactivated(self, current: Webhook) -> Webhook:
        if not current.active or current.interval is None:
            return current
        now = self._settings.open_store.now()
        interval = evolve(current.interval, deactivated_at=now, deactivated_mark=new_id("mrk_", now))
        return self._touched(evolve(current, status=WebhookStatus.INACTIVE, interval=interval))

    def _touched(self, webhook: Webhook) -> Webhook:
        return evolve(webhook, version=webhook.version + 1, updated_at=from_us(self._settings.open_store.now()))

    def _bounded(self, webhook: Webhook) -> Webhook:
        most = self._settings.limits.endpoints_per_webhook
        if len(webhook.endpoints) > most:
            sentence = said(
                "too-many-endpoints", "a webhook has at most {most} endpoints; use another webhook", most=most
            )
            raise InvalidWebhook(sentence, name="endpoints")
        for header in webhook.headers:
            if self._settings.names.owns(header):
                sentence = said("header-own", "header {name!r} is set by the sender itself; remove it", name=header)
                raise InvalidHeader(sentence, name=header)
        return webhook

    def _check_subscriptions(self, webhook: Webhook) -> None:
        catalog = self._settings.catalog
        if catalog is not None:
            for one in webhook.subscriptions:
                catalog.check_subscription(one.product, one.event_type)


def _activation(now: int) -> ActiveInterval:
    return ActiveInterval(activated_at=now, activated_mark=new_id("mrk_", now))


def _check_webhook(webhook: object, tenant: str) -> None:
    if not isinstance(webhook, Webhook):
        raise InvalidWebhook("add takes a Webhook(name=..., endpoints=[...])", name="webhook")
    # A webhook that has an id was stored before: adding it makes a copy, which may be another tenant's.
    if not webhook.id and webhook.tenant not in ("default", tenant):
        raise InvalidArgument("tenant must be given to add, as in add(webhook, tenant=...)", name="tenant")


def _check_version(version: object) -> None:
    if not isinstance(version, int | None) or isinstance(version, bool):
        raise InvalidArgument("version must be a whole number, as in webhook.version, or None", name="version")
