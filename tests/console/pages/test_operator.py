"""The operator's pages: linked with each other, over all tenants, and for operators only."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from console_browser import text_of

from unihooks import Dispatcher, Webhook
from unihooks._contract.leasing import Lease, new_token
from unihooks.abc import Capacity
from unihooks.console import Permission, Viewer, create_console
from unihooks.stores import SQLiteStore

ODD = 'a/b?c=1&d <x>"ü'
OPERATOR = "read,operate"


@pytest.fixture
def busy(dispatcher, receiver, add_webhook):
    """Return webhooks of two tenants, one of them failing."""
    made = {}
    for tenant, answer in (("globex", 500), (ODD, 200)):
        host = "bad" if answer == 500 else "good"
        made[tenant] = add_webhook(f"Sync of {host}", host=f"{host}.example.com", tenant=tenant)
        receiver.answer(*[answer] * 6)
        for _ in range(6):
            dispatcher.emit("whatsapp", "message.read", {"id": 1}, tenant=tenant)
        dispatcher.drain()
    return made


async def test_everything_on_the_overview_links_to_its_page(browse, busy, dispatcher):
    dispatcher.jobs.replay(tenant="globex")
    dispatcher.settings.open_store.heartbeat("4711-abcd")
    operator = browse(permissions=OPERATOR)
    page = await operator.get("/operator")
    text = text_of(page)
    assert all(
        word in text for word in ("Queue age", "Throughput", "Failures by tenant", "globex", "4711-abcd", "Replay")
    )
    links = re.findall(r"<main.*", page.text, re.DOTALL)[0]
    tiles = re.search(r'<dl class="tiles">.*?</dl>', links, re.DOTALL)[0]
    assert tiles.count("<dd") == tiles.count('<a href="#') == 5
    rows = re.findall(r'<tr><td class="lead".*?</tr>', links, re.DOTALL)
    assert len(rows) >= 6
    assert [row for row in rows if "href=" not in row] == []
    for link in set(re.findall(r'href="(/operator[^"]*)"', links)):
        assert (await operator.get(link.replace("&amp;", "&"))).status_code == 200


async def test_tenants_page_has_its_usage_backlog_webhooks_jobs_and_changes(browse, busy, dispatcher):
    bad = busy["globex"]
    dispatcher.webhooks.disable_endpoint(bad.id, bad.endpoints[0].id, tenant="globex", reason="too slow")
    dispatcher.jobs.replay(tenant="globex")
    page = await browse(permissions=OPERATOR).get("/operator/tenant?name=globex")
    text = text_of(page)
    assert all(word in text for word in ("Usage", "Backlog", "On hold 6", "Sync of bad", "too slow", "Replay"))
    assert all(word in text for word in ("Webhook created", "Endpoint disabled"))
    assert f'id="{bad.id}"' in page.text
    assert f'id="{bad.endpoints[0].id}"' in page.text


async def test_due_is_one_figure_on_each_page_and_links_to_the_deliveries_it_counts(browse, busy, dispatcher):
    dispatcher.emit("whatsapp", "message.read", {"id": 1}, tenant="globex")
    dispatcher.settings.open_store.plan(Lease(token=1, seconds=30), Capacity(0, 0), 10)
    operator = browse(permissions=OPERATOR)
    page = await operator.get("/operator")
    # The endpoint is paused after six failures.
    due = re.search(r'<a class="text" href="(/operator/tenant\?name=globex)#backlog">([0-9]+)<', page.text)
    assert due
    assert f'<a href="#tenants">{due[2]}</a>' in page.text
    assert int(due[2]) > 0
    tenant = await operator.get(due[1])
    assert 'id="backlog"' in tenant.text
    assert f"Due {due[2]} " in text_of(tenant)


async def test_throughput_says_that_nothing_is_counted_before_workers_have_noted_it(browse):
    assert "Workers record it every half minute" in text_of(await browse(permissions=OPERATOR).get("/operator"))


async def test_name_of_a_tenant_may_have_any_character(browse, busy):
    operator = browse(permissions=OPERATOR)
    link = f"/operator/tenant?{urlencode({'name': ODD})}"
    assert link.replace("&", "&amp;") in (await operator.get("/operator")).text
    page = await operator.get(link)
    assert (page.status_code, ODD in text_of(page), "<x>" in page.text) == (200, True, False)
    assert (await operator.get("/operator/tenant?name=%00")).status_code == 404
    assert (await operator.get("/operator/tenant")).status_code == 404


async def test_old_address_of_a_tenants_usage_leads_to_its_page(browse, busy):
    answer = await browse(permissions=OPERATOR).get("/operator?tenant=globex")
    assert str(answer.url).endswith("/operator/tenant?name=globex")


async def test_own_webhooks_are_a_link_away_and_those_of_others_stay_theirs(browse, busy, webhook):
    operator = browse(permissions=OPERATOR)
    assert f'href="/webhooks/{webhook.id}"' in (await operator.get("/operator/tenant?name=acme")).text
    assert 'href="/webhooks/' not in (await operator.get("/operator/tenant?name=globex")).text


async def test_changes_are_those_of_operational_events_if_these_are_on(tmp_path, catalog, receiver, browse):
    store = SQLiteStore(tmp_path / "told.db")
    with Dispatcher(store, catalog=catalog, targets=receiver.targets, operational_events=True) as dispatcher:
        made = dispatcher.webhooks.add(Webhook(name="Gone", endpoints=["https://x.example.com/"]), tenant="globex")
        dispatcher.webhooks.rotate_secret(made.id, tenant="globex")
        dispatcher.webhooks.delete(made.id, tenant="globex")
        app = create_console(dispatcher, authenticate=viewer)
        text = text_of(await browse(app=app).get("/operator/tenant?name=globex"))
    assert all(word in text for word in ("Webhook created", "Signing secret rotated", "Webhook deleted", "Gone"))


def viewer(_request):
    return Viewer("acme", "Ada", set(Permission))


async def test_worker_shows_its_leases(browse, dispatcher, receiver, webhook):
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    dispatcher.emit("whatsapp", "message.received", {"sender": {}}, tenant="acme")
    store = dispatcher.settings.open_store
    store.heartbeat("4711-abcd")
    store.plan(Lease(token=1, seconds=30), Capacity(0, 0), 10)
    [claimed] = store.claim(Lease(token=new_token("4711-abcd"), seconds=30), Capacity(10, 10))
    operator = browse(permissions=OPERATOR)
    text = text_of(await operator.get("/operator/workers/4711-abcd"))
    assert all(word in text for word in (claimed.id, "crm.example.com", "whatsapp message.received", "acme"))
    assert "Nothing at the moment" in text_of(await _other(operator, store))
    assert (await operator.get("/operator/workers/none")).status_code == 404


async def _other(operator, store):
    store.heartbeat("4712-ffff")
    return await operator.get("/operator/workers/4712-ffff")


@pytest.mark.parametrize("path", ["/operator", "/operator/tenant?name=acme", "/operator/workers/x"])
async def test_pages_are_for_operators_only(browse, path):
    assert (await browse(permissions="read,write,send,secrets").get(path)).status_code == 403


async def test_age_of_the_queue_is_shown_as_noted(browse, webhook, dispatcher, monkeypatch):
    store = dispatcher.settings.open_store
    dispatcher.webhooks.activate(webhook.id, tenant="acme")
    dispatcher.emit("whatsapp", "message.received", {"sender": {}}, tenant="acme")
    now = store.now()
    monkeypatch.setattr(store._database.time, "own_time", lambda: now + 90_000_000)
    store.expire_held(0, 1)
    assert "At most 1 minute" in text_of(await browse(permissions=OPERATOR).get("/operator"))
