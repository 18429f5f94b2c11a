"""Outgoing webhooks inside your own process, database and transaction."""

from unihooks._contract.activity import (
    Activity,
    EndpointActivity,
    Failures,
    HourCount,
    Report,
    StatusFailures,
    StepCount,
    TypeFailures,
)
from unihooks._contract.leasing import DrainResult
from unihooks._contract.statistics import FailingEndpoint, SlowEndpoint, Stats, TenantStatistics, Usage, WebhookHealth
from unihooks._delivery.worker import Worker
from unihooks._dispatcher import Dispatcher
from unihooks._management.jobs import Jobs
from unihooks._management.log import BulkResult, Log, Tally
from unihooks._management.overview import Overview
from unihooks._management.paging import Page
from unihooks._management.webhooks import Webhooks
from unihooks._message.conditions import Condition
from unihooks._message.header_pairs import HeaderPairs
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping, Preview
from unihooks._message.secrets import Secret
from unihooks._message.signing import VerifiedMessage, sign, verify
from unihooks._model.catalog import Catalog
from unihooks._model.egress import Egress
from unihooks._model.health import BreakerState, Counts, EndpointCheck, EndpointHealth, HealthState
from unihooks._model.jobs import Job, JobKind, JobState
from unihooks._model.limits import Limits
from unihooks._model.log import Attempt, Delivery, DeliveryState, Emission, Event
from unihooks._model.policy import CircuitBreaker, DeliveryPolicy
from unihooks._model.products import EventType, Product
from unihooks._model.retries import RetryPolicy
from unihooks._model.targets import TargetPolicy
from unihooks._model.webhooks import Endpoint, EndpointState, EventSubscription, Webhook, WebhookStatus

__all__ = [
    "Activity",
    "Attempt",
    "BreakerState",
    "BulkResult",
    "Catalog",
    "CircuitBreaker",
    "Condition",
    "Counts",
    "Delivery",
    "DeliveryPolicy",
    "DeliveryState",
    "Dispatcher",
    "DrainResult",
    "Egress",
    "Emission",
    "Endpoint",
    "EndpointActivity",
    "EndpointCheck",
    "EndpointHealth",
    "EndpointState",
    "Event",
    "EventSubscription",
    "EventType",
    "FailingEndpoint",
    "Failures",
    "HeaderPairs",
    "HeaderSet",
    "HealthState",
    "HourCount",
    "Job",
    "JobKind",
    "JobState",
    "Jobs",
    "Limits",
    "Log",
    "Overview",
    "Page",
    "PayloadMapping",
    "Preview",
    "Product",
    "Report",
    "RetryPolicy",
    "Secret",
    "SlowEndpoint",
    "Stats",
    "StatusFailures",
    "StepCount",
    "Tally",
    "TargetPolicy",
    "TenantStatistics",
    "TypeFailures",
    "Usage",
    "VerifiedMessage",
    "Webhook",
    "WebhookHealth",
    "WebhookStatus",
    "Webhooks",
    "Worker",
    "sign",
    "verify",
]
