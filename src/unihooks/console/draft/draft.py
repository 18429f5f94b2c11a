"""The entries of a viewer in the guided form so far, in all of its steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from attrs import evolve, field, fields, frozen

from unihooks._dispatcher import Dispatcher
from unihooks._message.headers import MAX_HEADERS
from unihooks._model.catalog import Catalog
from unihooks._model.products import EVERY_EVENT
from unihooks._model.webhooks import Webhook
from unihooks.console.draft import condition_rows, conditions_text, mapping_text, policy_text
from unihooks.console.draft.condition_rows import ConditionField
from unihooks.console.http.forms import Form, to_number

STEPS = ("details", "events", "mapping", "headers", "review")
NEW, KEEP, REPLACE, REMOVE = "new", "keep", "replace", "remove"
_CHOICES = (NEW, KEEP, REPLACE, REMOVE)

_MOST_EVENTS = 1_000


@frozen(kw_only=True)
class Room:
    """The most rows that the form takes; one more of each is read, so that the checks notice too many."""

    endpoints: int
    events: int
    # A row may also be blank, or stand for a header that is to be removed.
    headers: int = 2 * MAX_HEADERS
    # Its examples and schemas tell which values of conditions are texts.
    catalog: Catalog | None = field(default=None, repr=False)

    @classmethod
    def of(cls, dispatcher: Dispatcher, webhook: Webhook | None) -> Room:
        """Return the limits, raised where a webhook already has more."""
        endpoints, events = (len(webhook.endpoints), len(webhook.subscriptions)) if webhook else (0, 0)
        return cls(
            endpoints=max(dispatcher.webhooks.most_endpoints, endpoints),
            events=max(_MOST_EVENTS, events),
            catalog=dispatcher.catalog,
        )


@frozen
class EndpointField:
    """One row of the endpoints; `id` is empty for a new one."""

    id: str = ""
    url: str = ""


@frozen
class HeaderField:
    """One row of the headers; a saved one has no value here unless it is to be replaced."""

    name: str = ""
    value: str = field(default="", repr=False)
    choice: str = NEW

    @property
    def saved(self) -> bool:
        """Return whether the webhook has this header already."""
        return self.choice != NEW

    @property
    def blank(self) -> bool:
        """Return whether the row has not been filled in."""
        return self.choice == NEW and not self.name.strip() and not self.value


@frozen(kw_only=True)
class Picker:
    """The state of the list of events: the search, and the event whose example is shown."""

    search: str = ""
    example: str = ""


# One function for each type: mypy knows no generic converters.


def _to_endpoints(value: Iterable[EndpointField]) -> tuple[EndpointField, ...]:
    return tuple(value)


def _to_headers(value: Iterable[HeaderField]) -> tuple[HeaderField, ...]:
    return tuple(value)


def _to_conditions(value: Iterable[ConditionField]) -> tuple[ConditionField, ...]:
    return tuple(value)


def _to_events(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


@frozen(kw_only=True)
class Draft:
    """All fields of the form; each of `events` is a product and an event type, separated by a space.

    `conditions` is the text of the complete condition rows or, with `conditions_as_text`, the text that was typed.
    """

    step: str = STEPS[0]
    name: str = ""
    description: str = ""
    active: bool = False
    ordered: bool = False
    endpoints: tuple[EndpointField, ...] = field(default=(EndpointField(),), converter=_to_endpoints)
    events: tuple[str, ...] = field(default=(), converter=_to_events)
    conditions: str = ""
    condition_rows: tuple[ConditionField, ...] = field(default=(), converter=_to_conditions)
    conditions_as_text: bool = False
    picker: Picker = Picker()
    policy: dict[str, str] = field(factory=dict)
    mapping: str = ""
    headers: tuple[HeaderField, ...] = field(default=(), converter=_to_headers)
    sample: str = ""
    version: int = 0
    room: Room | None = None

    def with_step(self, given: Draft) -> Draft:
        """Return the draft with the input of a step's page, and everything else as it was."""
        sent = {name: getattr(given, name) for name in FIELDS if STEP_OF.get(name, STEPS[0]) == given.step}
        return evolve(self, step=given.step, room=given.room, **sent)

    def after(self) -> Draft:
        """Return the draft at the next step."""
        return self._moved(1)

    def before(self) -> Draft:
        """Return the draft at the previous step."""
        return self._moved(-1)

    def _moved(self, by: int) -> Draft:
        at = STEPS.index(self.step) + by
        return evolve(self, step=STEPS[max(0, min(at, len(STEPS) - 1))])


