"""Keep saved header values from servers that do not get them yet: who may not see secrets could send them there."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import httpx

from unihooks._model.webhooks import Endpoint, Webhook


def has_new_origin(current: Webhook, endpoints: Iterable[Endpoint], normalise: Callable[[str], str]) -> bool:
    """Tell whether one of the endpoints is at an origin (scheme, host and port) that the webhook does not send to."""
    known = {_origin(one.url) for one in current.endpoints}
    return any(_origin(normalise(one.url)) not in known for one in endpoints)


def _origin(url: str) -> tuple[str, bytes, int | None]:
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.raw_host, parsed.port
