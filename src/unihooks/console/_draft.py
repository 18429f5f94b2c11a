"""What a viewer has entered into the guided form so far, in all of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from attrs import evolve, field, frozen

from unihooks._dispatcher import Dispatcher
from unihooks._message.headers import MAX_HEADERS
from unihooks._message.mapping import MAX_RULES
from unihooks._model.webhooks import Webhook
from unihooks.console import _conditions_text, _mapping_text, _policy_text
from unihooks.console._access import Form
from unihooks.console._mapping_text import Rule

STEPS = ("details", "events", "mapping", "headers", "review")
NEW, KEEP, REPLACE, REMOVE = "new", "keep", "replace", "remove"
_CHOICES = (NEW, KEEP, REPLACE, REMOVE)

T = TypeVar("T")
_MOST_EVENTS = 1_000
_LONGEST_VERSION = 18


@frozen(kw_only=True)
class Room:
    """The most rows that the form takes; one more of each is read, so that the checks find that they are too many."""

    endpoints: int
    events: int
    # A row may also be blank, or stand for a header that is to be removed.
    headers: int = 2 * MAX_HEADERS

    @classmethod
    def of(cls, dispatcher: Dispatcher, webhook: Webhook | None) -> Room:
        """Return the limits, but room for all that a webhook has already."""
        endpoints, events = (len(webhook.endpoints), len(webhook.subscriptions)) if webhook else (0, 0)
        return cls(endpoints=max(dispatcher.webhooks.most_endpoints, endpoints), events=max(_MOST_EVENTS, events))


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
        """Say whether the webhook has this header already."""
        return self.choice != NEW

    @property
    def blank(self) -> bool:
        """Say whether the row has not been filled in."""
        return self.choice == NEW and not self.name.strip() and not self.value


def _to_endpoints(value: Iterable[EndpointField]) -> tuple[EndpointField, ...]:
    return tuple(value)


def _to_headers(value: Iterable[HeaderField]) -> tuple[HeaderField, ...]:
    return tuple(value)


def _to_events(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


@frozen(kw_only=True)
class Draft:
    """All fields of the form; each of `events` is a product and an event type, separated by a space."""

    step: str = STEPS[0]
    name: str = ""
    description: str = ""
    active: bool = False
    ordered: bool = False
    endpoints: tuple[EndpointField, ...] = field(default=(EndpointField(),), converter=_to_endpoints)
    events: tuple[str, ...] = field(default=(), converter=_to_events)
    conditions: str = ""
    policy: dict[str, str] = field(factory=dict)
    mapping: str = ""
    headers: tuple[HeaderField, ...] = field(default=(), converter=_to_headers)
    sample: str = ""
    version: int = 0
    room: Room | None = None

    def after(self) -> Draft:
        """Return the draft at the next step."""
        return self._moved(1)

    def before(self) -> Draft:
        """Return the draft at the previous step."""
        return self._moved(-1)

    def _moved(self, by: int) -> Draft:
        at = STEPS.index(self.step) + by
        return evolve(self, step=STEPS[max(0, min(at, len(STEPS) - 1))])


def of_webhook(webhook: Webhook) -> Draft:
    """Return the draft of a saved webhook, without the values of its headers."""
    return Draft(
        name=webhook.name,
        description=webhook.description,
        active=webhook.active,
        ordered=webhook.ordered,
        endpoints=[EndpointField(one.id, one.url) for one in webhook.endpoints],
        events=dict.fromkeys(f"{one.product} {one.event_type}" for one in webhook.subscriptions),
        conditions=_conditions_text.write(webhook.subscriptions),
        policy=_policy_text.write(webhook.policy),
        mapping=_mapping_text.write(webhook.mapping),
        headers=[HeaderField(name, "", KEEP) for name in webhook.headers],
        version=webhook.version,
    )


def of_form(form: Form, room: Room) -> Draft:
    """Return the draft that a form has sent; rows that the room does not have are not even read."""
    step, version = form.get("step"), form.get("version")
    return Draft(
        step=step if step in STEPS else STEPS[0],
        name=form.get("name"),
        description=form.get("description"),
        active=form.get("status") == "active",
        ordered=form.get("ordered") == "yes",
        endpoints=list(islice(_endpoints(form), room.endpoints + 1)) or [EndpointField()],
        events=dict.fromkeys(" ".join(one.split()) for one in islice(_events(form), room.events + 1)),
        conditions=form.get("conditions"),
        policy={name: form.get(f"policy_{name}") for name in _policy_text.FIELDS},
        mapping=form.get("mapping"),
        headers=islice(_headers(form), room.headers + 1),
        sample=form.get("sample"),
        version=int(version) if version.isascii() and version.isdigit() and len(version) < _LONGEST_VERSION else 0,
        room=room,
    )


def commanded(draft: Draft, go: str, form: Form) -> Draft:
    """Return the draft after a button that changes the form itself; other buttons leave it as it is."""
    verb, _, rest = go.partition(":")
    command = _COMMANDS.get(verb)
    return draft if command is None else command(draft, rest, form)


def with_typed_renames(draft: Draft, form: Form) -> Draft:
    """Return the draft with the new names that were typed into the tree, as when Enter was pressed there."""
    typed = (
        Rule(name[3:], new)
        for name, value in form.pairs
        if name.startswith("to:") and (new := value.strip()) and new != form.get(f"was:{name[3:]}")
    )
    rules = {rule.path: rule for rule in islice(typed, MAX_RULES + 1)}
    return evolve(draft, mapping=_mapping_text.with_rules(draft.mapping, rules.values())) if rules else draft


def _events(form: Form) -> Iterator[str]:
    """Return the events that were chosen, and those typed as lines, as without a catalog."""
    yield from form.all("event")
    yield from (line for line in form.get("events_text").splitlines() if line.strip())


def _endpoints(form: Form) -> Iterator[EndpointField]:
    pairs = zip(form.all("endpoint_id"), form.all("endpoint_url"), strict=False)
    return (EndpointField(id, url.strip()) for id, url in pairs)  # noqa: A001


def _headers(form: Form) -> Iterator[HeaderField]:
    triples = zip(form.all("header_name"), form.all("header_value"), form.all("header_choice"), strict=False)
    return (HeaderField(name.strip(), value, choice if choice in _CHOICES else NEW) for name, value, choice in triples)


def _to_step(draft: Draft, rest: str, _form: Form) -> Draft:
    return evolve(draft, step=rest) if rest in STEPS else draft


def _add_endpoint(draft: Draft, _rest: str, _form: Form) -> Draft:
    return evolve(draft, endpoints=[*draft.endpoints, EndpointField()])


def _drop_endpoint(draft: Draft, rest: str, _form: Form) -> Draft:
    return evolve(draft, endpoints=_without(draft.endpoints, rest) or [EndpointField()])


def _add_header(draft: Draft, _rest: str, _form: Form) -> Draft:
    return evolve(draft, headers=[*draft.headers, HeaderField()])


def _drop_header(draft: Draft, rest: str, _form: Form) -> Draft:
    return evolve(draft, headers=_without(draft.headers, rest))


def _remove(draft: Draft, rest: str, _form: Form) -> Draft:
    return evolve(draft, mapping=_mapping_text.with_rules(draft.mapping, [Rule(rest)]))


def _rename(draft: Draft, rest: str, form: Form) -> Draft:
    name = form.get(f"to:{rest}").strip()
    return evolve(draft, mapping=_mapping_text.with_rules(draft.mapping, [Rule(rest, name)])) if name else draft


def _restore(draft: Draft, rest: str, _form: Form) -> Draft:
    return evolve(draft, mapping=_mapping_text.without_path(draft.mapping, rest))


def _without(rows: Iterable[T], at: str) -> list[T]:
    return [row for index, row in enumerate(rows) if str(index) != at]


_COMMANDS: dict[str, Callable[[Draft, str, Form], Draft]] = {
    "step": _to_step,
    "add-endpoint": _add_endpoint,
    "drop-endpoint": _drop_endpoint,
    "add-header": _add_header,
    "drop-header": _drop_header,
    "remove": _remove,
    "rename": _rename,
    "restore": _restore,
}
