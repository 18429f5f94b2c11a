from __future__ import annotations

import pytest

from unihooks.console import Permission

SINCE = "2020-01-01T00:00:00Z"


@pytest.fixture
def missed(dispatcher, webhook):
    """Return a webhook that has missed three events."""
    dispatcher.webhooks.deactivate(webhook.id, tenant="acme")
    dispatcher.emit_many([("chat", "message.received", number) for number in range(3)], tenant="acme")
    dispatcher.drain()
    return dispatcher.webhooks.activate(webhook.id, tenant="acme")


async def test_a_recovery_is_started_shown_and_done(api, dispatcher, missed, receiver):
    answer = await api.post("/jobs/recover", {"webhook_id": missed.id, "since": SINCE})
    job = answer.json()
    assert (answer.status_code, job["kind"], job["state"]) == (201, "recover", "pending")
    assert (job["done"], job["total"], job["webhook_id"], "tenant" in job) == (0, 3, missed.id, False)
    assert (await api.get("/jobs")).json()["items"] == [job]
    dispatcher.drain()
    ended = (await api.get(f"/jobs/{job['id']}")).json()
    assert (ended["state"], ended["done"], ended["made"]) == ("done", 3, 3)
    assert len(receiver.requests) == 3


async def test_a_replay_is_of_a_filter_and_may_be_of_today(api, dispatcher, missed):
    await api.post("/jobs/recover", {"webhook_id": missed.id, "since": SINCE})
    dispatcher.drain()
    asked = {"filter": {"state": "delivered", "since": SINCE}, "rendering": "today"}
    job = (await api.post("/jobs/replay", asked)).json()
    assert (job["kind"], job["total"]) == ("replay", 3)


async def test_a_job_is_stopped(api, missed):
    job = (await api.post("/jobs/recover", {"webhook_id": missed.id, "since": SINCE})).json()
    stopped = await api.post(f"/jobs/{job['id']}/stop")
    assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
    assert (await api.post(f"/jobs/{job['id']}/stop")).json() == stopped.json()


async def test_a_job_that_is_asked_for_twice_with_one_key_is_one(api, missed):
    asked = {"webhook_id": missed.id, "since": SINCE}
    first, second = [await api.post("/jobs/recover", asked, **{"idempotency-key": "k1"}) for _ in range(2)]
    assert first.json() == second.json()
    assert len((await api.get("/jobs")).json()["items"]) == 1


async def test_a_third_unfinished_job_is_too_many(api, missed):
    asked = {"webhook_id": missed.id, "since": SINCE}
    answers = [await api.post("/jobs/recover", asked) for _ in range(3)]
    assert [one.status_code for one in answers] == [201, 201, 429]
    assert "2 unfinished jobs" in answers[-1].json()["detail"]


@pytest.mark.parametrize(
    "path, body, status, field",
    [
        ("/jobs/recover", {"webhook_id": "wh_unknown", "since": SINCE}, 404, "webhook_id"),
        ("/jobs/recover", {"webhook_id": "wh_unknown"}, 422, "since"),
        ("/jobs/replay", {}, 422, "filter"),
        ("/jobs/replay", {"filter": {}, "rendering": "tomorrow"}, 422, "rendering"),
        ("/jobs/replay", {"filter": {"webhook_id": "wh_unknown"}}, 404, "webhook_id"),
        ("/jobs/job_unknown/stop", {}, 404, "job_id"),
    ],
)
async def test_what_is_wrong_is_told(api, path, body, status, field):
    answer = await api.post(path, body)
    assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert (await api.get("/jobs")).json()["items"] == []


async def test_jobs_of_another_tenant_are_not_found_and_reading_is_not_sending(api, viewing, missed):
    job = (await api.post("/jobs/recover", {"webhook_id": missed.id, "since": SINCE})).json()
    other = viewing("other", *Permission)
    assert (await other.get(f"/jobs/{job['id']}")).status_code == 404
    assert (await other.post(f"/jobs/{job['id']}/stop")).status_code == 404
    assert (await other.get("/jobs")).json()["items"] == []
    reader = viewing("acme", Permission.READ)
    assert (await reader.get(f"/jobs/{job['id']}")).status_code == 200
    for path in ("/jobs/recover", "/jobs/replay", f"/jobs/{job['id']}/stop"):
        assert (await reader.post(path)).status_code == 403
