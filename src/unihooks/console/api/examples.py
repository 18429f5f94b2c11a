"""Examples of the API's bodies and responses, which match their schemas."""

from __future__ import annotations

from typing import Any

_WEBHOOK_ID, _ENDPOINT_ID, _JOB_ID = "wh_0d5mwa8cjx4xk6cg8g8k", "ep_0d5mwa8cjx4xk6cg8g8m", "job_0d5mwb2m3w7pm4rb0n5t"
_EVENT_ID, _DELIVERY_ID = "evt_0d5mwb0q1r5v8y3k7e2h", "dlv_0d5mwb0q1r5v8y3k7e2j"
_URL, _MADE_AT, _SENT_AT = (
    "https://crm.example.com/hooks",
    "2026-01-31T12:00:00+00:00",
    "2026-01-31T12:00:05.200000+00:00",
)
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - an example
_COUNTS = {"attempts": 88, "succeeded": 87}
_HOUR = {"hour": _MADE_AT, "attempts": 4, "delivered": 3, "failed": 1}
_WHERE = [{"path": "amount", "op": "ge", "value": 100}]
_FILTER = {"webhook_id": _WEBHOOK_ID, "state": "failed", "since": "2026-01-31T00:00:00Z"}
_PAYLOAD = {"id": 7, "amount": 120, "customer": {"name": "Sara"}}
_MAPPING = {"remove": ["customer.name"], "rename": {"id": "orderId"}}

_HEALTH = {
    "endpoint_id": _ENDPOINT_ID,
    "state": "healthy",
    "failures": 0,
    "failing_since": None,
    "last_hour": _COUNTS,
    "last_day": _COUNTS,
    "breaker": "closed",
    "next_probe_at": None,
    "not_before": None,
    "last_success_at": _SENT_AT,
    "last_failure_at": None,
    "next_attempt_at": None,
}
_ENDPOINT = {
    "id": _ENDPOINT_ID,
    "url": _URL,
    "description": "",
    "state": "enabled",
    "disabled_reason": None,
    "disabled_at": None,
    "health": _HEALTH,
}
_WEBHOOK = {
    "id": _WEBHOOK_ID,
    "name": "CRM sync",
    "description": "Copies orders to the CRM",
    "status": "active",
    "version": 3,
    "endpoints": [_ENDPOINT],
    "subscriptions": [{"product": "shop", "event_type": "order.*", "where": _WHERE}],
    "mapping": _MAPPING,
    "policy": {"retry_delays": None, "deadline": None, "in_flight": None, "rate": 5, "burst": None},
    "headers": {"Authorization": None},
    "ordered": False,
    "metadata": {},
    "created_at": _MADE_AT,
    "updated_at": _MADE_AT,
    "activated_at": _MADE_AT,
    "deactivated_at": None,
}
_GIVEN = {
    "name": "CRM sync",
    "endpoints": [_URL],
    "description": "Copies orders to the CRM",
    "subscriptions": [{"product": "shop", "event_type": "order.*", "where": _WHERE}],
    "mapping": _MAPPING,
    "headers": {"Authorization": "Bearer s3cr3t"},
    "status": "active",
}
_EVENT = {
    "id": _EVENT_ID,
    "product": "shop",
    "event_type": "order.paid",
    "payload": _PAYLOAD,
    "created_at": _MADE_AT,
    "subject": "order/7",
}
_DELIVERY = {
    "id": _DELIVERY_ID,
    "event_id": _EVENT_ID,
    "webhook_id": _WEBHOOK_ID,
    "endpoint_id": _ENDPOINT_ID,
    "product": "shop",
    "event_type": "order.paid",
    "url": _URL,
    "state": "delivered",
    "held": False,
    "attempt_count": 1,
    "created_at": _MADE_AT,
    "next_attempt_at": None,
    "reason": None,
    "replay_of": None,
    "subject": "order/7",
    "waiting": None,
    "status_code": 200,
    "duration_ms": 84.2,
    "attempts_left": 0,
}
_ATTEMPT = {
    "id": "att_0d5mwb0t9d2c6h1p4w8q",
    "delivery_id": _DELIVERY_ID,
    "number": 1,
    "url": _URL,
    "started_at": _SENT_AT,
    "duration_ms": 84.2,
    "status_code": 200,
    "error": None,
    "request_headers": [["content-type", "application/json"], ["webhook-id", _EVENT_ID]],
    "response_headers": [["content-type", "text/plain"]],
    "response_body": "ok",
    "warnings": [],
}
_JOB = {
    "id": _JOB_ID,
    "kind": "replay",
    "state": "running",
    "done": 250,
    "made": 248,
    "total": 1000,
    "created_at": _MADE_AT,
    "ended_at": None,
    "reason": None,
    "webhook_id": _WEBHOOK_ID,
}
_USAGE = {
    "webhooks": 3,
    "endpoints": 4,
    "events_24h": 1200,
    "deliveries_24h": 1850,
    "pending": 12,
    "stored_bytes": 48_000_000,
}
_ENDPOINT_OF = {
    "tenant": "acme",
    "webhook_id": _WEBHOOK_ID,
    "webhook_name": "CRM sync",
    "endpoint_id": _ENDPOINT_ID,
    "url": _URL,
}
_STATS = {
    "oldest_unplanned": None,
    "due": 4,
    "held": 0,
    "in_flight": 2,
    "failing_endpoints": 1,
    "without_subject": 0,
    "workers": [{"id": "4711-9f2c", "host": "web-1", "pid": 4711, "seen_at": _MADE_AT, "leases": 2}],
}


