r"""Write the conditions of subscriptions as text, and read them back.

A paragraph is an event, as product and event type, and a condition a line: path, operator and value. A value is JSON,
or a text as it is; a path may be in quotes. Several paragraphs for one event are alternatives.

>>> from unihooks import Condition
>>> write([EventSubscription("shop", "order.paid", where=[Condition("amount", "ge", 100)])])
'shop order.paid\namount ge 100'
>>> read("shop order.paid\namount ge 100")
[EventSubscription(product='shop', event_type='order.paid', where=(Condition('amount', 'ge', 100),))]
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from unihooks._base.sentences import said
from unihooks._message.conditions import Condition, Operator
from unihooks._model.webhooks import EventSubscription
from unihooks.console.words.locale import gettext
from unihooks.exceptions import InvalidWebhook, UnihooksError

_REST = rf"\s+(?P<op>{'|'.join(Operator)})(?:\s+(?P<value>\S.*))?"
_CONDITION = re.compile(rf"(?P<path>\S(?:.*?\S)??){_REST}")
_QUOTED = re.compile(rf'(?P<path>"(?:[^"\\]|\\.)*"){_REST}')
_MOST_LINES = 1_000


def write(subscriptions: Iterable[EventSubscription]) -> str:
    """Return the text for the subscriptions to events that have conditions."""
    given = list(subscriptions)
    with_some = {(one.product, one.event_type) for one in given if one.where}
    shown = [one for one in given if (one.product, one.event_type) in with_some]
    return "\n\n".join("\n".join([f"{one.product} {one.event_type}", *map(line_of, one.where)]) for one in shown)


def read(text: str) -> list[EventSubscription]:
    """Return the subscriptions that a text describes; `InvalidWebhook` names the line that cannot be read."""
    lines = [(at, line.strip()) for at, line in enumerate(text.splitlines(), 1)]
    if len(lines) > _MOST_LINES:
        sentence = gettext("The conditions have more than %(most)s lines. Remove some.") % {"most": _MOST_LINES}
        raise InvalidWebhook(sentence, name="conditions")
    found: list[tuple[str, list[Condition]]] = []
    begins = True
    for at, line in lines:
        if line and begins:
            found.append((line, []))
        elif line:
            found[-1][1].append(_condition(line, at))
        begins = not line
    return [_subscription(event, where) for event, where in found]


def line_of(condition: Condition) -> str:
    """Return a condition as a line; a path that would not be read as it is, such as `sign in date`, is in quotes."""
    line = str(condition)
    match = _CONDITION.fullmatch(line)
    if match is not None and (match["path"], match["op"]) == (condition.path, condition.op) and line[0] != '"':
        return line
    return f"{json.dumps(condition.path)}{line[len(condition.path) :]}"


def value_text(condition: Condition) -> str:
    """Return the value of a condition as its line says it."""
    return str(condition)[len(f"{condition.path} {condition.op.value}") :].strip()


def _subscription(event: str, where: list[Condition]) -> EventSubscription:
    product, blank, event_type = event.partition(" ")
    if not blank or " " in event_type.strip():
        sentence = gettext("Begin each paragraph with an event: a product and an event type, separated by a space.")
        raise InvalidWebhook(sentence, name="conditions")
    return EventSubscription(product, event_type.strip(), where)


def _condition(line: str, at: int) -> Condition:
    match = _QUOTED.fullmatch(line) or _CONDITION.fullmatch(line)
    if match is None:
        sentence = gettext("Line %(at)s: write a path, an operator and a value, such as amount ge 100.") % {"at": at}
        raise InvalidWebhook(sentence, name="conditions")
    value = [] if match["value"] is None else [read_value(match["value"])]
    try:
        return Condition(_path(match["path"]), match["op"], *value)
    except UnihooksError as error:
        sentence = said("condition-line", "line {at}: {why}", at=at, why=error.message)
        raise InvalidWebhook(sentence, name="conditions") from None


def _path(text: str) -> str:
    return str(read_value(text)) if text.startswith('"') else text


def read_value(text: str) -> Any:
    """Return the JSON value of a text, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
