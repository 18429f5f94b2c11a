"""Another tenant's ids are not found, on every route that takes one."""

from __future__ import annotations

import pytest
from starlette.routing import Route

from unihooks.console.pages import page_routes

ROUTES = [
    (route.path, method) for route in page_routes() if isinstance(route, Route) for method in sorted(route.methods)
]
# Under the id of a draft that another viewer has saved, there is an empty one: tests/console/test_drafts.py.
WITH_IDS = [one for one in ROUTES if "{" in one[0] and "{draft_id}" not in one[0] and one[1] != "HEAD"]
# Ids of nothing: who has no token or session is refused all the same.
NOBODYS = {
    "webhook_id": "wh_x",
    "endpoint_id": "ep_x",
    "delivery_id": "dlv_x",
    "job_id": "job_x",
    "draft_id": "drf_x",
    "receiver_id": "none",
    "chapter": "none",
    "worker_id": "none",
    "file": "none",
    "section": "details",
    "step": "details",
}


@pytest.mark.parametrize("path, method", WITH_IDS)
async def test_ids_of_another_tenant_are_not_found(browse, webhook, dispatcher, path, method):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    dispatcher.emit("whatsapp", "message.received", {"sender": {}}, tenant="acme")
    dispatcher.drain(0)
    dispatcher.drain()
    (delivery,) = dispatcher.log.deliveries(tenant="acme")
    job = dispatcher.jobs.replay(tenant="acme")
    ids = {"webhook_id": webhook.id, "endpoint_id": webhook.endpoints[0].id, "delivery_id": delivery.id}
    filled = path.format(**{**NOBODYS, **ids, "job_id": job.id})
    before = dispatcher.webhooks.get(webhook.id, tenant="acme")
    fields = {"go": "save", "name": "mine", "endpoint_url": "https://example.com/", "event": "whatsapp message.read"}
    other = browse("other", "read,write,send,secrets,operate")
    answer = await (other.get(filled) if method == "GET" else other.post(filled, {**fields, "payload": "{}"}))
    assert answer.status_code == 404
    assert dispatcher.webhooks.get(webhook.id, tenant="acme") == before
    assert dispatcher.jobs.get(job.id, tenant="acme") == job


@pytest.mark.parametrize(
    "path, method", [one for one in ROUTES if one[1] == "POST" and one[0] != "/receive/{receiver_id}"]
)
async def test_every_form_needs_its_token(browser, path, method):
    assert (await browser.client.post(path.format(**NOBODYS), data={"csrf": "x"})).status_code == 403


@pytest.mark.parametrize("path, method", ROUTES)
async def test_every_route_but_the_open_ones_needs_a_viewer(browse, path, method):
    status = (await browse(None).client.request(method, path.format(**NOBODYS))).status_code
    if path.startswith("/static"):
        assert status in (200, 404)
    elif path in ("/portal/signed-out", "/sign-out"):
        assert status == 200
    elif path.startswith("/receive/"):
        assert status == 404
    else:
        assert status == 401


async def test_filters_with_another_tenants_ids_show_nothing(browse, webhook, dispatcher, emit):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    emit()
    other = browse("other")
    assert "No deliveries match" in (await other.get(f"/deliveries?webhook={webhook.id}")).text
    assert (await other.get(f"/deliveries/replay?webhook={webhook.id}")).status_code == 404
    await other.post("/deliveries/replay", {"webhook": webhook.id})
    assert len(dispatcher.log.deliveries(tenant="acme")) == 1
