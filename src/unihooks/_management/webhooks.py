"""All verbs of `dispatcher.webhooks`; those for endpoints, secrets, tests and previews are defined here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import Any

from attrs import evolve, frozen

from unihooks._base.awaitable import awaitable, blocking, in_own_thread
from unihooks._base.sentences import said
from unihooks._base.times import from_us
from unihooks._management.signing_secrets import check_signing, checked_overlap, rotated
from unihooks._management.webhook_changes import WebhookChanges
from unihooks._message.mapping import Preview
from unihooks._message.secrets import Secret, signature_kind
from unihooks._model.checks import check_tenant, check_text
from unihooks._model.endpoints import DISABLED_BY_HAND, MOST_REASON, disabled, enabled, find_endpoint, normaliser
from unihooks._model.health import EndpointCheck
from unihooks._model.log import Attempt
from unihooks._model.products import check_name, covers
from unihooks._model.webhooks import Endpoint, EventSubscription, Webhook
from unihooks.exceptions import InvalidWebhook

Attempts = list[Attempt]
_IN_VAIN = "{product} {event} has no {path!r} by its schema, so the condition '{condition}' finds nothing"
SendTest = Callable[[Webhook, str, str, Any, str | None], Coroutine[Any, Any, Attempts]]
CheckEndpoint = Callable[[str, str], Coroutine[Any, Any, EndpointCheck]]


@frozen
class Webhooks(WebhookChanges):
    """The webhooks of each tenant; another tenant's ids are not found.

    A change applies to all events that are emitted after it has returned. An unknown id raises `NotFound`. Bad input
    raises an error that is also a `ValueError`, and nothing is stored. A store that cannot be used raises `StoreError`.
    """

    _send: SendTest
    _check: CheckEndpoint

    def enable_endpoint(
        self, id: str, endpoint_id: str, *, tenant: str = "default", version: int | None = None
    ) -> Endpoint:
        """Enable a disabled endpoint; its held deliveries resume."""

        def revise(current: Webhook) -> Webhook:
            endpoint = find_endpoint(current, endpoint_id)
            return current if endpoint.enabled else self._touched(current.with_endpoint(enabled(endpoint)))

        return find_endpoint(self._revise(id, tenant, revise, version), endpoint_id)

    def disable_endpoint(
        self,
        id: str,
        endpoint_id: str,
        *,
        tenant: str = "default",
        version: int | None = None,
        reason: str = DISABLED_BY_HAND,
    ) -> Endpoint:
        """Disable an endpoint: its pending deliveries are held, and it gets no later events."""
        check_text("reason", reason, at_most=MOST_REASON)
        if not reason:
            sentence = said("reason-missing", "reason must not be empty; say why, or leave it out")
            raise InvalidWebhook(sentence, name="reason")

        def revise(current: Webhook) -> Webhook:
            endpoint = find_endpoint(current, endpoint_id)
            if not endpoint.enabled:
                return current
            now = from_us(self._settings.open_store.now())
            return self._touched(current.with_endpoint(disabled(endpoint, reason, now)))

        return find_endpoint(self._revise(id, tenant, revise, version), endpoint_id)

    def rotate_secret(
        self,
        id: str,
        *,
        tenant: str = "default",
        version: int | None = None,
        overlap: timedelta | float = timedelta(hours=24),
        secret: str | Secret | None = None,
    ) -> Secret:
        """Sign with `secret`, or a new one, from now on; the previous ones keep signing for `overlap` (0 to 7 days).

        A generated secret is of the same kind as the current one: `v1` (HMAC) or `v1a` (Ed25519).
        """
        lasting = checked_overlap(overlap)
        given = secret if secret is None or isinstance(secret, Secret) else Secret(secret)
        if given is not None:
            check_signing([given])

        def revise(current: Webhook) -> Webhook:
            fresh = given or Secret.generate(signature_kind(current.secrets[0]))
            now = from_us(self._settings.open_store.now())
            return self._touched(evolve(current, secrets=rotated(current.secrets, fresh, now, lasting)))

        return self._revise(id, tenant, revise, version).secrets[0]

    aenable_endpoint = awaitable(enable_endpoint)
    adisable_endpoint = awaitable(disable_endpoint)
    arotate_secret = awaitable(rotate_secret)

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
        """Send one signed, mapped request to each endpoint, or to one, and return the attempts.

        Works for inactive webhooks, too. If no payload is given, the catalog's example is sent. Nothing is retried, and
        nothing is kept in the log. Raises `LimitReached` if too many tests of the tenant are running.
        """
        webhook = await self.aget(id, tenant=tenant)
        return await self._send(webhook, product, event_type, payload, endpoint_id)

    async def atry_out(
        self, webhook: Webhook, *, tenant: str = "default", product: str, event_type: str, payload: Any = None
    ) -> Attempts:
        """Do what `send_test` does for a webhook that is not stored, with a new secret if it has none."""
        complete = await in_own_thread(self._complete, webhook, check_tenant(tenant))
        return await self._send(complete, product, event_type, payload, None)

    send_test = blocking(asend_test)
    try_out = blocking(atry_out)

    def preview(
        self,
        id: str,
        payload: Any,
        *,
        tenant: str = "default",
        product: str | None = None,
        event_type: str | None = None,
    ) -> Preview:
        """Return the payload as the webhook would send it, and which of its conditions hold.

        With `product` and `event_type`, only the conditions of subscriptions that match them are tried.
        """
        if product is not None:
            check_name("product", product)
        if event_type is not None:
            check_name("event type", event_type)
        webhook = self.get(id, tenant=tenant)
        subscriptions = [one for one in webhook.subscriptions if one.may_mean(product, event_type)]
        found = webhook.mapping.preview(payload)
        # The mapping has checked that the payload is JSON.
        held = tuple((one, one.holds(payload)) for each in subscriptions for one in each.where)
        return evolve(found, warnings=(*found.warnings, *self._warnings(subscriptions)), conditions=held)

    apreview = awaitable(preview)

    def _warnings(self, subscriptions: Iterable[EventSubscription]) -> Sequence[str]:
        """Return a warning for each condition that can never hold, by the schemas of the catalog."""
        catalog = self._settings.catalog
        if catalog is None:
            return ()
        return tuple(
            said("condition-in-vain", _IN_VAIN, product=event.product, event=event.name, path=one.path, condition=one)
            for each in subscriptions
            if each.where and each.product in catalog
            for event in catalog[each.product]
            if covers(each.event_type, event.name) and event.schema is not None
            for one in each.where
            if one.is_ruled_out(event.schema)
        )

    async def acheck_endpoint(self, url: str, *, tenant: str = "default") -> EndpointCheck:
        """Check whether a URL leads to a server now: resolve its name, connect, check its certificate; send nothing.

        It takes the same way as a delivery, through the same guard. Raises `TargetRefused` for a URL that cannot be
        used, `LimitReached` if too many checks of the tenant are running, `InvalidArgument` with a transport of your
        own.
        """
        return await self._check(url, check_tenant(tenant))

    check_endpoint = blocking(acheck_endpoint)

    @property
    def can_check_endpoints(self) -> bool:
        """Return whether `check_endpoint` may be used: not with a transport of the host's own."""
        return self._settings.targets is not None

    @property
    def most_endpoints(self) -> int:
        """Return how many endpoints a webhook may have."""
        return self._settings.limits.endpoints_per_webhook

    def check_url(self, url: str) -> str:
        """Return a URL in the form in which it would be stored, or raise `TargetRefused`; resolve no name."""
        return normaliser(self._settings.targets)(url)
