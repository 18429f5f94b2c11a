"""Tenants spread over several database servers, each with a store and a dispatcher of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unihooks import Dispatcher
from unihooks.stores import PostgresStore


class Shards:
    """A dispatcher per server; `server_of` says where a tenant lives, from a column of your table of customers."""

    def __init__(self, dsns: Mapping[str, str], server_of: Callable[[str], str], **options: Any) -> None:
        self.dispatchers = {name: Dispatcher(PostgresStore(dsn), **options) for name, dsn in dsns.items()}
        self._server_of = server_of

    def of(self, tenant: str) -> Dispatcher:
        return self.dispatchers[self._server_of(tenant)]

    def close(self) -> None:
        for dispatcher in self.dispatchers.values():
            dispatcher.close()
