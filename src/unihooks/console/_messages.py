"""Hold the sentences that tell, after a redirect, what was done."""

from __future__ import annotations

from unihooks.console._locale import gettext, later

_DONE = {
    "activated": later("The webhook is active: events from now on are sent to its endpoints."),
    "deactivated": later("The webhook is inactive: nothing is sent, and what is pending waits."),
    "saved": later("Your changes are saved. Events from now on follow them."),
    "deleted": later("The webhook is deleted. Its delivery log stays until it is past its retention."),
    "enabled": later("The endpoint is enabled again: what waited for it is on its way."),
    "replayed": later("A new delivery with the same content is on its way."),
    "replayed_all": later("The new deliveries are on their way."),
    "cancelled": later("The delivery is cancelled: no further attempt will be made."),
    "recovered": later("What this webhook missed is planned and on its way."),
}


def done_message(code: str | None) -> str | None:
    """Return the sentence of a code; None for any other text, which is never shown."""
    return gettext(_DONE[code]) if code in _DONE else None
