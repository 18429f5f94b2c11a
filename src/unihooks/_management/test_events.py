"""What a test of a webhook sends, and where."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from unihooks._message.payload import encode
from unihooks._message.rendering import Rendering, RenderingFailed
from unihooks._model.catalog import Catalog
from unihooks._model.products import check_names
from unihooks._model.webhooks import Endpoint, Webhook
from unihooks.exceptions import InvalidPayload, NotFound


@frozen(kw_only=True)
class TestEvent:
    """An event that is made up to test a webhook: its body is rendered already."""

    webhook: Webhook
    endpoints: tuple[Endpoint, ...]
    product: str
    event_type: str
    body: bytes = field(repr=False)


def test_event(  # noqa: PLR0917 - they are those of `send_test`
    webhook: Webhook, catalog: Catalog | None, product: str, event_type: str, payload: Any, endpoint_id: str | None
) -> TestEvent:
    """Return the event for all endpoints of a webhook, or for one; without a payload, it has the catalog's example."""
    product, event_type = check_names(product, event_type)
    chosen = webhook.endpoints if endpoint_id is None else (find_endpoint(webhook, endpoint_id),)
    body = _rendered(webhook, encode(_payload(catalog, product, event_type, payload)))
    return TestEvent(webhook=webhook, endpoints=chosen, product=product, event_type=event_type, body=body)


def find_endpoint(webhook: Webhook, endpoint_id: str) -> Endpoint:
    """Return an endpoint of a webhook."""
    endpoint = webhook.endpoint(endpoint_id)
    if endpoint is None:
        raise NotFound(f"there is no endpoint {endpoint_id!r} in this webhook", name="endpoint_id")
    return endpoint


def _payload(catalog: Catalog | None, product: str, event_type: str, payload: Any) -> Any:
    if catalog is not None and payload is None:
        payload = catalog.check(product, event_type).example
    elif catalog is not None:
        catalog.check_payload(product, event_type, payload)
    if payload is None:
        raise InvalidPayload("there is no example for this event type; give a payload to send", name="payload")
    return payload


def _rendered(webhook: Webhook, body: bytes) -> bytes:
    rendering = Rendering.of(webhook.mapping)
    try:
        return body if rendering is None else rendering.render(body).body
    except RenderingFailed as failed:
        raise InvalidPayload(failed.reason, name="payload") from failed
