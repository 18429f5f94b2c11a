"""What `webhooks` and `status` show, and what they never show."""

from __future__ import annotations

import pytest

from unihooks import DeliveryPolicy


def test_list_is_one_line_per_webhook_in_a_pipe(run, past):
    lines = run("webhooks", "list", "--sqlite", past.path).stdout.splitlines()
    assert lines[0].split("\t") == ["id", "status", "name", "endpoints", "events"]
    assert lines[1].split("\t") == [past.webhook.id, "active", "CRM\\x1b[31m [red]sync[/red]", "2", "whatsapp *"]


def test_list_narrows_and_pages(run, run_json, past):
    past.dispatcher.webhooks.add(past.webhook.__class__(name="Other", endpoints=["https://example.com/"]))
    common = ("webhooks", "list", "--sqlite", past.path)
    assert [one["name"] for one in run_json(*common, "--status", "inactive")["items"]] == ["Other"]
    assert [one["id"] for one in run_json(*common, "--search", "crm")["items"]] == [past.webhook.id]
    assert run_json(*common, "--tenant", "nobody")["items"] == []
    first = run_json(*common, "--limit", 1)
    second = run_json(*common, "--limit", 1, "--cursor", first["next"])
    assert [one["name"] for one in first["items"]] == ["Other"]
    assert [one["id"] for one in second["items"]] == [past.webhook.id]
    assert second["next"] is None
    assert len(run_json(*common, "--all")["items"]) == 2
    assert run(*common, "--all", "--cursor", "x").exit_code == 2
    assert "--cursor" in run(*common, "--limit", 1).stderr


def test_empty_list_is_said_on_stderr(run, past):
    result = run("webhooks", "list", "--tenant", "nobody", "--sqlite", past.path)
    assert result.stderr == "nothing found for the tenant 'nobody'\n"
    assert result.exit_code == 0


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("command", ["webhooks list", "webhooks show {}", "deliveries list", "deliveries show {}"])
def test_no_secret_is_ever_shown(run, past, command, form):
    of = past.webhook.id if command.startswith("webhooks") else past.deliveries()[1].id
    result = run(*command.format(of).split(), "--sqlite", past.path, *form)
    assert result.exit_code == 0
    assert "s3cr3t" not in result.output
    assert "whsec_" not in result.output
    assert "\x1b" not in result.output


def test_show_has_everything_but_header_values(run, run_json, past):
    shown = run("webhooks", "show", past.webhook.id, "--sqlite", past.path).stdout
    for line in ("headers\tAuthorization", "remove\tsender.name", "rename\tcontent.text to body", "status\tactive"):
        assert f"{line}\n" in shown
    assert "https://crm.example.com/hooks?key=***" in shown
    assert "\tfailing\t0/2\t0/2\t" in shown
    assert "\t2 failed in a row since 20" in shown
    value = run_json("webhooks", "show", past.webhook.id, "--sqlite", past.path)
    health = value["endpoints"][0]["health"]
    assert (health["state"], health["failures"]) == ("failing", 2)
    assert health["last_hour"] == {"attempts": 2, "succeeded": 0}
    assert value["headers"] == ["Authorization"]
    assert value["mapping"] == {"remove": ["sender.name"], "rename": {"content.text": "body"}}
    assert [set(one) for one in value["secrets"]] == [{"created_at", "expires_at"}]


def test_show_has_the_policy(run, run_json, past):
    policy = DeliveryPolicy(retry_delays=[10, 60.5], rate=2)
    past.dispatcher.webhooks.update(past.webhook.id, policy=policy)
    shown = run("webhooks", "show", past.webhook.id, "--sqlite", past.path).stdout
    assert "policy\tretry_delays 10 60.5, rate 2\n" in shown
    value = run_json("webhooks", "show", past.webhook.id, "--sqlite", past.path)
    assert value["policy"] == {"retry_delays": [10, 60.5], "rate": 2}


def test_unknown_webhook_is_not_found(run, past):
    result = run("webhooks", "show", "wh_nothing", "--sqlite", past.path)
    assert result.exit_code == 1
    assert "there is no webhook" in result.stderr
    assert run("webhooks", "show", past.webhook.id, "--tenant", "other", "--sqlite", past.path).exit_code == 1


def test_status_counts(run, run_json, past):
    past.dispatcher.log.replay(past.deliveries()[0].id)
    value = run_json("status", "--sqlite", past.path)
    assert (value["due"], value["held"], value["failing_endpoints"], value["workers"]) == (1, 0, 2, [])
    assert "none seen in the last minute" in run("status", "--sqlite", past.path).stdout


def test_status_names_the_workers(run, past):
    past.dispatcher.settings.store.heartbeat("wrk_1")
    assert "wrk_1\t" in run("status", "--sqlite", past.path).stdout


def test_metadata_are_shown_and_searched(run, run_json, past):
    past.dispatcher.webhooks.update(past.webhook.id, metadata={"plan": "gold", "account": "7\x1b[31m"})
    shown = run("webhooks", "show", past.webhook.id, "--sqlite", past.path).stdout
    assert "metadata\tplan: gold, account: 7\\x1b[31m\n" in shown
    value = run_json("webhooks", "show", past.webhook.id, "--sqlite", past.path)
    assert value["metadata"]["plan"] == "gold"
    listed = ("webhooks", "list", "--sqlite", past.path)
    assert len(run_json(*listed, "--search", "PLAN: g")["items"]) == 1
    assert run_json(*listed, "--search", "silver")["items"] == []


def test_order_is_shown(run, run_json, past):
    past.dispatcher.webhooks.update(past.webhook.id, ordered=True)
    command = ("webhooks", "show", past.webhook.id, "--sqlite", past.path)
    assert "ordered\tyes, by subject\n" in run(*command).stdout
    assert run_json(*command)["ordered"] is True
