"""Outgoing webhooks inside your own process, database and transaction."""

from unihooks._catalog import Catalog, EventType, Product
from unihooks._dispatcher import Dispatcher, Stats
from unihooks._engine import DrainResult
from unihooks._headers import HeaderSet
from unihooks._log import Log
from unihooks._mapping import PayloadMapping, Preview
from unihooks._models import (
    Attempt,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    Event,
    EventSubscription,
    Page,
    Webhook,
    WebhookStatus,
)
from unihooks._retries import RetryPolicy
from unihooks._secrets import Secret
from unihooks._signing import VerifiedMessage, sign, verify
from unihooks._targets import TargetPolicy
from unihooks._webhooks import Webhooks
from unihooks._worker import Worker

__all__ = [
    "Attempt",
    "Catalog",
    "Delivery",
    "DeliveryState",
    "Dispatcher",
    "DrainResult",
    "Endpoint",
    "EndpointState",
    "Event",
    "EventSubscription",
    "EventType",
    "HeaderSet",
    "Log",
    "Page",
    "PayloadMapping",
    "Preview",
    "Product",
    "RetryPolicy",
    "Secret",
    "Stats",
    "TargetPolicy",
    "VerifiedMessage",
    "Webhook",
    "WebhookStatus",
    "Webhooks",
    "Worker",
    "sign",
    "verify",
]
