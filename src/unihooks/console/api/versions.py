"""Honour `If-Match`: change a webhook only if it still has the version that the caller has read.

The entity tag of a webhook is its version. It is for `If-Match` alone: the health of its endpoints changes without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from unihooks.console.api.problems import Problem, malformed

_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_TAGS = re.compile(rf"\s*{_TAG.pattern}\s*(?:,\s*{_TAG.pattern}\s*)*")


def entity_tag(version: int) -> str:
    """Return the value of `ETag` for a version."""
    return f'"{version}"'


def version_for(if_match: str, current: int) -> int | None:
    """Return the version that `If-Match` asks for, None if any will do; raise a Problem if it is not the current one.

    A tag that a proxy has made weak, since it compresses responses, still counts.
    """
    if if_match.strip() == "*":
        return None
    if not _TAGS.fullmatch(if_match):
        raise malformed(f'If-Match must be an ETag that was sent, such as "{current}", or *')
    if str(current) in _TAG.findall(if_match):
        return current
    raise has_changed(current)


def has_changed(current: int | None = None) -> Problem:
    """Return the problem of a webhook that has another version by now."""
    now = "" if current is None else f": it has version {current} by now"
    headers = {} if current is None else {"etag": entity_tag(current)}
    sentence = f"it is not what If-Match names{now}; read it again, and repeat the change"
    title = "The webhook has changed in the meantime"
    return Problem(412, "precondition-failed", title, sentence, name="if-match", headers=headers)


def has_no_versions() -> Problem:
    """Return the problem of `If-Match` for something that has no entity tag."""
    sentence = "what this path names has no ETag; leave If-Match out"
    return Problem(412, "precondition-failed", "There is nothing to compare", sentence, name="if-match")


def tag_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the header with the entity tag of a response that has a version."""
    return {"etag": entity_tag(content["version"])} if isinstance(content.get("version"), int) else {}
