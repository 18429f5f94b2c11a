"""Encode payloads as JSON, and refuse what is not JSON."""

from __future__ import annotations

import json
import json.encoder
import math
import re
from collections.abc import Callable
from types import NoneType
from typing import Any, NoReturn

from unihooks._base.sentences import Kept, Sentence, said
from unihooks.exceptions import InvalidPayload

MAX_PAYLOAD = 256 * 1024
"""The largest encoded payload, in bytes."""

MAX_DEPTH = 64
"""The most steps from the top of a payload to any value in it."""


def encode(payload: object) -> bytes:
    r"""Encode a payload as compact JSON in UTF-8; equal input gives equal bytes everywhere.

    Objects are dicts with text keys, whose order is kept; arrays are lists or tuples. A subclass counts as its base
    class: a `StrEnum` as text, an `IntEnum` as a number, a named tuple as an array.

    >>> encode({"id": 7, "text": "héllo", "tags": ("a", "b")})
    b'{"id":7,"text":"h\xc3\xa9llo","tags":["a","b"]}'

    Raises `InvalidPayload`, with the path of the offending value as `name`:

    >>> encode({"order": {"items": [{"price": float("nan")}]}})
    Traceback (most recent call last):
    ...
    unihooks.exceptions.InvalidPayload: $.order.items[0].price: NaN and Infinity are not JSON; ...
    """
    has_long_texts = check(payload)
    try:
        return encode_checked(payload, has_long_texts=has_long_texts)
    except ValueError:
        _refuse(payload)


def encode_checked(payload: object, *, has_long_texts: bool = False) -> bytes:
    """Encode a payload that is known to be JSON, as `encode` does; only its size is checked.

    `has_long_texts` changes only the time that this takes, not the bytes.
    """
    body = (_long_texts_to_text if has_long_texts else _to_text)(payload).encode()
    if len(body) > MAX_PAYLOAD:
        _refuse_size()
    return body


def unordered(body: bytes) -> bytes:
    r"""Sort the keys in what `encode` made, so that equal objects have equal bytes.

    >>> unordered(b'{"b":[2,1],"a":1}')
    b'{"a":1,"b":[2,1]}'
    """
    return _SORTING_ENCODER.encode(decode(body)).encode()


def decode(body: bytes) -> Any:
    """Return the payload that `encode` made these bytes from, or raise `InvalidPayload`.

    >>> decode(b'{"id":7}')
    {'id': 7}
    """
    try:
        text = body.decode()
        # `decode` would look for blanks at both ends as well, where `encode` puts none: a sixth of a small body's time.
        payload, end = _DECODER.raw_decode(text)
        return payload if end == len(text) else _DECODER.decode(text)
    except (ValueError, RecursionError) as exc:
        message = "the stored payload is not JSON; it must be the bytes that encode() made"
        raise InvalidPayload(message, name="$") from exc


def check(payload: object) -> bool:
    """Refuse wrong types and keys, too much depth, and what is certainly too large; return whether texts are long.

    Cheap, because it goes level by level and keeps no paths; the encoder refuses NaN and lone surrogates.
    """
    level, room, has_long_texts = [payload], MAX_PAYLOAD, False
    try:
        for _ in range(MAX_DEPTH + 1):
            below, left = _descend(level, room)
            has_long_texts = has_long_texts or room - left > _LONG * len(level)
            if not below:
                return has_long_texts
            level, room = below, left
    except TypeError:
        pass
    return _refuse(payload)


def has_long_texts(body: bytes) -> bool:
    """Guess from the middle of an encoded payload whether it consists of long texts."""
    middle = len(body) // 2
    return len(body) > _LOOKED_AT and body.count(b'"', middle, middle + _LOOKED_AT) < _LOOKED_AT // _LONG


def step(path: str, key: str | int) -> str:
    """Extend a path by a key, quoted where needed, or by an index.

    >>> step(step("$.items", 2), "unit price")
    "$.items[2]['unit price']"
    """
    if isinstance(key, int):
        return f"{path}[{int(key)}]"
    return f"{path}.{key}" if _BARE_KEY.fullmatch(key) else f"{path}[{str(key)!r}]"


