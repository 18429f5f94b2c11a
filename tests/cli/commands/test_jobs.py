"""The output of `jobs`, stopping a job, and the commands that start one."""

from __future__ import annotations

import pytest

from unihooks import JobState


@pytest.fixture
def worker(past):
    """Run a worker of the application beside the commands."""
    with past.dispatcher.running():
        yield


def test_a_replay_is_started_as_a_job_and_shown(run, run_json, past):
    started = run_json("deliveries", "replay", "--state", "failed", "--job", "--yes", "--sqlite", past.path)
    assert (started["kind"], started["state"], started["done"], started["total"]) == ("replay", "pending", 0, 4)
    assert len(past.deliveries()) == 4
    [listed] = run_json("jobs", "list", "--sqlite", past.path)["items"]
    assert listed == started
    shown = run("jobs", "show", started["id"], "--sqlite", past.path).stdout
    assert "done\t0 of 4\n" in shown
    assert past.dispatcher.drain().failed == 4
    assert run_json("jobs", "show", started["id"], "--sqlite", past.path)["state"] == "done"


def test_a_replay_as_a_job_asks_first(run, past):
    result = run("deliveries", "replay", "--all", "--job", "--sqlite", past.path, input="n\n")
    assert (result.exit_code, "Replay 4 deliveries?" in result.stderr) == (1, True)
    assert not past.dispatcher.jobs.list()


def test_a_replay_of_today_is_a_job(run, past):
    assert run("deliveries", "replay", "--all", "--rendering", "today", "--yes", "--sqlite", past.path).exit_code == 0
    assert past.dispatcher.jobs.list()[0].total == 4


@pytest.mark.usefixtures("worker")
def test_a_job_that_is_waited_for_is_shown_after_its_end(run, past):
    result = run("deliveries", "replay", "--state", "failed", "--wait", "--yes", "--sqlite", past.path)
    assert result.exit_code == 0
    assert "state\tdone\n" in result.stdout
    assert "done\t4 of 4\n" in result.stdout


@pytest.mark.usefixtures("worker")
def test_a_webhook_is_recovered_as_a_job(run_json, past):
    ended = run_json("webhooks", "recover", past.webhook.id, "--since", "1h", "--wait", "--sqlite", past.path)
    assert (ended["state"], ended["webhook_id"], ended["done"], ended["made"]) == ("done", past.webhook.id, 2, 4)


def test_waiting_without_a_worker_warns_and_a_stopped_job_is_a_failure(run, past, monkeypatch):
    def stop(_):
        past.dispatcher.jobs.stop(past.dispatcher.jobs.list()[0].id)

    monkeypatch.setattr("unihooks.cli.commands.jobs._sleep", stop)
    result = run("deliveries", "replay", "--all", "--wait", "--yes", "--sqlite", past.path)
    assert result.exit_code == 1
    assert "no worker was seen" in result.stderr
    assert "reason\tstopped by hand\n" in result.stdout


def test_a_job_is_stopped(run, run_json, past):
    job = past.dispatcher.jobs.replay(state="failed")
    assert "state\tstopped\n" in run("jobs", "stop", job.id, "--sqlite", past.path).stdout
    assert past.dispatcher.jobs.get(job.id).state is JobState.STOPPED
    assert run_json("jobs", "stop", job.id, "--sqlite", past.path)["state"] == "stopped"


@pytest.mark.parametrize(
    "arguments, code, told",
    [
        (["jobs", "show", "job_nothing"], 1, "there is no job"),
        (["jobs", "stop", "job_nothing"], 1, "there is no job"),
        (["webhooks", "recover", "wh_nothing", "--since", "1h"], 1, "there is no webhook"),
        (["webhooks", "recover", "wh_nothing"], 2, "--since"),
        (["deliveries", "replay", "dlv_nothing", "--job"], 2, "no ids"),
        (["deliveries", "replay", "--job"], 2, "use either ids"),
    ],
)
def test_what_is_wrong_is_told(run, past, arguments, code, told):
    result = run(*arguments, "--sqlite", past.path)
    assert (result.exit_code, told in result.stderr) == (code, True)
    assert not past.dispatcher.jobs.list()


def test_a_third_unfinished_job_is_a_usage_error(run, past):
    for _ in range(2):
        past.dispatcher.jobs.replay()
    result = run("deliveries", "replay", "--all", "--job", "--yes", "--sqlite", past.path)
    assert (result.exit_code, "2 unfinished jobs" in result.stderr) == (2, True)


def test_replaying_many_suggests_a_job(run, past, monkeypatch):
    monkeypatch.setattr("unihooks.cli.commands.replays._MANY", 3)
    result = run("deliveries", "replay", "--all", "--yes", "--sqlite", past.path)
    assert (result.exit_code, "use --job" in result.stderr) == (0, True)
