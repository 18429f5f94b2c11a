"""Steps that tests of the SQLite store, and of both stores, share."""

from __future__ import annotations

from unihooks._base.ids import new_id
from unihooks._contract.planning import NewEvent
from unihooks._message.secrets import Secret
from unihooks._model.webhooks import ActiveInterval, Endpoint, EventSubscription, Webhook


def make_event(store, *, tenant="default", body=b'{"n":1}', **more):
    at = store.now()
    return NewEvent(new_id("evt_", at), tenant, "shop", "order.paid", body, at, **more)


def emit(store, *events):
    return store.submit_events(events).result(timeout=10)


def add_webhook(store, **options):
    webhook = make_webhook(store, **options)
    store.add_webhook(webhook, at_most=10_000)
    return webhook


def make_webhook(store, *, endpoints=1, tenant="default", product="shop", event_type="*", **more):
    at = store.now()
    id_ = new_id("whk_", at)
    return Webhook(
        name="a webhook",
        id=id_,
        tenant=tenant,
        version=1,
        status="active",
        interval=ActiveInterval(activated_at=at, activated_mark=id_),
        secrets=[Secret.generate()],
        subscriptions=[EventSubscription(product, event_type)],
        endpoints=[Endpoint(f"https://h{n}.example/", id=new_id("end_", at)) for n in range(endpoints)],
        **more,
    )
