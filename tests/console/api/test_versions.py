"""ETag and If-Match: a change that a viewer has not seen is not overwritten."""

from __future__ import annotations

import pytest

from unihooks.exceptions import Conflict

CHANGES = [
    ("PATCH", "", {"name": "New"}),
    ("POST", "/activate", {}),
    ("POST", "/deactivate", {}),
    ("POST", "/endpoints/{endpoint}/disable", {}),
    ("POST", "/endpoints/{endpoint}/enable", {}),
    ("POST", "/secret/rotate", {}),
    ("DELETE", "", None),
]
EVERY = pytest.mark.parametrize("change", CHANGES, ids=lambda one: f"{one[0]}{one[1]}")


async def asked(api, webhook, change, if_match):
    method, path, body = change
    place = f"/webhooks/{webhook.id}{path.format(endpoint=webhook.endpoints[0].id)}"
    return await api.ask(method, place, json=body, headers={"if-match": if_match})


async def test_a_webhook_has_its_version_as_etag(api, webhook):
    answer = await api.get(f"/webhooks/{webhook.id}")
    assert answer.headers["etag"] == f'"{webhook.version}"'
    changed = await api.patch(f"/webhooks/{webhook.id}", {"name": "New"})
    assert changed.headers["etag"] == f'"{webhook.version + 1}"'


@EVERY
async def test_a_change_of_a_version_that_is_not_the_current_one_is_refused(api, webhook, dispatcher, change):
    answer = await asked(api, webhook, change, f'"{webhook.version + 1}"')
    assert (answer.status_code, answer.json()["type"]) == (412, "urn:webhooks:problem:precondition-failed")
    assert answer.headers["etag"] == f'"{webhook.version}"'
    assert answer.json()["field"] == "if-match"
    assert dispatcher.webhooks.get(webhook.id, tenant="acme") == webhook


@EVERY
@pytest.mark.parametrize("given", ['"{0}"', 'W/"{0}"', '"900", "{0}"', "*"])
async def test_a_change_of_the_current_version_is_made(api, webhook, change, given):
    answer = await asked(api, webhook, change, given.format(webhook.version))
    assert answer.is_success, answer.text


@EVERY
async def test_a_change_between_the_look_and_the_deed_is_refused(api, webhook, dispatcher, monkeypatch, change):
    get = type(dispatcher.webhooks).aget

    async def late(self, id, *, tenant):
        found = await get(self, id, tenant=tenant)
        monkeypatch.undo()
        dispatcher.webhooks.update(id, tenant=tenant, description="changed meanwhile")
        return found

    monkeypatch.setattr(type(dispatcher.webhooks), "aget", late)
    answer = await asked(api, webhook, change, f'"{webhook.version}"')
    assert (answer.status_code, answer.json()["type"]) == (412, "urn:webhooks:problem:precondition-failed")
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").version == webhook.version + 1


@pytest.mark.parametrize("given", ["3", "", '"3', "W/3", '"a" "b"'])
async def test_an_if_match_that_is_no_etag_is_refused(api, webhook, given):
    answer = await api.ask("PATCH", f"/webhooks/{webhook.id}", json={"name": "x"}, headers={"if-match": given})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:webhooks:problem:malformed")


async def test_an_object_without_an_etag_matches_none(api, delivery, dispatcher):
    answer = await api.post(f"/deliveries/{delivery.id}/replay", {}, **{"if-match": '"1"'})
    assert answer.status_code == 412
    assert len(dispatcher.log.deliveries(tenant="acme")) == 1


async def test_reading_ignores_it_and_an_unknown_webhook_is_not_found(api, webhook):
    assert (await api.ask("GET", f"/webhooks/{webhook.id}", headers={"if-match": '"9"'})).status_code == 200
    answer = await api.ask("PATCH", "/webhooks/wh_nobodys", json={"name": "x"}, headers={"if-match": "*"})
    assert answer.status_code == 404


async def test_a_repeated_request_gets_the_first_response_although_the_version_has_changed(api, webhook):
    headers = {"if-match": f'"{webhook.version}"', "idempotency-key": "one"}
    answers = [await api.post(f"/webhooks/{webhook.id}/deactivate", {}, **headers) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[0].headers["etag"] == answers[1].headers["etag"]


def test_every_verb_of_the_dispatcher_takes_the_version_that_its_caller_has_seen(dispatcher, webhook):
    webhooks, endpoint = dispatcher.webhooks, webhook.endpoints[0].id
    old = {"tenant": "acme", "version": webhook.version - 1}
    for change in (
        lambda: webhooks.activate(webhook.id, **old),
        lambda: webhooks.deactivate(webhook.id, **old),
        lambda: webhooks.disable_endpoint(webhook.id, endpoint, **old),
        lambda: webhooks.enable_endpoint(webhook.id, endpoint, **old),
        lambda: webhooks.rotate_secret(webhook.id, **old),
        lambda: webhooks.delete(webhook.id, **old),
    ):
        with pytest.raises(Conflict, match="read it again"):
            change()
    assert webhooks.get(webhook.id, tenant="acme") == webhook
