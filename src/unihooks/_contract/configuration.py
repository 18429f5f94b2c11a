"""The contract of a store's configuration: webhooks, and answers to requests that changed them."""

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
    """The digest of a request and its answer, which is None until the request has been carried out."""

    digest: bytes
    status: int | None
    content: bytes | None


class Configuration(ABC):
    """Webhooks and what planning and sending need of them; and the answers to requests that changed them.

    Each change raises the tenant's configuration version in its transaction.
    Answers are kept by tenant and key: the newest 1,000 of a tenant, each for a day.
    """

    @abstractmethod
    def add_webhook(self, webhook: Webhook, *, at_most: int, endpoints: int | None = None) -> None:
        """Store a complete webhook; `Conflict` (name "webhooks") when the tenant has `at_most` already.

        `Conflict` (name "endpoints"), too, when it would have more than so many `endpoints` in all its webhooks.
        """

    @abstractmethod
    def get_webhook(self, tenant: str, webhook_id: str) -> Webhook:
        """Return the webhook, with the health of its endpoints by now, or raise `NotFound`."""

    @abstractmethod
    def list_webhooks(self, tenant: str, filters: WebhookFilter, window: Window) -> list[Webhook]:
        """Return webhooks, with the health of their endpoints, newest first (by id)."""

    @abstractmethod
    def webhooks_by_health(self, tenant: str, filters: WebhookFilter, window: Window) -> list[tuple[str, Webhook]]:
        """Return webhooks as `list_webhooks` does, each with its position; those that need somebody come first.

        A webhook is as its worst enabled endpoint was at its last attempt, or disabled if all are. The order is
        failing, degraded, disabled, healthy, nothing sent yet, and then newest first. The window's edges are positions.
        """

    @abstractmethod
    def revise_webhook(
        self, tenant: str, webhook_id: str, revise: Callable[[Webhook], Webhook], *, endpoints: int | None = None
    ) -> Webhook:
        """Replace a webhook by `revise(current)`, whose errors pass through and change nothing.

        No other change comes between. The lane of each endpoint is then open exactly if the webhook is active and the
        endpoint enabled; closing and opening touches no delivery. New endpoints get a lane; those left out lose theirs
        and their pending deliveries are cancelled (ENDPOINT_REMOVED). An endpoint that becomes enabled, or whose URL
        gets another origin, starts with fresh health; time held counts for no health. Return the new webhook.
        `NotFound` if there is none; `Conflict` as for `add_webhook` if it gets more endpoints than before.
        """

    @abstractmethod
    def clear_health(self, endpoint_ids: Collection[str]) -> Sequence[HealthChange]:
        """Note that a test of these endpoints went well; unknown ones are left out.

        They have not been failing since any time now, and those that are not healthy start with fresh health. How many
        attempts in a row have failed stays: a test does not count for the breaker. Return the changes of those that
        were told to be failing.
        """

    @abstractmethod
    def delete_webhook(self, tenant: str, webhook_id: str, *, version: int | None = None) -> Webhook:
        """Delete the webhook and return it as it was; cancel its pending deliveries (WEBHOOK_DELETED); the log stays.

        `NotFound` if there is none, `Conflict` if a `version` is given that is not the current one.
        """

    @abstractmethod
    def destinations(self, endpoint_ids: Collection[str]) -> dict[str, Destination]:
        """Return the current destination of each endpoint that exists, with the config_version read before it."""

    @abstractmethod
    def renderings(self, ids: Collection[str]) -> dict[str, Rendering]:
        """Return the renderings with these ids; one that is unknown is left out."""

    @abstractmethod
    def config_versions(self, tenants: Collection[str]) -> dict[str, int]:
        """Return the configuration config_version of each tenant; 0 for an unknown one."""

    @abstractmethod
    def reserve_answer(
        self, tenant: str, key: str, digest: bytes, *, at_most: int = ANSWERS_PER_TENANT
    ) -> IdempotencyRecord | None:
        """Return the record of this key; or reserve the key and return None: then the caller carries out the request.

        A request without an answer is forgotten after 5 minutes. Of a tenant
        with more than `at_most`, the oldest are forgotten.
        """

    @abstractmethod
    def keep_answer(self, tenant: str, key: str, status: int, content: bytes) -> None:
        """Keep the answer to a request whose key was reserved."""

    @abstractmethod
    def drop_answer(self, tenant: str, key: str) -> None:
        """Forget a request, so that a repetition is carried out."""
