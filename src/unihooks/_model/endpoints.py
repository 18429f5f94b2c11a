"""Normalise a webhook's endpoints, and match those of a change with existing ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import httpx
from attrs import evolve

from unihooks._base.ids import new_id
from unihooks._base.sentences import Kept, said
from unihooks._base.times import from_us
from unihooks._model.checks import check_text
from unihooks._model.health import EndpointHealth
from unihooks._model.targets import TargetPolicy
from unihooks._model.webhooks import Endpoint, EndpointState, Webhook
from unihooks.exceptions import InvalidWebhook, NotFound, TargetRefused

_HOST = re.compile(rb"[A-Za-z0-9._:-]+")
_ADDED_DISABLED = Kept("added-as-disabled", "added as disabled")
DISABLED_BY_HAND = Kept("disabled-by-hand", "disabled by hand")
MOST_REASON = 200
_SAME_ENDPOINT = said("endpoint-twice", "the same endpoint is given twice; leave one out")
_MALFORMED = said("url-malformed", "the endpoint's URL is malformed; use one such as https://example.com/hooks")
_NO_HOST = said("url-without-host", "the endpoint's URL must start with https:// and name a host")
_USER_NAME = said(
    "url-user-name", "the endpoint's URL must not contain a user name or password; use a custom header instead"
)


def normaliser(targets: TargetPolicy | None) -> Callable[[str], str]:
    """Return the function that checks and normalises URLs; without a policy, any http(s) URL with a host passes."""
    return _any_http_url if targets is None else targets.check_url


def new_endpoints(given: Iterable[Endpoint], normalise: Callable[[str], str], now: int) -> tuple[Endpoint, ...]:
    """Return endpoints with new ids and normalised URLs, enabled unless they are given as `enabled=False`."""
    endpoints = tuple(_new(item, normalise(item.url), now) for item in given)
    _refuse_doubles(endpoints)
    return endpoints


def has_new_origin(current: Webhook, endpoints: Iterable[Endpoint], normalise: Callable[[str], str]) -> bool:
    """Tell whether one of the endpoints is at an origin that the webhook does not send to yet.

    Saved header values would go there: whoever may not see them could send them to a server of their own.
    """
    known = {one.origin for one in current.endpoints}
    return any(Endpoint(normalise(one.url)).origin not in known for one in endpoints)


def matched_endpoints(
    given: Sequence[Endpoint], current: Sequence[Endpoint], normalise: Callable[[str], str], now: int
) -> tuple[Endpoint, ...]:
    """Return `given` with normalised URLs, each with the id and state of the current endpoint that it matches.

    They match by id or, without an id, by normalised URL.
    """
    by_id = {item.id: item for item in current}
    by_url = {item.url: item for item in current}
    named = {item.id for item in given if item.id}
    endpoints: list[Endpoint] = []
    for item in given:
        url = normalise(item.url)
        match = _named(item, by_id) if item.id else by_url.get(url)
        if match is not None and not item.id and match.id in named:
            match = None
        if match is None:
            endpoints.append(_new(item, url, now))
        else:
            endpoints.append(evolve(match, url=url, description=item.description or match.description))
    _refuse_doubles(endpoints)
    return tuple(endpoints)


def enabled(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as enabled, with fresh health."""
    fresh = EndpointHealth(endpoint_id=endpoint.id)
    return evolve(endpoint, state=EndpointState.ENABLED, disabled_reason=None, disabled_at=None, health=fresh)


def disabled(endpoint: Endpoint, reason: str, at: datetime) -> Endpoint:
    """Return the endpoint as disabled."""
    return evolve(endpoint, state=EndpointState.DISABLED, disabled_reason=reason, disabled_at=at)


def find_endpoint(webhook: Webhook, endpoint_id: str) -> Endpoint:
    """Return an endpoint of a webhook, or raise NotFound."""
    endpoint = webhook.endpoint(endpoint_id)
    if endpoint is None:
        raise NotFound(f"there is no endpoint {endpoint_id!r} in this webhook", name="endpoint_id")
    return endpoint


def endpoint_apart(webhook: Webhook, endpoint_id: str) -> Endpoint | None:
    """Return an endpoint of a webhook as it is passed without the webhook; None if there is none with this id."""
    found = webhook.endpoint(endpoint_id)
    return None if found is None else evolve(found, webhook_id=webhook.id, tenant=webhook.tenant)


def _new(given: Endpoint, url: str, now: int) -> Endpoint:
    endpoint = Endpoint(url, id=new_id("ep_", now), description=given.description)
    # One that was disabled earlier, in another webhook, starts as enabled.
    if given.enabled or given.disabled_at:
        return endpoint
    reason = given.disabled_reason or _ADDED_DISABLED
    check_text("disabled_reason", reason, at_most=MOST_REASON)
    return disabled(endpoint, reason, from_us(now))


def _named(item: Endpoint, by_id: dict[str, Endpoint]) -> Endpoint:
    if item.id in by_id:
        return by_id[item.id]
    template = "this webhook has no endpoint {id!r}; leave the id out to add an endpoint"
    raise InvalidWebhook(said("endpoint-unknown", template, id=item.id), name="endpoints")


def _refuse_doubles(endpoints: Sequence[Endpoint]) -> None:
    if len({item.url for item in endpoints}) < len(endpoints) or len({item.id for item in endpoints}) < len(endpoints):
        raise InvalidWebhook(_SAME_ENDPOINT, name="endpoints")


def _any_http_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, ValueError):
        raise TargetRefused(_MALFORMED, name="url") from None
    if parsed.scheme not in ("http", "https") or not _HOST.fullmatch(parsed.raw_host):
        raise TargetRefused(_NO_HOST, name="url")
    if parsed.userinfo:
        raise TargetRefused(_USER_NAME, name="url")
    return str(parsed)
