"""Tell the parts of JSON apart, to be shown in colour."""

from __future__ import annotations

import json
import re

# A larger page would take longer to send and to read than colours are worth.
_MOST_CHARACTERS = 40_000
_TOKENS = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<literal>\b(?:true|false|null)\b)"
)


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
