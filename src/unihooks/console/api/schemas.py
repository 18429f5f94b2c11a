"""The shapes of the API's bodies and responses, as JSON Schema."""

from __future__ import annotations

from typing import Any

from unihooks._management.jobs import RENDERINGS
from unihooks._message.conditions import MAX_CONDITIONS, Operator
from unihooks._model.health import BreakerState, HealthState
from unihooks._model.jobs import JobKind, JobState

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
MAYBE_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[A-Za-z0-9._:/-]+$"}
EVENT_TYPE: Schema = NAME | {"maxLength": 130, "pattern": r"^([A-Za-z0-9._:/-]+(\.\*)?|\*)$"}
STATES = ["pending", "delivered", "failed", "cancelled"]
HEALTHS = [*HealthState]
ANY: Schema = {"description": "Any JSON value."}


def ref(name: str) -> Schema:
    """Return a reference to a component."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(schema: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": schema}


def answered(**properties: Schema) -> Schema:
    """Return the schema of an object in a response: all properties are present, and later versions may add some."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def asked(*required: str, **properties: Schema) -> Schema:
    """Return the schema of an object in a body: no other properties are allowed."""
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | {"required": list(required)} if required else found


def each(schema: Schema, *names: str) -> dict[str, Schema]:
    """Return properties that share a schema."""
    return dict.fromkeys(names, schema)


def page_of(name: str) -> Schema:
    """Return the schema of one page of a listing."""
    return answered(items=list_of(ref(name)), next=MAYBE_TEXT, previous=MAYBE_TEXT)


_SETTINGS: dict[str, Schema] = {
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": {"type": "string", "maxLength": 2000},
    "endpoints": list_of({"anyOf": [TEXT, ref("EndpointGiven")]}) | {"minItems": 1},
    "subscriptions": list_of(ref("Subscription")) | {"maxItems": 1_000},
    "mapping": ref("Mapping"),
    "policy": {"anyOf": [{"type": "null"}, ref("Policy")], "description": "Null leaves all to the dispatcher."},
    "ordered": {
        "type": "boolean",
        "description": "Events of one subject reach an endpoint one after another, in the order of emit.",
    },
}
_ENDPOINT: dict[str, Schema] = {
    **each(TEXT, "id", "url", "description"),
    "state": {"type": "string", "enum": ["enabled", "disabled"]},
    "disabled_reason": MAYBE_TEXT,
    "disabled_at": MAYBE_TIME,
    "health": ref("EndpointHealth"),
}
_WEBHOOK: dict[str, Schema] = {
    **each(TEXT, "id", "name", "description"),
    "status": {"type": "string", "enum": ["active", "inactive"]},
    "version": {"type": "integer"},
    "endpoints": list_of(ref("Endpoint")),
    "subscriptions": list_of(ref("Subscription")),
    "mapping": ref("Mapping"),
    "policy": ref("Policy"),
    "headers": {
        "type": "object",
        "description": "The names of custom headers; their values are never returned.",
        "additionalProperties": {"type": "null"},
    },
    "ordered": BOOLEAN,
    "metadata": {
        "type": "object",
        "description": "What the application notes about the webhook; never sent.",
        "additionalProperties": TEXT,
    },
    **each(MAYBE_TIME, "created_at", "updated_at", "activated_at", "deactivated_at"),
}
_SECRET: dict[str, Schema] = {
    "secret": {"type": "string", "format": "password"},
    **each(MAYBE_TIME, "created_at", "expires_at"),
}
_MOST: Schema = {"type": "integer", "minimum": 1, "maximum": 10_000}
_FILTERS: dict[str, Schema] = {
    **each(TEXT, "webhook_id", "endpoint_id", "event_id", "product", "event_type", "subject"),
    "state": {"type": "string", "enum": STATES},
    "held": BOOLEAN,
    "status_code": {"type": "string", "pattern": "^([1-9](xx|[0-9]{2})|none)$"},
    "search": {"type": "string", "minLength": 1, "maxLength": 2_048},
    **each(TIME, "since", "until"),
}
_ENDPOINT_OF = each(TEXT, "tenant", "webhook_id", "webhook_name", "endpoint_id", "url")