def is_utf8(text: str) -> bool:
    """Return whether a text can be UTF-8, which has no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _descend(level: list[Any], room: int) -> tuple[list[Any], int]:
    """Return the values one level further down; raise TypeError if something on this level cannot be sent.

    `room` is counted down, since a value that occurs many times is encoded many times.
    """
    below: list[Any] = []
    for value in level:
        kind = type(value)
        if kind not in _KINDS:
            kind = _kind_of(value)
        if kind is str:
            room -= len(value)
        elif kind is dict:
            room -= len("".join(value))  # raises TypeError if a key is not text
            below += value.values()
        elif kind is list:
            below += value
        if len(below) > room:
            raise TypeError
    return below, room


def _kind_of(value: object) -> type:
    """Return the type that a subclass counts as; raise TypeError if there is none."""
    if isinstance(value, tuple):
        return list
    for kind in (str, dict, list, int, float):
        if isinstance(value, kind):
            return kind
    raise TypeError


def _refuse(payload: object) -> NoReturn:
    """Find the first offending value, in reading order, and raise InvalidPayload with its path."""
    stack: list[tuple[str, object, tuple[int, ...]]] = [("$", payload, ())]
    size = 0
    # Each value takes two bytes or more: itself, and the comma or bracket after it.
    while stack and size + 2 * len(stack) <= MAX_PAYLOAD:
        path, value, above = stack.pop()
        size += 2 + (len(value) if isinstance(value, str) else 0)
        if reason := _nesting_fault(value, above) or _fault(value):
            raise InvalidPayload(_at(path, reason), name=path)
        if isinstance(value, (dict, list, tuple)) and 2 * len(value) > MAX_PAYLOAD:
            break
        above = (*above, id(value))
        stack += [(step(path, key), child, above) for key, child in _children(value)]
    _refuse_size()


def _at(path: str, reason: str) -> str:
    text = f"{path}: {reason}"
    # A reason without a code can only come from what a host gives, not from JSON that a customer types.
    return Sentence(text, reason.code, {"path": path, **reason.figures}) if isinstance(reason, Sentence) else text


def _refuse_size() -> NoReturn:
    raise InvalidPayload(_TOO_LARGE(limit=MAX_PAYLOAD // 1024), name="$")


def _children(value: Any) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(reversed(value.items()))
    if isinstance(value, (list, tuple)):
        return list(reversed(list(enumerate(value))))
    return []


def _nesting_fault(value: object, above: tuple[int, ...]) -> str | None:
    if id(value) in above:
        return "it contains itself, which JSON cannot express; leave the reference out"
    if len(above) > MAX_DEPTH:
        template = "it is nested more than {most} levels deep; flatten the payload"
        return said("payload-too-deep", template, most=MAX_DEPTH)
    return None


def _fault(value: object) -> str | None:
    match value:
        case dict():
            fault = next(filter(None, map(_key_fault, value)), None)
        case str():
            fault = None if is_utf8(value) else _SURROGATE
        case float():
            fault = None if math.isfinite(value) else _NOT_FINITE
        case int():
            fault = _int_fault(value)
        case list() | tuple() | None:
            fault = None
        case _:
            names = (kind.__name__ for kind in type(value).__mro__)
            advice = next((_ADVICE[name] for name in names if name in _ADVICE), _ANY_JSON)
            fault = f"{type(value).__name__} is not JSON; convert it to {advice} first"
    return fault


def _key_fault(key: object) -> str | None:
    if not isinstance(key, str):
        return f"a key is of type {type(key).__name__}; JSON keys are text, so convert it with str() first"
    template = "the key {key!r} holds a lone surrogate; remove or replace it"
    return None if is_utf8(key) else said("payload-key-surrogate", template, key=str(key))


def _int_fault(value: int) -> str | None:
    try:
        int.__repr__(value)
    except ValueError:
        return "the number has too many digits for Python's own limit; send it as text"
    return None


def _escaped(text: str) -> str:
    """Escape a text as the encoder does; a long one with little to escape takes a fifth of the time.

    Looking for one character goes many bytes at a time, so looking for all of them is faster than one look at each.
    """
    if len(text) < _LONG or type(text) is not str or sum(text.count(c, 0, _LOOKED_AT) for c in _COMMON) > _DENSE:
        return _escape(text)
    for character, escaped in _ESCAPES.items():
        if character in text:
            text = text.replace(character, escaped)
    return f'"{text}"'


def _text_maker(encoder: json.JSONEncoder, escape: Callable[[str], str]) -> Callable[[object], str]:
    """Return `encoder.encode`, if possible without making its C part on each call, which takes a third of the time."""
    # Private to CPython, but this is called for every event. If it is missing or takes other arguments,
    # tests/message/test_payload.py fails, and `encode` is used instead.
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    separators = encoder.key_separator, encoder.item_separator
    sort_keys = skip_keys = allow_nan = False
    pieces = make(None, encoder.default, escape, None, *separators, sort_keys, skip_keys, allow_nan)
    return lambda payload: "".join(pieces(payload, 0))


def _no_constants(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
_escape = json.encoder.encode_basestring
# The backslash comes first, since all other replacements begin with one.
_COMMON = '\\"\n'
_ESCAPES = {character: _escape(character)[1:-1] for character in (*_COMMON, *map(chr, range(32)))}
_LONG = 1_000
_LOOKED_AT = 4 * _LONG
_DENSE = _LOOKED_AT // 32
_to_text = _text_maker(_ENCODER, _escape)
_long_texts_to_text = _text_maker(_ENCODER, _escaped)
_SORTING_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"), sort_keys=True)
_DECODER = json.JSONDecoder(parse_constant=_no_constants)
_KINDS = frozenset((str, dict, list, int, float, bool, NoneType))
_BARE_KEY = re.compile(r"[^\W\d][\w-]*")
_TOO_LARGE = Kept(
    "payload-too-large", "$: the payload is larger than {limit} KiB as JSON; send a link to the data instead"
)
_SURROGATE = said("payload-surrogate", "the text holds a lone surrogate, which is not UTF-8; remove or replace it")
_NOT_FINITE = said("payload-not-finite", "NaN and Infinity are not JSON; use None or text instead")
_ANY_JSON = "dict, list, text, a number, a bool or None"
_ADVICE = {
    **dict.fromkeys(("Decimal", "Fraction"), "text or float"),
    **dict.fromkeys(("datetime", "date", "time"), "text with .isoformat()"),
    "timedelta": "seconds with .total_seconds()",
    "UUID": "text with str()",
    **dict.fromkeys(("bytes", "bytearray", "memoryview"), "text, such as base64,"),
    **dict.fromkeys(("set", "frozenset"), "a list"),
    "Enum": "its .value",
}
