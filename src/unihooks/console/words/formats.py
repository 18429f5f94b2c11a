"""Show times, durations, numbers and JSON to people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from unihooks.console.words.locale import gettext, ngettext

NOTHING = "\N{EN DASH}"
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_SECOND_MS = 1_000
_STEP = 1_000
# A larger page would take longer to send and to read than colours are worth.
_MOST_CHARACTERS = 40_000
_TOKENS = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<literal>\b(?:true|false|null)\b)"
)


def now() -> datetime:
    """Return the time that ages are measured from."""
    return datetime.now(UTC)


def moment(value: datetime | None) -> str:
    """Show a time exactly: `2026-01-31 12:00:05 UTC`."""
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def machine_time(value: datetime) -> str:
    """Return a time for the attribute `datetime` of a `<time>` element."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds")


def ago(value: datetime | None) -> str:
    """Show how long ago a time was, or how soon it comes."""
    if value is None:
        return gettext("never")
    seconds = round((now() - value).total_seconds())
    if seconds < 0:
        return gettext("in %(span)s") % {"span": span(timedelta(seconds=-seconds))}
    return gettext("just now") if seconds < 5 else gettext("%(span)s ago") % {"span": span(timedelta(seconds=seconds))}  # noqa: PLR2004


def span(value: timedelta) -> str:
    """Show a length of time in its largest unit."""
    seconds = int(value.total_seconds())
    if seconds < _MINUTE:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    if seconds < _HOUR:
        return ngettext("%(count)d minute", "%(count)d minutes", seconds // _MINUTE) % {"count": seconds // _MINUTE}
    if seconds < _DAY:
        return ngettext("%(count)d hour", "%(count)d hours", seconds // _HOUR) % {"count": seconds // _HOUR}
    return ngettext("%(count)d day", "%(count)d days", seconds // _DAY) % {"count": seconds // _DAY}


def short_span(seconds: float) -> str:
    """Show a length of time in a few characters: `5 min`."""
    whole = max(1, round(seconds))
    if whole < _MINUTE:
        return gettext("%(count)d s") % {"count": whole}
    if whole < _HOUR:
        return gettext("%(count)d min") % {"count": round(whole / _MINUTE)}
    if whole < _DAY:
        return gettext("%(count)d h") % {"count": round(whole / _HOUR)}
    return gettext("%(count)d d") % {"count": round(whole / _DAY)}


def milliseconds(value: float | None) -> str:
    """Show a duration in ms, or in s from one second up."""
    if value is None:
        return NOTHING
    if value >= _SECOND_MS:
        return f"{value / _SECOND_MS:.1f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"  # noqa: PLR2004


def rate(value: float | None) -> str:
    """Show a share of 0 to 1 as people say it: 67 %, and 99.8 % where 100 % would be too much."""
    if value is None:
        return NOTHING
    hundredths = value * 100
    is_near_an_end = 0 < hundredths < 1 or 99 < hundredths < 100  # noqa: PLR2004 - hundredths
    return f"{min(max(hundredths, 0.1), 99.9):.1f} %" if is_near_an_end else f"{hundredths:.0f} %"


def isolated(value: str) -> str:
    """Keep a figure and its unit from left to right within a sentence of either direction."""
    return f"\N{LEFT-TO-RIGHT ISOLATE}{value}\N{POP DIRECTIONAL ISOLATE}"


def number(value: int) -> str:
    """Show a whole number with thousands separators."""
    return f"{value:,}"


def size(value: float) -> str:
    """Show a number of bytes in units that are written so in every language: `18 B`, `1.5 kB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < _STEP or unit == "GB":
            break
        value /= _STEP
    return f"{value:,.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004


def pretty(value: Any) -> str:
    """Show a JSON value, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def indented(text: str) -> str:
    """Show a text indented if it is JSON, and as it is if not."""
    try:
        return pretty(json.loads(text))
    except (ValueError, RecursionError):
        return text


def json_parts(text: str) -> list[tuple[str, str]]:
    """Return the parts of a text with what each one is: a key, string, number or literal of JSON, or nothing of it.

    >>> json_parts('{"a": [1]}')
    [('', '{'), ('key', '"a"'), ('', ': ['), ('number', '1'), ('', ']}')]
    >>> json_parts("<html> 7")
    [('', '<html> 7')]
    """
    if len(text) > _MOST_CHARACTERS or not _is_json(text):
        return [("", text)]
    parts, end = [], 0
    for found in _TOKENS.finditer(text):
        parts += [("", text[end : found.start()]), (found.lastgroup or "", found[0])]
        end = found.end()
    return [part for part in (*parts, ("", text[end:])) if part[1]]


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def short_url(value: str) -> str:
    """Show a URL without its scheme."""
    return value.removeprefix("https://").removesuffix("/")


_FILTERS = (
    ago,
    indented,
    isolated,
    json_parts,
    machine_time,
    milliseconds,
    moment,
    number,
    pretty,
    rate,
    short_url,
    size,
    span,
)
FILTERS: dict[str, Callable[..., Any]] = {one.__name__: one for one in _FILTERS}
