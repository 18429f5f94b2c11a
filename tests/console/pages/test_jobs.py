"""The page of jobs: progress, stopping, and starting one for a filter."""

from __future__ import annotations

import pytest
from console_browser import text_of


@pytest.fixture
def missed(dispatcher, webhook):
    """Return a webhook that has missed three events."""
    dispatcher.emit_many([("whatsapp", "message.received", {"sender": {}})] * 3, tenant="acme")
    dispatcher.drain()
    return dispatcher.webhooks.activate(webhook.id, tenant="acme")


async def test_without_jobs_the_page_says_how_to_start_one(browser):
    assert "No jobs yet" in text_of(await browser.get("/jobs"))
    assert 'href="/jobs"' in (await browser.get("/deliveries")).text


async def test_a_recovery_is_started_as_a_job_and_its_progress_is_shown(browser, missed, dispatcher):
    answer = await browser.post(f"/webhooks/{missed.id}/recover", {"period": "1h", "job": "sent"})
    assert answer.url.path == "/jobs"
    assert "The job waits for a worker" in text_of(answer)
    assert "Pending" in text_of(answer)
    assert "0 of 3" in text_of(answer)
    assert 'data-poll="/jobs" data-seconds="2"' in answer.text
    dispatcher.drain()
    page = await browser.get("/jobs")
    assert "Done" in text_of(page)
    assert "3 of 3" in text_of(page)
    assert '<progress max="3" value="3"' in page.text
    assert "data-poll" not in page.text


@pytest.mark.parametrize("rendering", ["sent", "today"])
async def test_a_replay_of_filtered_deliveries_is_started_as_a_job(browser, missed, dispatcher, rendering):
    await browser.post(f"/webhooks/{missed.id}/recover", {"period": "1h"})
    dispatcher.drain()
    asked = await browser.get("/deliveries/replay?state=delivered")
    assert "Replay them as a job" in text_of(asked)
    answer = await browser.post("/deliveries/replay", {"state": "delivered", "job": rendering})
    assert answer.url.path == "/jobs"
    [job] = dispatcher.jobs.list(tenant="acme")
    assert (job.kind, job.total) == ("replay", 3)


async def test_a_job_is_stopped(browser, missed, dispatcher):
    job = dispatcher.jobs.replay(tenant="acme")
    assert f"/jobs/{job.id}/stop" in (await browser.get("/jobs")).text
    answer = await browser.post(f"/jobs/{job.id}/stop")
    assert "The job is stopped." in text_of(answer)
    assert "Stopped by hand" in text_of(answer)
    assert f"/jobs/{job.id}/stop" not in answer.text


async def test_a_third_unfinished_job_is_refused_with_the_reason(browser, missed, dispatcher):
    for _ in range(2):
        dispatcher.jobs.replay(tenant="acme")
    answer = await browser.post(f"/webhooks/{missed.id}/recover", {"period": "1h", "job": "sent"})
    assert (answer.status_code, "2 unfinished jobs" in text_of(answer)) == (409, True)
    assert "This was not done" in answer.text


async def test_viewers_who_may_not_send_see_jobs_and_stop_none(browse, missed, dispatcher):
    job = dispatcher.jobs.replay(tenant="acme")
    reader = browse(permissions="read")
    page = await reader.get("/jobs")
    assert "Pending" in text_of(page)
    assert "/stop" not in page.text
    assert (await reader.post(f"/jobs/{job.id}/stop")).status_code == 403
    assert "No jobs yet" in text_of(await browse(tenant="other").get("/jobs"))
