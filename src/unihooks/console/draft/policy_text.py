"""Write a delivery policy as the texts of a form's fields, and read them back.

>>> write(DeliveryPolicy(retry_delays=[10, 60], rate=2.5))
{'retry_delays': '10, 60', 'deadline': '', 'in_flight': '', 'rate': '2.5', 'burst': ''}
>>> read({"retry_delays": "10, 60", "rate": "2.5"})
DeliveryPolicy(retry_delays=(10.0, 60.0), deadline=None, in_flight=None, rate=2.5, burst=None)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import fields

from unihooks._model.policy import DeliveryPolicy
from unihooks.console.words.locale import gettext
from unihooks.exceptions import InvalidWebhook

FIELDS = tuple(one.name for one in fields(DeliveryPolicy))
# An empty field leaves the delays to the host; this means that nothing is tried again.
_NO_RETRIES = "none"
_LONGEST = 400


def write(policy: DeliveryPolicy) -> dict[str, str]:
    """Return the texts for a policy, empty where it leaves something to the host."""
    return {name: _text(getattr(policy, name)) for name in FIELDS}


def read(texts: Mapping[str, str]) -> DeliveryPolicy:
    """Return the policy that the texts describe; `InvalidWebhook` names the field that cannot be read."""
    given = {name: text.strip() for name, text in texts.items() if text.strip()}
    return DeliveryPolicy(**{name: _value(name, text) for name, text in given.items()})


def unreadable(texts: Mapping[str, str]) -> Iterator[tuple[str, InvalidWebhook]]:
    """Yield each field that cannot be read, with the reason."""
    for name, text in texts.items():
        try:
            if text.strip():
                _value(name, text.strip())
        except InvalidWebhook as error:
            yield name, error


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or _NO_RETRIES
    return f"{value:.15g}"


def _value(name: str, text: str) -> Any:
    if len(text) > _LONGEST:
        sentence = gettext("This is longer than %(most)s characters. Shorten it.") % {"most": _LONGEST}
        raise InvalidWebhook(sentence, name=name)
    try:
        if name == "retry_delays":
            parts = [] if text == _NO_RETRIES else re.split(r"[\s,]+", text.strip(", "))
            return [_number(one, float) for one in parts]
        return _number(text, int if name == "in_flight" else float)
    except ValueError:
        sentence = gettext("Enter numbers, such as 10.") if name == "retry_delays" else gettext("Enter a number.")
        raise InvalidWebhook(sentence, name=name) from None


def _number(text: str, kind: Callable[[str], float]) -> float:
    number = kind(text)
    return int(number) if number == number // 1 else number
