"""What a look at an endpoint's URL has found, without sending anything there."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen


@frozen(kw_only=True)
class EndpointCheck:
    """Whether a URL leads to a server: its name resolved, a connection made, its certificate checked.

    `connected` says whether the name led to a server that may be reached; which of these failed is not told. `error` is
    a sentence, None if all is well. `tls` and `certificate_ends_at` are None without an encrypted connection.
    """

    url: str
    connected: bool
    error: str | None = None
    tls: str | None = None
    certificate_ends_at: datetime | None = None
    duration_ms: float = 0.0

    @property
    def good(self) -> bool:
        """Tell whether a delivery could be sent there."""
        return self.error is None