# What the page of a step sends; all that is not named here is sent by the first one.
STEP_OF = {
    **dict.fromkeys(("events", "conditions", "condition_rows", "conditions_as_text", "picker"), "events"),
    **dict.fromkeys(("mapping", "sample"), "mapping"),
    "headers": "headers",
}
FIELDS = tuple(one.name for one in fields(Draft) if one.name not in ("step", "version", "room"))


def of_webhook(webhook: Webhook) -> Draft:
    """Return the draft of a saved webhook, without the values of its headers."""
    rows = condition_rows.rows_of(webhook.subscriptions)
    return Draft(
        name=webhook.name,
        description=webhook.description,
        active=webhook.active,
        ordered=webhook.ordered,
        endpoints=[EndpointField(one.id, one.url) for one in webhook.endpoints],
        events=dict.fromkeys(f"{one.product} {one.event_type}" for one in webhook.subscriptions),
        conditions=conditions_text.write(webhook.subscriptions),
        condition_rows=rows or (),
        conditions_as_text=rows is None,
        policy=policy_text.write(webhook.policy),
        mapping=mapping_text.write(webhook.mapping),
        headers=[HeaderField(name, "", KEEP) for name in webhook.headers],
        version=webhook.version,
    )


def of_form(form: Form, room: Room) -> Draft:
    """Return the draft that a form has sent; rows beyond the room are not even read."""
    step = form.get("step")
    as_text = bool(form.all("conditions"))
    rows = [] if as_text else condition_rows.rows_in(form)
    events = _chosen(form, room, rows)
    return Draft(
        step=step if step in STEPS else STEPS[0],
        name=form.get("name"),
        description=form.get("description"),
        ordered=form.get("ordered") == "yes",
        endpoints=list(islice(_endpoints(form), room.endpoints + 1)) or [EndpointField()],
        events=events,
        conditions=form.get("conditions") if as_text else condition_rows.to_text(rows, events, room.catalog),
        condition_rows=rows,
        conditions_as_text=as_text,
        picker=Picker(search=form.get("find").strip(), example=" ".join(form.get("example").split())),
        policy={name: form.get(f"policy_{name}") for name in policy_text.FIELDS},
        mapping=form.get("mapping"),
        headers=islice(_headers(form), room.headers + 1),
        sample=form.get("sample"),
        version=to_number(form.get("version")) or 0,
        room=room,
    )


def _chosen(form: Form, room: Room, rows: Iterable[ConditionField]) -> list[str]:
    """Return the chosen events, and those typed as lines, for hosts without a catalog.

    "All events" of a product replaces its single events, unless it has conditions.
    """
    ticked = dict.fromkeys(" ".join(one.split()) for one in islice(form.all("event"), room.events + 1))
    typed = (" ".join(line.split()) for line in form.get("events_text").splitlines() if line.strip())
    some = {row.event for row in rows if not row.blank} | {*form.get("conditions").splitlines()}
    every = {one.partition(" ")[0] for one in ticked if one.endswith(f" {EVERY_EVENT}") and one not in some}
    kept = [one for one in ticked if one.partition(" ")[0] not in every or one.endswith(f" {EVERY_EVENT}")]
    return list(dict.fromkeys([*kept, *islice(typed, room.events + 1)]))


def _endpoints(form: Form) -> Iterator[EndpointField]:
    pairs = zip(form.all("endpoint_id"), form.all("endpoint_url"), strict=False)
    return (EndpointField(id, url.strip()) for id, url in pairs)  # noqa: A001


def _headers(form: Form) -> Iterator[HeaderField]:
    triples = zip(form.all("header_name"), form.all("header_value"), form.all("header_choice"), strict=False)
    return (HeaderField(name.strip(), value, _choice(choice, value)) for name, value, choice in triples)


def _choice(choice: str, value: str) -> str:
    """Return the action for a header; a typed value is to be sent."""
    if choice == KEEP and value:
        return REPLACE
    return choice if choice in _CHOICES else NEW
