"""The dispatcher of a shop that lets its customers manage webhooks; each host beside this file mounts the console."""

from unihooks import Catalog, Dispatcher
from unihooks.console import Viewer
from unihooks.stores import SQLiteStore

catalog = Catalog()
orders = catalog.add_product("orders", title="Orders")
orders.add_event("order.paid", title="Order paid", example={"number": 7, "total": "12.50"})

dispatcher = Dispatcher(SQLiteStore("webhooks.db"), catalog=catalog)
dispatcher.migrate()

# From the shop's configuration: random, the same in every process, and kept secret.
SECRET_KEY = "only-for-this-example-0123456789-abcdefgh"


def to_viewer(tenant: str | None) -> Viewer | None:
    """Return the customer who has signed in to the shop, or None for anybody else."""
    return None if tenant is None else Viewer(tenant, name=tenant)
