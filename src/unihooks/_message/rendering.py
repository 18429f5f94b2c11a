"""How a webhook turns an event into the bytes that are sent to it."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import NamedTuple

from attrs import define, frozen

from unihooks._base.sentences import Kept
from unihooks._message.mapping import PayloadMapping
from unihooks._message.payload import decode, encode_checked, has_long_texts
from unihooks.exceptions import InvalidMapping, InvalidPayload

_ID_LENGTH = 32
_MAPPING_FAILED = Kept("mapping-failed", "the payload mapping failed: {why}")


class Rendered(NamedTuple):
    """The body that is sent, and warnings for the customer about how it was made."""

    body: bytes
    warnings: tuple[str, ...] = ()


@define
class RenderingFailed(Exception):
    """An event cannot be rendered, now or later; `reason` is what the delivery's log says."""

    reason: str


@frozen
class Rendering:
    """The way in which a webhook turns events into bytes: the same bytes each time, because it never changes.

    `definition` is all of it as JSON, and `id` a hash of that text. Neither includes what does not affect the result,
    such as the order of the rules.

    >>> rendering = Rendering(PayloadMapping(remove=["sender"], rename={"text": "body"}))
    >>> rendering.definition
    '{"mapping":{"remove":["sender"],"rename":{"text":"body"}}}'
    >>> rendering.render(b'{"sender":"Ada","text":"Hi"}').body
    b'{"body":"Hi"}'
    """

    mapping: PayloadMapping

    @staticmethod
    def of(mapping: PayloadMapping) -> Rendering | None:
        """Return the rendering of a webhook with this mapping; None where it gets an event's own bytes."""
        return Rendering(mapping) if mapping else None

    @staticmethod
    def from_definition(text: str) -> Rendering:
        """Return the rendering that has this definition."""
        return Rendering(PayloadMapping(**json.loads(text)["mapping"]))

    @cached_property
    def id(self) -> str:
        """The name under which a store keeps it: equal renderings have equal names."""
        return hashlib.sha256(self.definition.encode()).hexdigest()[:_ID_LENGTH]

    @cached_property
    def definition(self) -> str:
        """Its canonical JSON. Empty parts are left out, so that new kinds of parts change no existing id."""
        rules = {"remove": sorted(set(self.mapping.remove)), "rename": dict(self.mapping.rename)}
        parts = {"mapping": {kind: some for kind, some in rules.items() if some}}
        return json.dumps(parts, sort_keys=True, separators=(",", ":"))

    def render(self, body: bytes) -> Rendered:
        """Return the body to send for an event with this body, or raise `RenderingFailed`."""
        try:
            result, warnings = self.mapping.apply_unchecked(decode(body))
            # A mapping turns JSON into JSON, but long new names may make a large body larger than may be sent.
            return Rendered(encode_checked(result, has_long_texts=has_long_texts(body)), warnings)
        except (InvalidMapping, InvalidPayload) as error:
            raise RenderingFailed(_MAPPING_FAILED(why=error.message)) from error
