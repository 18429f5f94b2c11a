"""The output of `tenants`, and erasing one."""

from __future__ import annotations

import pytest


@pytest.fixture
def acme(past):
    """Return the past, with an event of a second tenant."""
    past.dispatcher.emit("whatsapp", "message.received", {}, tenant="acme")
    return past


def test_list_shows_each_tenant_that_had_a_webhook(past, run, run_json):
    lines = run("tenants", "list", "--sqlite", past.path).stdout.splitlines()
    assert [line.split("\t") for line in lines] == [["tenant", "webhooks", "due"], ["default", "1", "0"]]
    [found] = run_json("tenants", "list", "--sqlite", past.path)["items"]
    assert found == {"tenant": "default", "webhooks": 1, "due": 0}


def test_list_says_that_there_are_none(past, run):
    past.dispatcher.erase_tenant("default")
    assert "nothing found" in run("tenants", "list", "--sqlite", past.path).stderr


def test_usage_shows_how_much_a_tenant_has(past, run, run_json):
    shown = run("tenants", "usage", "default", "--sqlite", past.path).stdout
    assert "webhooks\t1\n" in shown
    assert "stored bytes, estimated\t" in shown
    found = run_json("tenants", "usage", "default", "--sqlite", past.path)
    assert found.pop("stored_bytes") > 1_000
    assert found == {"webhooks": 1, "endpoints": 2, "events_24h": 2, "deliveries_24h": 4, "pending": 0}


def test_a_tenant_is_erased_after_a_question(acme, run):
    command = ("tenants", "erase", "default", "--sqlite", acme.path)
    refused = run(*command, input="n\n")
    assert refused.exit_code == 1
    assert "Erase the tenant 'default' for good, with 1 webhooks and all events" in refused.stderr
    assert acme.dispatcher.usage("default").events_24h == 2
    done = run(*command, input="y\n")
    assert done.exit_code == 0
    # The oldest click that we support echoes the input there.
    assert done.stdout.endswith("erased, with 2 events\n")
    assert acme.dispatcher.usage("default").stored_bytes == 0
    assert acme.dispatcher.usage("acme").events_24h == 1


def test_a_tenant_is_erased_without_a_question_where_that_is_wanted(acme, run, run_json):
    assert run_json("tenants", "erase", "acme", "--yes", "--sqlite", acme.path) == {"tenant": "acme", "events": 1}
    assert run("tenants", "erase", "acme", "--yes", "--sqlite", acme.path).stdout == "erased, with 0 events\n"


def test_deliveries_are_filtered_by_status_code_and_search(past, run, run_json):
    one = past.deliveries()[0]

    def count(*filters):
        return len(run_json("deliveries", "list", "--sqlite", past.path, *filters)["items"])

    assert (count("--status-code", "5xx"), count("--status-code", "500"), count("--status-code", "404")) == (4, 4, 0)
    assert count("--status-code", "none") == 0
    assert (count("--search", one.id), count("--search", "audit.example.com"), count("--search", "nobody")) == (1, 2, 0)
    refused = run("deliveries", "list", "--sqlite", past.path, "--status-code", "oops")
    assert (refused.exit_code, "status_code must be a status code" in refused.stderr) == (2, True)
