"""Checks of the tenants, ids, filters and texts that a host passes."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import TypeGuard, TypeVar

from unihooks._base.sentences import said
from unihooks._base.texts import brief
from unihooks._base.times import to_us
from unihooks._message.payload import is_utf8
from unihooks._model.log import NO_RESPONSE
from unihooks.exceptions import InvalidArgument, InvalidWebhook, NotFound, UnihooksError

E = TypeVar("E", bound=StrEnum)

_MAX_TENANT = 256
_CODES = re.compile(r"[1-9](?:xx|[0-9]{2})", re.ASCII)
NO_STATUS = "none"


def check_tenant(tenant: object) -> str:
    """Return the tenant, or raise InvalidArgument unless it is a text of 1 to 256 characters."""
    if isinstance(tenant, str) and 1 <= len(tenant) <= _MAX_TENANT and storable(tenant):
        return str.__str__(tenant)
    raise InvalidArgument("tenant must be a text of 1 to 256 characters without NUL or lone surrogates", name="tenant")


def check_id(kind: str, value: object) -> str:
    """Return an id, or raise NotFound if no store can have made it."""
    if isinstance(value, str) and storable(value):
        return value
    shown = repr(value) if isinstance(value, str) else f"with a {type(value).__name__} for an id"
    raise NotFound(f"there is no {kind} {shown}; pass `{kind}.id`", name=f"{kind}_id")


def not_found(kind: str, id_: str, tenant: str) -> NotFound:
    """Return the error for an id that this tenant does not have, whether or not another tenant has it."""
    sentence = f"there is no {kind} {id_!r} of tenant {tenant!r}; pass `{kind}.id` and the tenant that it belongs to"
    return NotFound(sentence, name=f"{kind}_id")


def check_filters(**texts: object) -> None:
    """Raise InvalidArgument for a filter that is neither None nor a text that a store can keep."""
    for name, value in texts.items():
        if value is not None and not (isinstance(value, str) and storable(value)):
            raise InvalidArgument(f"{name} must be a text without NUL or lone surrogates", name=name)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number, which True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number, which True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_number(name: str, value: object, *, at_most: int) -> int:
    """Return a whole number from 1 to `at_most`, or raise InvalidArgument."""
    if is_whole(value) and 1 <= value <= at_most:
        return value
    raise InvalidArgument(f"{name} must be a whole number from 1 to {at_most}", name=name)


def check_count(name: str, value: object) -> None:
    """Raise TypeError or InvalidArgument for anything but a whole number of at least 1 that databases can count to."""
    if not is_whole(value):
        raise TypeError(f"{name} must be a whole number, such as 100, not {value!r}")
    if value < 1:
        raise InvalidArgument(f"{name} must be at least 1, not {brief(value)}", name=name)
    if value > sys.maxsize:
        raise InvalidArgument(f"{name} must be at most sys.maxsize, not {brief(value)}", name=name)


def check_moment(name: str, value: object) -> int:
    """Return an aware datetime as microseconds since 1970, or raise InvalidArgument."""
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return to_us(value)
    raise InvalidArgument(f"{name} must be a datetime with a time zone, such as datetime.now(UTC)", name=name)


def check_status_codes(name: str, value: object) -> tuple[int, int]:
    """Return the lowest and the highest of the status codes meant by 503, "503", "5xx" or "none".

    "none" is no response. Raise InvalidArgument for what means nothing.
    """
    text = str(value).lower() if isinstance(value, int | str) else ""
    if text == NO_STATUS:
        return NO_RESPONSE, NO_RESPONSE
    if _CODES.fullmatch(text):
        lowest = int(text.replace("x", "0"))
        return lowest, int(text.replace("x", "9"))
    sentence = f"{name} must be a status code, such as 503, a class, such as '5xx', or 'none' for no response"
    raise InvalidArgument(sentence, name=name)


def is_status_code(text: str) -> bool:
    """Return whether a text is a status code, a class of them, or says that there was none."""
    return text.lower() == NO_STATUS or _CODES.fullmatch(text.lower()) is not None


def check_truth(name: str, value: object) -> bool | None:
    """Return True, False or None, or raise InvalidArgument."""
    if value is None or isinstance(value, bool):
        return value
    raise InvalidArgument(f"{name} must be True, False or None", name=name)


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise InvalidArgument unless the value is one of the choices."""
    if value not in choices:
        texts = ", ".join(repr(one) for one in choices if one is not None)
        raise InvalidArgument(f"{name} must be one of {texts}", name=name)


def check_member(name: str, value: object, kind: type[E], error: type[UnihooksError] = InvalidArgument) -> E:
    """Return the member of an enumeration that the value names, or raise an error."""
    try:
        return kind(str(value))
    except ValueError:
        raise error(f"{name} must be one of {', '.join(kind)}", name=name) from None


def check_text(name: str, value: object, *, at_most: int) -> None:
    """Raise InvalidWebhook for a value that is not text, is too long, or cannot be stored."""
    if not isinstance(value, str):
        raise InvalidWebhook(f"{name} must be a text, not {type(value).__name__}", name=name)
    if len(value) > at_most:
        raise InvalidWebhook(
            said("text-too-long", "{name} is longer than {most} characters; shorten it", name=name, most=at_most),
            name=name,
        )
    if not storable(value):
        raise InvalidWebhook(
            said("text-characters", "{name} contains a NUL or a lone surrogate; remove it", name=name), name=name
        )


def storable(value: str) -> bool:
    """Return whether every database can keep the text, which must contain no NUL and no lone surrogate."""
    return "\0" not in value and is_utf8(value)
