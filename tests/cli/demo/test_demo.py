"""The demo does not claim what it has not checked."""

from __future__ import annotations

from unihooks.cli.demo import demo as demo_command
from unihooks.exceptions import VerificationError
from unihooks.testing import Receiver


def test_endpoint_that_never_recovers_is_a_failure(run, monkeypatch):
    receiver = Receiver()
    receiver.on("/in").always(503)
    monkeypatch.setattr(demo_command, "_receiver", lambda: receiver)
    result = run("demo")
    assert result.exit_code == 1
    assert "Not everything arrived" in result.stdout
    assert "failed" in result.stdout


def test_signature_that_does_not_fit_is_a_failure(run_json, run, monkeypatch):
    def refuse(*_):
        raise VerificationError("no")

    monkeypatch.setattr(demo_command, "verify", refuse)
    value = run_json("demo")
    assert value["ok"] is False
    assert not any(one["verified"] for one in value["requests"])
    result = run("demo")
    assert (result.exit_code, result.stdout.count("NOT VERIFIED")) == (1, 3)


def test_request_that_never_comes_is_a_failure(run, monkeypatch):
    monkeypatch.setattr(demo_command, "_PATIENCE", 0.5)
    monkeypatch.setattr(demo_command, "FIRST_RETRY", 60)
    result = run("demo")
    assert result.exit_code == 1
    assert "Not everything arrived" in result.stdout


def test_changed_body_that_is_accepted_would_be_a_failure(run_json, monkeypatch):
    monkeypatch.setattr(demo_command, "_refuses_forgery", lambda *_: False)
    assert run_json("demo")["ok"] is False
