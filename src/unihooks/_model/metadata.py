"""What a host notes about a webhook: a few short texts by name."""

from __future__ import annotations

from collections.abc import Mapping

from unihooks._base.texts import Texts
from unihooks._model.checks import check_text
from unihooks.exceptions import InvalidWebhook

MOST_METADATA = 20
_LONGEST_NAME = 64
_LONGEST_VALUE = 256
_EXAMPLE = 'such as {"plan": "gold"}'


def to_metadata(value: object) -> Texts:
    """Return a webhook's metadata, or raise InvalidWebhook.

    >>> to_metadata({"plan": "gold", "account": "7"})
    {'plan': 'gold', 'account': '7'}
    """
    if not isinstance(value, Mapping):
        raise InvalidWebhook(f"metadata must be texts by name, {_EXAMPLE}", name="metadata")
    if len(value) > MOST_METADATA:
        raise InvalidWebhook(f"metadata has at most {MOST_METADATA} texts; leave some out", name="metadata")
    for name, text in value.items():
        _check_name(name)
        check_text(f"metadata.{name}", text, at_most=_LONGEST_VALUE)
    return Texts(tuple((str.__str__(name), str.__str__(text)) for name, text in value.items()))


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.strip() and name.isprintable():
        check_text(f"metadata.{name[:_LONGEST_NAME]}", name, at_most=_LONGEST_NAME)
        return
    raise InvalidWebhook(f"each name in metadata must be a printable text, {_EXAMPLE}", name="metadata")
