"""TLS sessions to resume, each only on the route for which it was made."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

import attrs

# A session takes about 10 KiB, most of it the peer's certificate.
_LIMIT: Final = 4096

# Resuming a session does not check the certificate, so a full handshake must do it at least this often.
_SECONDS: Final = 3600.0
_SECONDS_WITHOUT: Final = 600.0


@attrs.frozen
class _Kept:
    session: ssl.SSLSession | None
    until: float


class Sessions:
    """The newest session of each owner (an endpoint's route to a server), or a note that it offers none.

    Times are those of `time.monotonic()`.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()

    def get(self, owner: Hashable, now: float) -> ssl.SSLSession | None:
        """Return the session of this owner, if it may still be valid."""
        kept = self._kept.get(owner)
        return kept.session if kept is not None and now < kept.until else None

    def wants(self, owner: Hashable, now: float) -> bool:
        """Return whether to ask for a session, which takes a fifth of the time of a handshake."""
        kept = self._kept.get(owner)
        return kept is None or kept.session is not None or now >= kept.until

    def put(self, owner: Hashable, session: ssl.SSLSession | None, now: float) -> None:
        """Keep a session, or note that this owner offers none that can be resumed."""
        self.forget(owner)
        if session is not None and (session.has_ticket or session.id):
            self._kept[owner] = _Kept(session, now + _SECONDS)
        else:
            self._kept[owner] = _Kept(None, now + _SECONDS_WITHOUT)
        if len(self._kept) > _LIMIT:
            self._kept.popitem(last=False)

    def forget(self, owner: Hashable) -> None:
        """Forget a session that did not work."""
        self._kept.pop(owner, None)
