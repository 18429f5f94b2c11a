"""The contract of a store's configuration: webhooks, and responses to requests that changed them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence

from attrs import frozen

from unihooks._base.times import DAY, SECOND
from unihooks._contract.filters import WebhookFilter, Window
from unihooks._contract.leasing import HealthChange
from unihooks._message.rendering import Rendering
from unihooks._message.requests import Destination
from unihooks._model.webhooks import Webhook

ANSWERS_PER_TENANT = 1_000
ANSWER_KEPT_US = DAY
ANSWER_AWAITED_US = 300 * SECOND


@frozen
class IdempotencyRecord:
    """The digest of a request and its response, which is None until the request has been carried out."""

    digest: bytes
    status: int | None
    content: bytes | None


class Configuration(ABC):
    """Webhooks, what planning and sending need of them, and the responses to requests that changed them.

    Each change raises the tenant's configuration version in its transaction.
    Responses are kept by tenant and key: the newest 1,000 of a tenant, each for a day.
    """

    @abstractmethod
    def add_webhook(self, webhook: Webhook, *, at_most: int, endpoints: int | None = None) -> None:
        """Store a complete webhook; `LimitReached` (name "webhooks") if the tenant already has `at_most`.

        `LimitReached` (name "endpoints") if it would have more than `endpoints` endpoints in all its webhooks.
        """

    @abstractmethod
    def get_webhook(self, tenant: str, webhook_id: str) -> Webhook:
        """Return the webhook, with the current health of its endpoints, or raise `NotFound`."""

    @abstractmethod
    def list_webhooks(self, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
        """Return webhooks, with the health of their endpoints, newest first (by id)."""

    @abstractmethod
    def webhooks_by_health(self, tenant: str, filters: WebhookFilter, window: Window) -> list[tuple[str, Webhook]]:
        """Return webhooks as `list_webhooks` does, each with its position; those that need attention come first.

        A webhook counts as its worst enabled endpoint at its last attempt, or as disabled if all are. The order is
        failing, degraded, disabled, healthy, nothing sent yet, and then newest first. The window's bounds are
        positions.
        """

    @abstractmethod
    def revise_webhook(
        self, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook], *, endpoints: int | None = None
    ) -> Webhook:
        """Replace a webhook by `revise(current)`, whose errors pass through and change nothing.

        No other change can come in between. Afterwards the lane of each endpoint is open if and only if the webhook is
        active and the endpoint enabled; closing and opening lanes changes no delivery. New endpoints get a lane; those
        left out lose theirs, and their pending deliveries are cancelled (ENDPOINT_REMOVED). An endpoint that becomes
        enabled, or whose URL gets another origin, starts with fresh health; the time for which it was held does not
        affect health. Return the new webhook. `NotFound` if there is none; `LimitReached` as for `add_webhook` if it
        gets more endpoints than before.
        """

    @abstractmethod
    def clear_health(self, endpoint_ids: Collection[str]) -> Sequence[HealthChange]:
        """Note that a test of these endpoints succeeded; unknown ones are ignored.

        `failing_since` is cleared, and those that are not healthy start with fresh health. The number of failures in a
        row stays, since a test does not count for the breaker. Return the changes of those that had been reported as
        failing.
        """

    @abstractmethod
    def delete_webhook(self, tenant: str, webhook_id: str, *, version: int | None = None) -> Webhook:
        """Delete the webhook and return it as it was; cancel its pending deliveries (WEBHOOK_DELETED); the log stays.

        `NotFound` if there is none, `Conflict` if `version` is given and not the current one.
        """

    @abstractmethod
    def destinations(self, endpoint_ids: Collection[str]) -> dict[str, Destination]:
        """Return the current destination of each endpoint that exists, with the config_version read before it."""

    @abstractmethod
    def renderings(self, ids: Collection[str]) -> dict[str, Rendering]:
        """Return the renderings with these ids, without unknown ones."""

    @abstractmethod
    def config_versions(self, tenants: Collection[str]) -> dict[str, int]:
        """Return the configuration version of each tenant; 0 for an unknown one."""

    @abstractmethod
    def reserve_answer(
        self, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
    ) -> IdempotencyRecord | None:
        """Return the record of this key; or reserve the key and return None, and the caller carries out the request.

        A request without a response is forgotten after 5 minutes. If the tenant has more than `at_most`, the oldest are
        forgotten.
        """

    @abstractmethod
    def keep_answer(self, tenant: str, key: str, status: int, content: bytes) -> None:
        """Keep the response to a request whose key was reserved."""

    @abstractmethod
    def drop_answer(self, tenant: str, key: str) -> None:
        """Forget a request, so that a repetition is carried out."""
