"""The pages, one file each."""

from __future__ import annotations

from starlette.routing import BaseRoute

from unihooks.console.pages import (
    assets,
    catalogue,
    deliveries,
    delivery,
    form,
    operator,
    portal,
    preferences,
    secret,
    test,
    webhook,
    webhooks,
)

_PAGES = (webhooks, form, webhook, deliveries, delivery, test, secret, catalogue, operator, preferences, portal, assets)


def page_routes() -> list[BaseRoute]:
    """Return the routes of all pages."""
    return [route for page in _PAGES for route in page.ROUTES]
