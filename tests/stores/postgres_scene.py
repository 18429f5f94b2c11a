"""Steps that tests of the PostgreSQL store share."""

from __future__ import annotations

from unihooks._base.ids import new_id
from unihooks._contract.planning import NewEvent
from unihooks._message.secrets import Secret
from unihooks._model.webhooks import ActiveInterval, Endpoint, EventSubscription, Webhook
from unihooks.abc import Capacity, EventFilter, Lease, Window


def make_event(store, *, tenant="default", body=b'{"n":1}', **more):
    at = store.now()
    return NewEvent(new_id("evt_", at), tenant, "shop", "order.paid", body, at, **more)


def emit(store, *events):
    return store.submit_events(events or [make_event(store)]).result(timeout=20)


def add_webhook(store, *, endpoints=1, tenant="default", active=True, policy=None):
    at = store.now()
    webhook = Webhook(
        name="a webhook",
        id=new_id("whk_", at),
        tenant=tenant,
        version=1,
        status="active" if active else "inactive",
        interval=ActiveInterval(activated_at=at, activated_mark=new_id("mrk_", at)) if active else None,
        secrets=[Secret.generate()],
        subscriptions=[EventSubscription("shop", "*")],
        endpoints=[Endpoint(f"https://h{n}.example/", id=new_id("end_", at)) for n in range(endpoints)],
        policy=policy,
    )
    store.add_webhook(webhook, at_most=10_000)
    return webhook


def plan(store, *, capacity=0, limit=100):
    return store.plan(Lease(token=1, seconds=30), Capacity(capacity, capacity), limit)


def stored_ids(store):
    return {item.id for item in store.list_events("default", EventFilter(), Window(limit=5_000))}


def cut_all(admin):
    """End every other connection, as a failing network or server would."""
    admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'unihooks' AND datname = current_database()"
    )