COMPONENTS: dict[str, Schema] = {
    "Problem": {
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "field": {
                "type": "string",
                "description": "The first field, parameter or header that is wrong.",
            },
            "errors": {
                "type": "array",
                "description": "All that is wrong with a body, each with a JSON pointer to it, or with a query.",
                "items": {
                    "type": "object",
                    "properties": each(TEXT, "detail", "pointer", "parameter"),
                    "required": ["detail"],
                },
            },
        },
        "required": ["type", "title", "status", "detail"],
    },
    "Viewer": answered(tenant=TEXT, name=TEXT, permissions=list_of(TEXT)),
    "Nothing": asked(),
    # Webhooks.
    "Endpoint": answered(**_ENDPOINT),
    "EndpointGiven": asked(
        "url",
        url=TEXT,
        id=TEXT,
        description={"type": "string", "maxLength": 2000},
        enabled=BOOLEAN | {"description": "Whether a new one takes deliveries; one that is there stays as it is."},
    ),
    "Disabling": asked(reason={"type": "string", "minLength": 1, "maxLength": 200}),
    "Condition": asked("path", "op", path=TEXT, op={"type": "string", "enum": [*Operator]}, value=ANY),
    "Subscription": asked(
        "product",
        "event_type",
        product=NAME,
        event_type=EVENT_TYPE,
        where=list_of(ref("Condition")) | {"maxItems": MAX_CONDITIONS},
    ),
    "Mapping": asked(remove=list_of(TEXT), rename={"type": "object", "additionalProperties": TEXT}),
    "Policy": asked(
        retry_delays={"type": ["array", "null"], "items": {"type": "number", "minimum": 0}, "maxItems": 1_000},
        in_flight={"type": ["integer", "null"], "minimum": 1},
        **each(MAYBE_NUMBER, "deadline", "rate", "burst"),
    ),
    "Webhook": answered(**_WEBHOOK),
    "WebhookCreated": answered(**_WEBHOOK, secret={"type": ["string", "null"], "format": "password"}),
    "WebhookListed": {
        "type": "object",
        "properties": _WEBHOOK | {"health": ref("Health")},
        "required": list(_WEBHOOK),
    },
    "WebhookPage": page_of("WebhookListed"),
    "WebhookGiven": asked(
        "name",
        "endpoints",
        **_SETTINGS,
        headers={"type": "object", "additionalProperties": TEXT},
        status={"type": "string", "enum": ["active", "inactive"]},
    ),
    "WebhookChanges": asked(
        **_SETTINGS,
        headers={
            "type": "object",
            "description": "All custom headers; null keeps the saved value; see the summary for new origins.",
            "additionalProperties": MAYBE_TEXT,
        },
        version={"type": "integer", "description": "Refuse the change if this is not the current version."},
    ),
    "Secret": answered(**_SECRET),
    "Secrets": answered(**_SECRET, previous=list_of(ref("Secret"))),
    "Rotation": asked(overlap_seconds={"type": "integer", "minimum": 0, "maximum": 604_800}, secret=TEXT),
    "Test": asked("product", "event_type", product=NAME, event_type=NAME, payload=ANY, endpoint_id=TEXT),
    "Tested": answered(attempts=list_of(ref("Attempt"))),
    "PayloadGiven": asked("payload", payload=ANY, product=NAME, event_type=NAME),
    "MappingTried": asked("mapping", "payload", mapping=ref("Mapping"), payload=ANY),
    "Preview": answered(
        result=ANY,
        unmatched=list_of(TEXT),
        warnings=list_of(TEXT),
        conditions=list_of(answered(condition=ref("Condition"), holds=BOOLEAN)),
    ),
    # Health and activity.
    "HourCount": answered(hour=TIME, attempts=COUNT, delivered=COUNT, failed=COUNT),
    "EndpointHealth": answered(
        endpoint_id=TEXT,
        state={"type": "string", "enum": HEALTHS},
        failures=COUNT,
        failing_since=MAYBE_TIME,
        **each(answered(attempts=COUNT, succeeded=COUNT), "last_hour", "last_day"),
        breaker={"type": "string", "enum": [*BreakerState]},
        **each(MAYBE_TIME, "next_probe_at", "not_before", "last_success_at", "last_failure_at", "next_attempt_at"),
    ),
    "Health": answered(
        endpoints=list_of(ref("EndpointHealth")),
        last_delivery_at=MAYBE_TIME,
        last_delivery_state={"type": ["string", "null"], "enum": [*STATES, None]},
        hours=list_of(ref("HourCount")),
    ),
    "Activity": answered(
        since=TIME,
        hours=list_of(ref("HourCount")),
        **each(COUNT, "attempts", "delivered", "failed"),
        **each(MAYBE_NUMBER, "success_share", "mean_ms", "p50_ms", "p95_ms", "p99_ms"),
    ),
    # The log.
    "Event": answered(id=TEXT, product=TEXT, event_type=TEXT, payload=ANY, created_at=TIME, subject=MAYBE_TEXT),
    "EventPage": page_of("Event"),
    "Delivery": answered(
        **each(TEXT, "id", "event_id", "webhook_id", "endpoint_id", "product", "event_type", "url"),
        state={"type": "string", "enum": STATES},
        held=BOOLEAN,
        attempt_count=COUNT,
        created_at=TIME,
        next_attempt_at=MAYBE_TIME,
        **each(MAYBE_TEXT, "reason", "replay_of", "subject", "waiting"),
        status_code={"type": ["integer", "null"]},
        duration_ms=MAYBE_NUMBER,
        attempts_left={"type": ["integer", "null"]},
    ),
    "DeliveryPage": page_of("Delivery"),
    "Attempt": answered(
        **each(TEXT, "id", "delivery_id"),
        number=COUNT,
        url=TEXT,
        started_at=TIME,
        duration_ms={"type": "number"},
        status_code={"type": ["integer", "null"]},
        error=MAYBE_TEXT,
        **each(list_of(list_of(TEXT)), "request_headers", "response_headers"),
        response_body=TEXT,
        warnings=list_of(TEXT),
    ),
    "AttemptPage": page_of("Attempt"),
    "Body": answered(body=TEXT),
    "Counted": answered(count=COUNT, most=COUNT),
    "Filter": asked(**_FILTERS),
    "ReplayAll": asked("filter", filter=ref("Filter"), most=_MOST),
    "Replayed": answered(replayed=COUNT, more=BOOLEAN, retry_after=COUNT),
    "Recovery": asked("since", since=_FILTERS["since"], until=_FILTERS["until"], most=_MOST),
    "Recovered": answered(recovered=COUNT, more=BOOLEAN, retry_after=COUNT),
    # Jobs.
    "Job": answered(
        id=TEXT,
        kind={"type": "string", "enum": [*JobKind]},
        state={"type": "string", "enum": [*JobState]},
        **each(COUNT, "done", "made", "total"),
        created_at=TIME,
        ended_at=MAYBE_TIME,
        **each(MAYBE_TEXT, "reason", "webhook_id"),
    ),
    "JobPage": page_of("Job"),
    "RecoveryJob": asked("webhook_id", "since", webhook_id=TEXT, since=TIME, until=TIME),
    "ReplayJob": asked("filter", filter=ref("Filter"), rendering={"type": "string", "enum": [*RENDERINGS]}),
    # The catalog.
    "EventType": answered(name=TEXT, title=TEXT, description=MAYBE_TEXT, schema=ANY, example=ANY),
    "Product": answered(name=TEXT, title=TEXT, description=MAYBE_TEXT, event_types=list_of(ref("EventType"))),
    "Catalog": answered(products=list_of(ref("Product"))),
    "Document": {"type": "object"},
    "Sender": answered(egress_ips=list_of(TEXT)),
    # For operators.
    "Worker": answered(id=TEXT, host=TEXT, pid={"type": "integer"}, seen_at=TIME, leases=COUNT),
    "FailingEndpoint": answered(**_ENDPOINT_OF, failing_since=MAYBE_TIME, failures=COUNT),
    "SlowEndpoint": answered(**_ENDPOINT_OF, attempts=COUNT, mean_ms={"type": "number"}, p95_ms={"type": "number"}),
    "Stats": answered(
        oldest_unplanned=MAYBE_TIME,
        **each(COUNT, "due", "held", "in_flight", "failing_endpoints", "without_subject"),
        workers=list_of(ref("Worker")),
    ),
    "Overview": answered(
        stats=ref("Stats"),
        failing=list_of(ref("FailingEndpoint")),
        slowest=list_of(ref("SlowEndpoint")),
        trends=ref("Trends"),
    ),
    "Trends": answered(
        ages=list_of(answered(at=TIME, age_us=COUNT)),
        hours=list_of(ref("HourCount")),
        tenants=list_of(answered(tenant=TEXT, attempts=COUNT, failed=COUNT)),
    ),
    "Usage": answered(
        **each(COUNT, "webhooks", "endpoints", "events_24h", "deliveries_24h", "pending", "stored_bytes")
    ),
    "Tenant": answered(tenant=TEXT, webhooks=COUNT, due=COUNT),
    "TenantPage": page_of("Tenant"),
}
