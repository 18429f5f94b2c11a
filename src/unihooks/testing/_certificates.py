"""A certificate authority that lives as long as one receiver."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trustme

NAMES = ("localhost", "127.0.0.1", "::1", "example.com", "*.example.com")


class Certificates:
    """The TLS contexts of a receiver and of its clients."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._authority = new_authority()
        self._names = (*NAMES, *names)

    def server_context(self) -> ssl.SSLContext:
        """Return a context with a new certificate for all names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert(*self._names).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return a context that trusts this authority and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        return context


def new_authority() -> trustme.CA:
    """Return a new authority, or raise ImportError if the extra is missing."""
    try:
        import trustme
    except ImportError as error:
        raise ImportError(
            "a Receiver needs trustme; install it with: pip install 'unihooks[testing]'", name="trustme"
        ) from error
    return trustme.CA()
