"""The pages, one file each."""

from __future__ import annotations

from starlette.routing import BaseRoute

from unihooks.console.pages import (
    assets,
    catalog,
    checking,
    deliveries,
    delivery,
    jobs,
    new,
    operator,
    portal,
    preferences,
    ready,
    receiver,
    reference,
    replays,
    secret,
    settings,
    test,
    webhook,
    webhooks,
)

# Where two routes match, the first one wins: `/deliveries/replay` stands before `/deliveries/{delivery_id}`.
_PAGES = (
    webhooks,
    checking,
    receiver,
    new,
    ready,
    settings,
    webhook,
    deliveries,
    replays,
    delivery,
    jobs,
    test,
    secret,
    catalog,
    reference,
    operator,
    portal,
    preferences,
    assets,
)


def page_routes() -> list[BaseRoute]:
    """Return the routes of all pages."""
    return [route for page in _PAGES for route in page.ROUTES]
