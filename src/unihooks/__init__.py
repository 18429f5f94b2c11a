"""Outgoing webhooks inside your own process, database and transaction."""

from unihooks._catalog import Catalog, EventType, Product
from unihooks._dispatcher import Dispatcher
from unihooks._figures import (
    Activity,
    EndpointHealth,
    FailingEndpoint,
    HourCount,
    SlowEndpoint,
    TenantFigures,
    WebhookHealth,
)
from unihooks._header_pairs import HeaderPairs
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
from unihooks._overview import Overview, Stats
from unihooks._retries import RetryPolicy
from unihooks._secrets import Secret
from unihooks._signing import VerifiedMessage, sign, verify
from unihooks._targets import TargetPolicy
from unihooks._webhooks import Webhooks
from unihooks._work import DrainResult
from unihooks._worker import Worker

__all__ = [
    "Activity",
    "Attempt",
    "Catalog",
    "Delivery",
    "DeliveryState",
    "Dispatcher",
    "DrainResult",
    "Endpoint",
    "EndpointHealth",
    "EndpointState",
    "Event",
    "EventSubscription",
    "EventType",
    "FailingEndpoint",
    "HeaderPairs",
    "HeaderSet",
    "HourCount",
    "Log",
    "Overview",
    "Page",
    "PayloadMapping",
    "Preview",
    "Product",
    "RetryPolicy",
    "Secret",
    "SlowEndpoint",
    "Stats",
    "TargetPolicy",
    "TenantFigures",
    "VerifiedMessage",
    "Webhook",
    "WebhookHealth",
    "WebhookStatus",
    "Webhooks",
    "Worker",
    "sign",
    "verify",
]
