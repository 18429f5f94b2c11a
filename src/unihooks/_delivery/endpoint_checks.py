"""Check whether an endpoint's URL leads to a server, through the same guard as deliveries, without sending anything."""

from __future__ import annotations

import time
from typing import Any

from unihooks._base.times import SECOND, from_us
from unihooks._delivery.test_sends import InFlight
from unihooks._management.settings import Settings
from unihooks._model.endpoints import normaliser
from unihooks._model.health import EndpointCheck
from unihooks.exceptions import InvalidArgument
from unihooks.transport import AttemptError, HTTPTransport, TimedOut, TLSFailed

_MOST_SECONDS = 5.0


class EndpointChecker:
    """A checker that resolves a name, connects and checks the certificate, in the running event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._in_flight = InFlight(settings.limits.tests_in_flight)

    async def check(self, url: str, tenant: str) -> EndpointCheck:
        """Return the result; `TargetRefused` for a malformed URL, `LimitReached` for too many checks at once."""
        self._settings.check_open()
        checked = normaliser(self._settings.targets)(url)
        async with self._in_flight.one(tenant, _MOST_SECONDS):
            return await self._look(checked)

    async def _look(self, url: str) -> EndpointCheck:
        transport = self._settings.new_transport()
        started = time.monotonic()

        def found(**what: Any) -> EndpointCheck:
            return EndpointCheck(url=url, duration_ms=(time.monotonic() - started) * 1_000, **what)

        try:
            if not isinstance(transport, HTTPTransport):
                sentence = "this dispatcher has a transport of its own, which cannot be checked; send a test"
                raise InvalidArgument(sentence, name="transport")
            tls, ends = await transport.reach(url, started + min(_MOST_SECONDS, self._settings.deadline))
        except (TLSFailed, TimedOut) as error:
            # Only a server that has accepted the connection gets this far; all earlier failures have the same sentence.
            return found(connected=True, error=str(error))
        except AttemptError as error:
            return found(connected=False, error=str(error))
        finally:
            await transport.aclose()
        return found(connected=True, tls=tls, certificate_ends_at=None if ends is None else from_us(ends * SECOND))
