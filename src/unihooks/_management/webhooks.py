"""The verbs of `dispatcher.webhooks`: add, change, switch on and off, rotate secrets, test, preview."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from functools import partial
from operator import attrgetter
from typing import Any

from attrs import evolve, frozen

from unihooks._base.awaitable import awaitable
from unihooks._base.event_loops import run_in_new_loop
from unihooks._base.ids import new_id
from unihooks._base.times import from_us
from unihooks._contract.filters import name_position
from unihooks._contract.statistics import HOUR, Activity, WebhookHealth, activity
from unihooks._management.paging import Page, paginate
from unihooks._management.settings import Settings
from unihooks._management.signing_secrets import check_signing, checked_overlap, rotated, stamped
from unihooks._message.mapping import Preview
from unihooks._message.secrets import Secret, kind_of
from unihooks._model.checks import (
    check_choice,
    check_filters,
    check_id,
    check_member,
    check_number,
    check_tenant,
    check_text,
)
from unihooks._model.endpoints import disabled, enabled, find_endpoint, matched_endpoints, new_endpoints, normaliser
from unihooks._model.log import Attempt
from unihooks._model.products import check_name, covers
from unihooks._model.webhooks import ActiveInterval, Endpoint, EventSubscription, Webhook, WebhookStatus
from unihooks.abc import WebhookFilter
from unihooks.exceptions import Conflict, InvalidArgument, InvalidWebhook

_CHANGEABLE = ("name", "description", "endpoints", "subscriptions", "mapping", "headers")
_MOST_HOURS = 720
_MOST_REASON = 200
_HEALTHS = {"failing": True, "healthy": False}

Attempts = list[Attempt]
SendTest = Callable[[Webhook, str, str, Any, str | None], Coroutine[Any, Any, Attempts]]


@frozen
class Webhooks:
    """The webhooks of each tenant; another tenant's ids are not found.

    A change applies to all events that are emitted after it returned. An unknown id raises `NotFound`, bad
    input an error that is also a `ValueError` (and nothing is stored), a store that cannot be used `StoreError`.
    """

    _settings: Settings
    _send: SendTest

    def add(self, webhook: Webhook, *, tenant: str = "default") -> Webhook:
        """Store a new webhook and return it with id, version, times and secrets.

        It is inactive unless it was built with `status=WebhookStatus.ACTIVE`. A secret is made when none is given.
        """
        tenant = check_tenant(tenant)
        _check_webhook(webhook, tenant)
        secrets = webhook.secrets or (Secret.generate(),)
        check_signing(secrets)
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
        limits = self._settings.limits
        self._settings.open_store.add_webhook(
            added, at_most=limits.webhooks_per_tenant, endpoints=limits.endpoints_per_tenant
        )
        return added

    def get(self, id: str, *, tenant: str = "default") -> Webhook:
        """Return a webhook."""
        return self._settings.open_store.get_webhook(check_tenant(tenant), check_id("webhook", id))

    def list(
        self,
        *,
        tenant: str = "default",
        status: WebhookStatus | str | None = None,
        search: str | None = None,
        health: str | None = None,
        sort: str = "newest",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Webhook]:
        """List webhooks: `sort` is "newest", "oldest" or "name" (ignoring case).

        `search` looks in name, description and URLs, ignoring case. `health` is "failing" for those with an endpoint
        whose last attempt failed, "healthy" for the others.
        """
        check_tenant(tenant)
        check_filters(search=search)
        check_choice("health", health, (*_HEALTHS, None))
        check_choice("sort", sort, ("newest", "oldest", "name"))
        filters = WebhookFilter(
            status=None if status is None else check_member("status", status, WebhookStatus),
            search=search or None,
            failing=None if health is None else _HEALTHS[health],
        )
        return paginate(
            partial(self._settings.open_store.list_webhooks, tenant, filters),
            name_position if sort == "name" else attrgetter("id"),
            limit=limit,
            cursor=cursor,
            kind="name" if sort == "name" else "id",
            rising=sort != "newest",
        )

    def health(self, webhook_ids: Iterable[str], *, tenant: str = "default") -> dict[str, WebhookHealth]:
        """Return how webhooks do, by id: endpoints, newest delivery, the last 24 hours; unknown ids are left out."""
        wanted = [check_id("webhook", webhook_id) for webhook_id in _listed(webhook_ids)]
        return self._settings.open_store.webhook_health(check_tenant(tenant), wanted)

    def activity(self, webhook_id: str, *, tenant: str = "default", hours: int = 24) -> Activity:
        """Return what a webhook was sent in the last hours (1 to 720), with latencies."""
        check_tenant(tenant)
        check_id("webhook", webhook_id)
        now = self._settings.open_store.now()
        since = now - check_number("hours", hours, at_most=_MOST_HOURS) * HOUR
        rows = self._settings.open_store.webhook_hours(tenant, webhook_id, since // HOUR)
        return activity(rows, since, now, self._settings.deadline * 1000)

    def delete(self, id: str, *, tenant: str = "default") -> None:
        """Delete a webhook and cancel its pending deliveries; its log stays."""
        self._settings.open_store.delete_webhook(check_tenant(tenant), check_id("webhook", id))

    def update(self, id: str, *, tenant: str = "default", version: int | None = None, **changes: Any) -> Webhook:
        """Change name, description, endpoints, subscriptions, mapping or headers; what is left out stays.

        `version`, when given, must be the current one, else `Conflict`. An endpoint given with an id, or with the URL
        of an existing one, keeps that one's id, health and pending deliveries; one left out is removed and its pending
        deliveries are cancelled.
        """
        unknown = set(changes) - set(_CHANGEABLE)
        if unknown:
            name = min(unknown)
            raise InvalidWebhook(f"{name!r} cannot be changed by update; it takes {', '.join(_CHANGEABLE)}", name=name)
        _check_version(version)
        return self._revise(id, tenant, lambda current: self._changed(current, version, changes))

    def activate(self, id: str, *, tenant: str = "default") -> Webhook:
        """Switch a webhook on: events emitted from now on are for it, and what was held goes on."""
        return self._revise(id, tenant, self._activated)

    def deactivate(self, id: str, *, tenant: str = "default") -> Webhook:
        """Switch a webhook off: later events are not for it, and what is pending is held."""
        return self._revise(id, tenant, self._deactivated)

    def enable_endpoint(self, id: str, endpoint_id: str, *, tenant: str = "default") -> Endpoint:
        """Enable a disabled endpoint; what was held for it goes on."""

        def revise(current: Webhook) -> Webhook:
            endpoint = find_endpoint(current, endpoint_id)
            return current if endpoint.enabled else self._touched(current.with_endpoint(enabled(endpoint)))

        return find_endpoint(self._revise(id, tenant, revise), endpoint_id)

    def disable_endpoint(
        self, id: str, endpoint_id: str, *, tenant: str = "default", reason: str = "disabled by hand"
    ) -> Endpoint:
        """Disable an endpoint: what is pending for it is held, and later events are not for it."""
        check_text("reason", reason, at_most=_MOST_REASON)

        def revise(current: Webhook) -> Webhook:
            endpoint = find_endpoint(current, endpoint_id)
            if not endpoint.enabled:
                return current
            now = from_us(self._settings.open_store.now())
            return self._touched(current.with_endpoint(disabled(endpoint, reason, now)))

        return find_endpoint(self._revise(id, tenant, revise), endpoint_id)

    def rotate_secret(
        self,
        id: str,
        *,
        tenant: str = "default",
        overlap: timedelta | float = timedelta(hours=24),
        secret: str | Secret | None = None,
    ) -> Secret:
        """Sign with `secret`, or a new one, from now on; the previous ones keep signing for `overlap` (0 to 7 days).

        A new one is of the same kind as the current one: `v1` (HMAC) or `v1a` (Ed25519).
        """
        lasting = checked_overlap(overlap)
        given = secret if secret is None or isinstance(secret, Secret) else Secret(secret)
        if given is not None:
            check_signing([given])

        def revise(current: Webhook) -> Webhook:
            fresh = given or Secret.generate(kind_of(current.secrets[0]))
            now = from_us(self._settings.open_store.now())
            return self._touched(evolve(current, secrets=rotated(current.secrets, fresh, now, lasting)))

        return self._revise(id, tenant, revise).secrets[0]

    def send_test(
        self,
        id: str,
        *,
        tenant: str = "default",
        product: str,
        event_type: str,
        payload: Any = None,
        endpoint_id: str | None = None,
    ) -> Attempts:
        """Send one signed, mapped request to each endpoint, or to one, and return what came back.

        Works for inactive webhooks. The payload is the catalog's example when
        none is given. Nothing is retried and nothing is kept in the log.
        `LimitReached` when too many tests of the tenant are under way.
        """
        webhook = self.get(id, tenant=tenant)
        return run_in_new_loop(lambda: self._send(webhook, product, event_type, payload, endpoint_id))

    async def asend_test(
        self,
        id: str,
        *,
        tenant: str = "default",
        product: str,
        event_type: str,
        payload: Any = None,
        endpoint_id: str | None = None,
    ) -> Attempts:
        """Do what `send_test` does in the running event loop, without blocking it."""
        webhook = await self.aget(id, tenant=tenant)
        return await self._send(webhook, product, event_type, payload, endpoint_id)

    def preview(
        self,
        id: str,
        payload: Any,
        *,
        tenant: str = "default",
        product: str | None = None,
        event_type: str | None = None,
    ) -> Preview:
        """Return what the webhook's mapping makes of a payload, and which of its conditions hold.

        The conditions are those of the subscriptions to one event, where `product` and `event_type` are given.
        """
        if product is not None:
            check_name("product", product)
        if event_type is not None:
            check_name("event type", event_type)
        webhook = self.get(id, tenant=tenant)
        subscriptions = [one for one in webhook.subscriptions if one.may_mean(product, event_type)]
        found = webhook.mapping.preview(payload)
        # The mapping has looked whether it is JSON.
        held = tuple((one, one.holds(payload)) for each in subscriptions for one in each.where)
        return evolve(found, warnings=(*found.warnings, *self._warnings(subscriptions)), conditions=held)

    def _warnings(self, subscriptions: Iterable[EventSubscription]) -> Sequence[str]:
        """Return a sentence for each condition that can never hold, by the schemas of the catalog."""
        catalog = self._settings.catalog
        if catalog is None:
            return ()
        return tuple(
            f"{event.product} {event.name} has no {one.path!r} by its schema, so the condition '{one}' finds nothing"
            for each in subscriptions
            if each.where and each.product in catalog
            for event in catalog[each.product]
            if covers(each.event_type, event.name) and event.schema is not None
            for one in each.where
            if one.is_ruled_out(event.schema)
        )

    @property
    def most_endpoints(self) -> int:
        """Return how many endpoints a webhook may have."""
        return self._settings.limits.endpoints_per_webhook

    def check_url(self, url: str) -> str:
        """Return a URL in the form in which it would be stored, or raise `TargetRefused`; no name is resolved."""
        return normaliser(self._settings.targets)(url)

    aadd = awaitable(add)
    aget = awaitable(get)
    alist = awaitable(list)  # noqa: A003 - the method above is meant
    ahealth = awaitable(health)
    aactivity = awaitable(activity)
    adelete = awaitable(delete)
    aupdate = awaitable(update)
    aactivate = awaitable(activate)
    adeactivate = awaitable(deactivate)
    aenable_endpoint = awaitable(enable_endpoint)
    adisable_endpoint = awaitable(disable_endpoint)
    arotate_secret = awaitable(rotate_secret)
    apreview = awaitable(preview)

    def _revise(self, webhook_id: str, tenant: str, revise: Callable[[Webhook], Webhook]) -> Webhook:
        revised = self._settings.open_store.revise_webhook(
            check_tenant(tenant),
            check_id("webhook", webhook_id),
            revise,
            endpoints=self._settings.limits.endpoints_per_tenant,
        )
        self._settings.open_store.wake()
        return revised

    def _changed(self, current: Webhook, version: int | None, changes: dict[str, Any]) -> Webhook:
        if version is not None and version != current.version:
            raise Conflict(
                f"the webhook has version {current.version} by now, not {version}; read it again and repeat the change",
                name="version",
            )
        changed = self._bounded(evolve(current, **changes))
        if "endpoints" in changes:
            now = self._settings.open_store.now()
            matched = matched_endpoints(changed.endpoints, current.endpoints, normaliser(self._settings.targets), now)
            changed = evolve(changed, endpoints=matched)
        if "subscriptions" in changes:
            self._check_subscriptions(changed)
        return self._touched(changed)

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
            raise InvalidWebhook(f"a webhook has at most {most} endpoints; use another webhook", name="endpoints")
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


def _listed(webhook_ids: object) -> Iterable[object]:
    if isinstance(webhook_ids, Iterable) and not isinstance(webhook_ids, str | bytes):
        return webhook_ids
    raise InvalidArgument("webhook_ids must be a list of ids, not a single one", name="webhook_ids")


def _check_version(version: object) -> None:
    if not isinstance(version, int | None) or isinstance(version, bool):
        raise InvalidArgument("version must be a whole number, as in webhook.version, or None", name="version")
