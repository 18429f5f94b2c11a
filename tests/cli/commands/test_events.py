"""The output of `events`."""

from __future__ import annotations


def test_list_is_one_line_per_event_in_a_pipe(run, run_json, past):
    lines = run("events", "list", "--sqlite", past.path).stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["id", *(one.id for one in past.dispatcher.log.events())]
    assert run_json("events", "list", "--event-type", "other", "--sqlite", past.path)["items"] == []
    assert (
        len(run_json("events", "list", "--since", "1h", "--product", "whatsapp", "--sqlite", past.path)["items"]) == 2
    )


def test_show_has_the_payload(run, run_json, past):
    newest = past.dispatcher.log.events()[0]
    assert '{\n  "n": 1\n}' in run("events", "show", newest.id, "--sqlite", past.path).stdout
    assert run_json("events", "show", newest.id, "--sqlite", past.path)["payload"] == {"n": 1}
    result = run("events", "show", "evt_nothing", "--sqlite", past.path)
    assert (result.exit_code, "there is no event" in result.stderr) == (1, True)


def test_events_and_deliveries_are_found_by_their_subject(run, run_json, past):
    event = past.dispatcher.emit("whatsapp", "message.received", {"n": 3}, subject="chat/7")
    past.dispatcher.drain()
    common = ("--subject", "chat/7", "--sqlite", past.path)
    assert [one["id"] for one in run_json("events", "list", *common)["items"]] == [event.id]
    assert "chat/7" in run("events", "list", "--sqlite", past.path).stdout
    assert "subject\tchat/7\n" in run("events", "show", event.id, "--sqlite", past.path).stdout
    found = run_json("deliveries", "list", *common)["items"]
    assert [(one["event_id"], one["subject"]) for one in found] == [(event.id, "chat/7")] * 2
    assert "subject\tchat/7\n" in run("deliveries", "show", found[0]["id"], "--sqlite", past.path).stdout
    assert run_json("deliveries", "replay", *common, "--yes") == {"found": 2, "made": 2}
