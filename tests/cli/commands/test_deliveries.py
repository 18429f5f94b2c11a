"""The output of `deliveries`, and its replays."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from unihooks.exceptions import Conflict


def test_list_is_one_line_per_delivery_in_a_pipe(run, past):
    lines = run("deliveries", "list", "--sqlite", past.path).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["id", *(one.id for one in past.deliveries())]
    assert {len(line.split("\t")) for line in lines} == {9}


def test_every_filter_narrows(run_json, past):
    one = past.deliveries()[0]

    def count(*filters):
        return len(run_json("deliveries", "list", "--sqlite", past.path, *filters)["items"])

    assert count("--state", "failed") == count("--webhook", past.webhook.id) == 4
    assert count("--state", "delivered") == count("--webhook", "wh_other") == count("--tenant", "other") == 0
    assert count("--event", one.event_id) == count("--endpoint", one.endpoint_id) == 2
    assert count("--product", "whatsapp", "--event-type", "message.received") == 4
    assert count("--event-type", "other") == count("--held") == 0
    assert count("--not-held") == count("--since", "1h") == 4
    assert count("--until", "1h") == count("--until", "2020-01-01") == 0
    later = datetime.now(UTC) + timedelta(hours=1)
    assert count("--since", later.isoformat()) == 0
    assert count("--limit", "3") == 3
    assert count("--all") == 4


@pytest.mark.parametrize(
    "options",
    [
        ["--since", "yesterday"],
        ["--since", "999999w"],
        ["--limit", "0"],
        ["--limit", "251"],
        ["--cursor", "###"],
        ["--state", "lost"],
        ["--tenant", ""],
    ],
)
def test_bad_option_is_a_usage_error(run, past, options):
    result = run("deliveries", "list", "--sqlite", past.path, *options)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


def test_show_has_all_attempts_and_the_response(run, run_json, past):
    delivery = past.deliveries()[0]
    shown = run("deliveries", "show", delivery.id, "--sqlite", past.path).stdout
    assert f"id\t{delivery.id}\n" in shown
    assert "\\x1b[31mout of order\\n" in shown
    value = run_json("deliveries", "show", delivery.id, "--sqlite", past.path)
    (attempt,) = value["attempts"]
    assert (value["state"], attempt["status_code"]) == ("failed", 500)
    assert "webhook-signature" in attempt["request_headers"]


@pytest.mark.parametrize("verb", ["show", "replay"])
def test_unknown_delivery_is_not_found(run, past, verb):
    for wanted, tenant in (("dlv_nothing", "default"), (past.deliveries()[0].id, "other")):
        result = run("deliveries", verb, wanted, "--tenant", tenant, "--sqlite", past.path)
        assert result.exit_code == 1
        assert "there is no" in result.stderr
    assert len(past.deliveries()) == 4


def test_replay_by_id_does_not_ask(run, past):
    failed = past.deliveries()
    result = run("deliveries", "replay", failed[0].id, failed[1].id, failed[0].id, "--sqlite", past.path)
    assert (result.exit_code, result.stdout) == (0, "2 of 2 deliveries replayed\n")
    assert {one.replay_of for one in past.deliveries(state="pending")} == {failed[0].id, failed[1].id}


def test_replay_by_filter_asks_with_the_count_first(run, past):
    command = ("deliveries", "replay", "--state", "failed", "--webhook", past.webhook.id, "--sqlite", past.path)
    result = run(*command, input="n\n")
    assert result.exit_code == 1
    assert "Replay 4 deliveries?" in result.stderr
    assert len(past.deliveries()) == 4
    assert run(*command, input="y\n").exit_code == 0
    assert len(past.deliveries(state="pending")) == 4


def test_replay_with_yes_does_not_ask(run_json, past):
    failed = [one.id for one in past.deliveries()]
    command = ("deliveries", "replay", "--state", "failed", "--yes", "--sqlite", past.path)
    value = run_json(*command)
    assert value == {"found": 4, "made": 4}
    assert sorted(one.replay_of for one in past.deliveries(state="pending")) == sorted(failed)


def test_replay_by_filter_can_be_repeated(run, past):
    command = ("deliveries", "replay", "--state", "failed", "--yes", "--sqlite", past.path)
    assert "4 of 4 deliveries replayed" in run(*command).stdout
    again = run(*command)
    assert (again.exit_code, again.stdout) == (0, "0 of 4 deliveries replayed\n")
    assert "the others are pending" in again.stderr
    assert len(past.deliveries(state="pending")) == 4


def test_same_event_goes_to_an_endpoint_once(run, past):
    one = past.deliveries()[0]
    past.dispatcher.log.replay(one.id)
    past.dispatcher.drain()
    assert len(past.deliveries(state="failed", endpoint_id=one.endpoint_id)) == 3
    command = ("deliveries", "replay", "--state", "failed", "--endpoint", one.endpoint_id, "--sqlite", past.path)
    result = run(*command, input="y\n")
    assert "Replay 3 deliveries? Each event is sent to an endpoint once" in result.stderr
    assert "2 of 3 deliveries replayed" in result.stdout


def test_replay_of_nothing_is_no_failure(run, past):
    result = run("deliveries", "replay", "--state", "delivered", "--sqlite", past.path)
    assert (result.exit_code, result.stdout) == (0, "0 of 0 deliveries replayed\n")


@pytest.mark.parametrize("options", [[], ["dlv_1", "--state", "failed"], ["--all", "--state", "failed"]])
def test_replay_wants_ids_or_filters_or_all(run, past, options):
    result = run("deliveries", "replay", *options, "--sqlite", past.path)
    assert result.exit_code == 2
    assert "either ids, or filters" in result.stderr


def test_refused_replay_is_reported_and_the_others_continue(run, past):
    crm, audit = past.webhook.endpoints
    past.dispatcher.webhooks.update(past.webhook.id, endpoints=[audit])
    with pytest.raises(Conflict):
        past.dispatcher.log.replay(past.deliveries(endpoint_id=crm.id)[0].id)
    chosen = [one.id for one in past.deliveries()]
    result = run("deliveries", "replay", *chosen, "--sqlite", past.path)
    assert result.exit_code == 1
    assert "2 of 4 deliveries replayed" in result.stdout
    assert "is gone" in result.stderr
    assert len(past.deliveries(state="pending")) == 2
    outcome = run("deliveries", "replay", *chosen, "--json", "--sqlite", past.path)
    assert len(json.loads(outcome.stdout)["refused"]) == 2


def test_unreplayable_deliveries_are_left_out_by_filter(run, past):
    _, audit = past.webhook.endpoints
    past.dispatcher.webhooks.update(past.webhook.id, endpoints=[audit])
    result = run("deliveries", "replay", "--all", "--yes", "--sqlite", past.path)
    assert (result.exit_code, result.stdout) == (0, "2 of 4 deliveries replayed\n")
