"""The names under which the host appears in the headers of requests."""

from __future__ import annotations

import re

from attrs import Attribute, field, frozen

from unihooks.exceptions import InvalidArgument

_PREFIX = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_PREFIX = 40
_USER_AGENT = re.compile(r"[!-~]([ -~]{0,198}[!-~])?")
# Names that begin like this belong to HTTP, to Standard Webhooks, or to proxies that check requests.
_TAKEN = ("webhook", "content", "proxy", "sec", "forwarded", "x-forwarded", "access-control", "ce", "if", "transfer")


@frozen
class WireNames:
    """The host's names in requests: headers are `<prefix>-product` and so on.

    Without a `user_agent`, the host's prefix is used for it, or else the library's name.
    """

    prefix: str = field(default="unihooks")
    user_agent: str | None = field(default=None)

    @prefix.validator
    def _check_prefix(self, _attribute: Attribute[str], value: object) -> None:
        if not isinstance(value, str):
            raise TypeError(f"header_prefix must be a text, such as 'acme', not {type(value).__name__}")
        if len(value) > _LONGEST_PREFIX or not _PREFIX.fullmatch(value):
            sentence = f"must be up to {_LONGEST_PREFIX} lower-case letters, digits and single hyphens, such as 'acme'"
            raise InvalidArgument(f"header_prefix {sentence}", name="header_prefix")
        if any(value == one or value.startswith(f"{one}-") for one in _TAKEN):
            sentence = f"header_prefix cannot be {value!r}: headers with this prefix have another meaning"
            raise InvalidArgument(sentence, name="header_prefix")

    @user_agent.validator
    def _check_user_agent(self, _attribute: Attribute[str | None], value: object) -> None:
        if not isinstance(value, str | None):
            raise TypeError(
                f"user_agent must be a text, such as 'Acme-Webhooks/1.0', or None, not {type(value).__name__}"
            )
        if value is not None and not _USER_AGENT.fullmatch(value):
            sentence = "user_agent must be 1 to 200 printable ASCII characters, without spaces at its ends"
            raise InvalidArgument(sentence, name="user_agent")

    @property
    def sender(self) -> str | None:
        """The `user-agent` of requests; None for the library's own."""
        return self.user_agent or (None if self.prefix == DEFAULT_NAMES.prefix else f"{self.prefix}-webhooks")

    def owns(self, header: str) -> bool:
        """Return whether a header with this name is the host's."""
        return header.lower().startswith(f"{self.prefix}-")


DEFAULT_NAMES = WireNames()
