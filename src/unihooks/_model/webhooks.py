"""A customer's webhook, its endpoints and its subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from attrs import Attribute, evolve, field, frozen

from unihooks._base.sentences import said
from unihooks._base.texts import Texts
from unihooks._base.times import from_us, optional_from_us
from unihooks._message.conditions import Condition, conditions
from unihooks._message.headers import HeaderSet
from unihooks._message.mapping import PayloadMapping
from unihooks._message.secrets import Secret, check_signing_secret
from unihooks._model.checks import check_member, check_text
from unihooks._model.health import EndpointHealth, HealthState
from unihooks._model.policy import NO_POLICY, DeliveryPolicy
from unihooks._model.products import check_subscription, covers
from unihooks.exceptions import Conflict, InvalidWebhook

_MAX_NAME = 200
_MAX_DESCRIPTION = 2_000
_MOST_METADATA = 20
_LONGEST_METADATA_NAME = 64
_LONGEST_METADATA = 256
_METADATA = 'such as {"plan": "gold"}'
# A clock that is set back jumps by more than this; smaller differences are corrected gradually.
_LEAST_STEP_US = 100_000


class WebhookStatus(StrEnum):
    """The status of a webhook: switched on or not."""

    INACTIVE = "inactive"
    ACTIVE = "active"


def _to_status(value: object) -> WebhookStatus:
    return check_member("status", value, WebhookStatus, InvalidWebhook)


class EndpointState(StrEnum):
    """The state of an endpoint: taking deliveries or not."""

    ENABLED = "enabled"
    DISABLED = "disabled"


def _to_state(value: object) -> EndpointState:
    return check_member("state", value, EndpointState, InvalidWebhook)


def _text(at_most: int) -> Callable[[object, Attribute[str], object], None]:
    def check(_instance: object, attribute: Attribute[str], value: object) -> None:
        check_text(attribute.name, value, at_most=at_most)

    return check


def _of(kind: type, form: str) -> Callable[[object, Attribute[Any], object], None]:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise InvalidWebhook(f"{attribute.name} must be {form}", name=attribute.name)

    return check


@frozen
class EventSubscription:
    """The events that a webhook receives.

    `event_type="*"` means every event of the product, `"order.*"` every one whose type begins with `order.`. All
    conditions in `where`, up to 20, must hold for the payload. If several subscriptions match an event, it is still
    delivered once.

    >>> EventSubscription("shop", "order.*", where=[Condition("amount", "ge", 100)])
    EventSubscription(product='shop', event_type='order.*', where=(Condition('amount', 'ge', 100),))
    """

    product: str
    event_type: str
    where: tuple[Condition, ...] = field(default=(), converter=conditions)

    def __attrs_post_init__(self) -> None:
        product, event_type = check_subscription(self.product, self.event_type)
        object.__setattr__(self, "product", product)
        object.__setattr__(self, "event_type", event_type)

    def may_mean(self, product: str | None, event_type: str | None) -> bool:
        """Return whether it can match events of this product and type; None means any."""
        same_product = product is None or product == self.product
        return same_product and (event_type is None or covers(self.event_type, event_type))


@frozen(init=False)
class Endpoint:
    """One URL of a webhook, with its own state, health and deliveries.

    One that is added with `enabled=False` takes no deliveries until it is enabled. `health` is its health when it was
    read. `webhook_id` and `tenant` are set only if the endpoint is passed without its webhook, as to the hook
    `on_endpoint_disabled`.
    """

    url: str = field()
    id: str = field(default="", kw_only=True, validator=_text(_MAX_NAME))
    description: str = field(default="", kw_only=True, validator=_text(_MAX_DESCRIPTION))
    state: EndpointState = field(default=EndpointState.ENABLED, kw_only=True, converter=_to_state)
    disabled_reason: str | None = field(default=None, kw_only=True)
    disabled_at: datetime | None = field(default=None, kw_only=True)
    webhook_id: str = field(default="", kw_only=True, eq=False, repr=False)
    tenant: str = field(default="", kw_only=True, eq=False, repr=False)
    health: EndpointHealth = field(factory=EndpointHealth, kw_only=True, eq=False, repr=False)

    def __init__(
        self,
        url: str,
        *,
        id: str = "",
        description: str = "",
        enabled: bool = True,
        state: EndpointState | str | None = None,
        disabled_reason: str | None = None,
        disabled_at: datetime | None = None,
        webhook_id: str = "",
        tenant: str = "",
        health: EndpointHealth | None = None,
    ) -> None:
        if not isinstance(enabled, bool):
            raise InvalidWebhook("enabled must be True or False", name="enabled")
        if state is None:
            state = EndpointState.ENABLED if enabled else EndpointState.DISABLED
        self.__attrs_init__(
            url,
            id=id,
            description=description,
            state=state,
            disabled_reason=disabled_reason,
            disabled_at=disabled_at,
            webhook_id=webhook_id,
            tenant=tenant,
            health=_health(health or EndpointHealth(endpoint_id=id), enabled=state == EndpointState.ENABLED),
        )

    @url.validator
    def _check_url(self, _attribute: object, value: object) -> None:
        if not isinstance(value, str) or not value.strip():
            raise InvalidWebhook(
                said("url-missing", "an endpoint needs a URL such as 'https://example.com/hooks'"), name="url"
            )

    @property
    def enabled(self) -> bool:
        """Return whether the endpoint takes deliveries."""
        return self.state is EndpointState.ENABLED

    @property
    def origin(self) -> str:
        """The scheme, host and port of the URL: another origin is another server."""
        scheme, place, *_ = urlsplit(self.url)
        return f"{scheme}://{place}"


@frozen(kw_only=True)
class ActiveInterval:
    """The last interval in which a webhook was active.

    Times are microseconds since 1970. The marks are ids made at these times: they order the actions of one process
    within the same microsecond.
    """

    activated_at: int
    activated_mark: str
    deactivated_at: int | None = None
    deactivated_mark: str = ""

    def contains(self, at: int, mark: str, *, now: int) -> bool:
        """Return whether an event emitted at `at` with the id `mark` lies in the interval.

        If the interval begins after `now`, the clock was set back. The webhook is active all the same: no event may be
        lost.
        """
        if at > self.activated_at and self.deactivated_at is None:
            return True  # the usual case
        set_back = self.activated_at > now + _LEAST_STEP_US
        if not set_back and (at, mark[4:]) < (self.activated_at, self.activated_mark[4:]):
            return False
        return self.deactivated_at is None or (at, mark[4:]) < (self.deactivated_at, self.deactivated_mark[4:])


def _health(health: EndpointHealth, *, enabled: bool) -> EndpointHealth:
    if enabled is not (health.state is HealthState.DISABLED):
        return health
    return evolve(health, state=HealthState.HEALTHY if enabled else HealthState.DISABLED)


def _to_endpoints(value: object) -> tuple[Endpoint, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidWebhook("endpoints must be a list of URLs, not a single value", name="endpoints")
    return tuple(item if isinstance(item, Endpoint) else Endpoint(item) for item in value)


def _to_subscriptions(value: object) -> tuple[EventSubscription, ...]:
    if not isinstance(value, Iterable) or isinstance(value, str | bytes):
        raise InvalidWebhook("subscriptions must be a list, not a single value", name="subscriptions")
    given = list(value)
    if not all(isinstance(item, EventSubscription) for item in given):
        sentence = "each subscription must be an EventSubscription(product, event_type, where=...)"
        raise InvalidWebhook(sentence, name="subscriptions")
    return tuple(dict.fromkeys(given))


def _to_secrets(value: object) -> tuple[Secret, ...]:
    if isinstance(value, str | Secret):
        value = [value]
    if not isinstance(value, Iterable):
        raise InvalidWebhook("secrets must be a list of texts such as 'whsec_...'", name="secrets")
    return tuple(item if isinstance(item, Secret) else Secret(item) for item in value)


def _to_policy(value: DeliveryPolicy | None) -> DeliveryPolicy:
    return NO_POLICY if value is None else value


def _to_headers(value: object) -> HeaderSet:
    return value if isinstance(value, HeaderSet) else HeaderSet(value)  # type: ignore[arg-type]


def _to_metadata(value: object) -> Texts:
    if not isinstance(value, Mapping):
        raise InvalidWebhook(f"metadata must be texts by name, {_METADATA}", name="metadata")
    if len(value) > _MOST_METADATA:
        raise InvalidWebhook(f"metadata has at most {_MOST_METADATA} texts; leave some out", name="metadata")
    for name, text in value.items():
        if not (isinstance(name, str) and name.strip() and name.isprintable()):
            raise InvalidWebhook(f"each name in metadata must be a printable text, {_METADATA}", name="metadata")
        check_text(f"metadata.{name[:_LONGEST_METADATA_NAME]}", name, at_most=_LONGEST_METADATA_NAME)
        check_text(f"metadata.{name}", text, at_most=_LONGEST_METADATA)
    return Texts(tuple((str.__str__(name), str.__str__(text)) for name, text in value.items()))


@frozen(kw_only=True)
class Webhook:
    """A customer's configuration: which events go to which endpoints, and how.

    A webhook is inactive until it is activated. `id`, `tenant`, `version`, the times and, if none are given, `secrets`
    are filled in when it is added. `secrets` holds the current signing secret first, then previous ones that keep
    signing until they expire. `metadata` are up to 20 short texts of the host's, shown and searched, but never sent.
    With `ordered`, events of one subject reach an endpoint one after another, in the order of emit. A change of
    `ordered` applies to events that are planned from then on.
    """

    name: str = field(validator=_text(_MAX_NAME))
    endpoints: tuple[Endpoint, ...] = field(converter=_to_endpoints)
    description: str = field(default="", validator=_text(_MAX_DESCRIPTION))
    subscriptions: tuple[EventSubscription, ...] = field(default=(), converter=_to_subscriptions)
    mapping: PayloadMapping = field(
        factory=PayloadMapping, validator=_of(PayloadMapping, "a PayloadMapping(remove=..., rename=...)")
    )
    headers: HeaderSet = field(factory=HeaderSet, converter=_to_headers)
    policy: DeliveryPolicy = field(
        default=NO_POLICY,
        converter=_to_policy,
        validator=_of(DeliveryPolicy, "a DeliveryPolicy(rate=..., in_flight=..., ...)"),
    )
    ordered: bool = field(default=False, validator=_of(bool, "True or False"))
    metadata: Mapping[str, str] = field(factory=Texts, converter=_to_metadata)
    status: WebhookStatus = field(default=WebhookStatus.INACTIVE, converter=_to_status)
    id: str = ""
    tenant: str = "default"
    version: int = 0
    secrets: tuple[Secret, ...] = field(default=(), converter=_to_secrets)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    interval: ActiveInterval | None = field(default=None, repr=False)

    @name.validator
    def _check_name(self, _attribute: object, value: object) -> None:
        if not str(value).strip():
            raise InvalidWebhook(said("name-missing", "a webhook needs a name; give it a short text"), name="name")

    @endpoints.validator
    def _check_endpoints(self, _attribute: object, value: tuple[Endpoint, ...]) -> None:
        if not value:
            raise InvalidWebhook(
                said("endpoints-missing", "a webhook needs at least one endpoint URL"), name="endpoints"
            )
        if len({endpoint.url for endpoint in value}) < len(value):
            sentence = said("endpoint-twice", "the same endpoint URL is given twice; leave one out")
            raise InvalidWebhook(sentence, name="endpoints")

    @secrets.validator
    def _check_secrets(self, _attribute: object, value: tuple[Secret, ...]) -> None:
        for secret in value:
            check_signing_secret(secret.reveal())

    @property
    def active(self) -> bool:
        """Return whether the webhook is active."""
        return self.status is WebhookStatus.ACTIVE

    @property
    def activated_at(self) -> datetime | None:
        """Return when the webhook was last activated."""
        return None if self.interval is None else from_us(self.interval.activated_at)

    @property
    def deactivated_at(self) -> datetime | None:
        """Return when the webhook was deactivated, or None while it is active."""
        return None if self.interval is None else optional_from_us(self.interval.deactivated_at)

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Return the endpoint with this id, or None."""
        return next((item for item in self.endpoints if item.id == endpoint_id), None)

    def check_version(self, version: int | None) -> None:
        """Raise Conflict if a version is given that is not the current one."""
        if version is not None and version != self.version:
            template = "the webhook has version {current} by now, not {version}; read it again and repeat the change"
            raise Conflict(said("version-old", template, current=self.version, version=version), name="version")

    def with_endpoint(self, changed: Endpoint) -> Webhook:
        """Return a copy in which `changed` replaces the endpoint with the same id."""
        return evolve(self, endpoints=[changed if item.id == changed.id else item for item in self.endpoints])