def _page(item: dict[str, Any]) -> dict[str, Any]:
    return {"items": [item], "next": None, "previous": None}


EXAMPLES: dict[str, Any] = {
    "Problem": {
        "type": "urn:webhooks:problem:invalid-value",
        "title": "A value is not allowed",
        "status": 422,
        "detail": "name must have 1 to 200 characters (and 1 more: see errors)",
        "field": "name",
        "errors": [
            {"detail": "name must have 1 to 200 characters", "pointer": "/name"},
            {"detail": "the URL must start with https://", "pointer": "/endpoints/0"},
        ],
    },
    "Viewer": {"tenant": "acme", "name": "Ada Lovelace", "permissions": ["read", "secrets", "send", "write"]},
    "Nothing": {},
    "Endpoint": _ENDPOINT,
    "Disabling": {"reason": "moving to a new server"},
    "Webhook": _WEBHOOK,
    "WebhookCreated": _WEBHOOK | {"version": 1, "secret": _SECRET},
    "WebhookPage": _page(_WEBHOOK),
    "WebhookGiven": _GIVEN,
    "WebhookChanges": {"name": "CRM sync, EU", "headers": {"Authorization": None, "X-Region": "eu"}},
    "Secret": {"secret": _SECRET, "created_at": _MADE_AT, "expires_at": None},
    "Secrets": {"secret": _SECRET, "created_at": _MADE_AT, "expires_at": None, "previous": []},
    "Rotation": {"overlap_seconds": 86_400},
    "Test": {"product": "shop", "event_type": "order.paid", "payload": _PAYLOAD},
    "Tested": {"attempts": [_ATTEMPT]},
    "PayloadGiven": {"payload": _PAYLOAD, "product": "shop", "event_type": "order.paid"},
    "MappingTried": {"mapping": _MAPPING, "payload": _PAYLOAD},
    "Preview": {
        "result": {"orderId": 7, "amount": 120, "customer": {}},
        "unmatched": [],
        "warnings": [],
        "conditions": [{"condition": _WHERE[0], "holds": True}],
    },
    "Health": {
        "endpoints": [_HEALTH],
        "last_delivery_at": _MADE_AT,
        "last_delivery_state": "delivered",
        "hours": [_HOUR],
    },
    "Activity": {
        "since": _MADE_AT,
        "hours": [_HOUR],
        "attempts": 4,
        "delivered": 3,
        "failed": 1,
        "success_share": 0.75,
        "mean_ms": 120.5,
        "p50_ms": 84.0,
        "p95_ms": 310.0,
        "p99_ms": 420.0,
    },
    "Event": _EVENT,
    "EventPage": _page(_EVENT),
    "Delivery": _DELIVERY,
    "DeliveryPage": _page(_DELIVERY),
    "AttemptPage": _page(_ATTEMPT),
    "Body": {"body": '{"orderId":7,"amount":120,"customer":{}}'},
    "Counted": {"count": 88, "most": 10_000},
    "ReplayAll": {"filter": _FILTER, "most": 1000},
    "Replayed": {"replayed": 88, "more": False, "retry_after": 0},
    "Recovery": {"since": "2026-01-31T00:00:00Z", "until": "2026-01-31T06:00:00Z"},
    "Recovered": {"recovered": 12, "more": False, "retry_after": 0},
    "Job": _JOB,
    "JobPage": _page(_JOB),
    "RecoveryJob": {"webhook_id": _WEBHOOK_ID, "since": "2026-01-31T00:00:00Z"},
    "ReplayJob": {"filter": _FILTER, "rendering": "today"},
    "Catalog": {
        "products": [
            {
                "name": "shop",
                "title": "Shop",
                "description": None,
                "event_types": [
                    {
                        "name": "order.paid",
                        "title": "Order paid",
                        "description": None,
                        "schema": None,
                        "example": _PAYLOAD,
                    }
                ],
            }
        ]
    },
    "Document": {"openapi": "3.1.0"},
    "Sender": {"egress_ips": ["192.0.2.7"]},
    "Overview": {
        "stats": _STATS,
        "failing": [_ENDPOINT_OF | {"failing_since": _MADE_AT, "failures": 12}],
        "slowest": [_ENDPOINT_OF | {"attempts": 88, "mean_ms": 900.0, "p95_ms": 2100.0}],
        "trends": {
            "ages": [{"at": _MADE_AT, "age_us": 1_200_000}],
            "hours": [_HOUR],
            "tenants": [{"tenant": "acme", "attempts": 88, "failed": 12}],
        },
    },
    "Usage": _USAGE,
    "TenantPage": _page({"tenant": "acme", "webhooks": 3, "due": 4}),
}
