"""The installed command, run in separate processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from unihooks.testing import Receiver

UNIHOOKS = [sys.executable, "-m", "unihooks.cli"]
WITHOUT = "import sys; sys.modules[{!r}] = None; sys.argv = ['unihooks', 'demo']; from unihooks.cli import main; main()"


def run(*arguments, **options):
    return subprocess.run(
        [*UNIHOOKS, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60, **options
    )


def test_demo_shows_one_webhook_from_emit_to_receipt():
    result = run("demo")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Everything arrived and was verified" in result.stdout
    assert result.stdout.count("signature verified") == 3
    assert '-     "name": "Sara"' in result.stdout
    assert '+     "body": "Hello",' in result.stdout
    assert "demo-only" not in result.stdout
    assert "\x1b" not in result.stdout


def test_demo_says_the_same_as_json():
    result = run("demo", "--json")
    value = json.loads(result.stdout)
    assert result.returncode == 0
    assert value["ok"] is True
    assert [one["verified"] for one in value["requests"]] == [True] * 3
    assert sorted(one["status_code"] for one in value["attempts"]) == [204, 204, 503]
    assert [one["state"] for one in value["deliveries"]] == ["delivered"] * 2
    first, second = (one for one in value["attempts"] if one["url"].endswith("/in"))
    assert second["started_at"] > first["started_at"]
    assert value["requests"][0]["body"]["content"] == {"body": "Hello", "type": "text"}


def test_demo_fits_a_narrow_terminal():
    result = run("demo", env={**os.environ, "COLUMNS": "40", "FORCE_COLOR": "1"})
    assert result.returncode == 0
    assert "\N{HORIZONTAL ELLIPSIS}" not in result.stdout


@pytest.mark.parametrize(
    "module,code,extra", [("click", 2, "unihooks[cli]"), ("rich", 2, "unihooks[cli]"), ("trustme", 1, "[cli,testing]")]
)
def test_missing_extra_is_one_sentence_that_names_it(module, code, extra):
    script = [sys.executable, "-c", WITHOUT.format(module)]
    result = subprocess.run(script, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == code
    assert extra in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not result.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("command", [["--version"], ["--help"], ["migrate", "--sql"], ["demo", "--json"]])
def test_output_that_cannot_be_written_is_one_sentence(command):
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "unihooks.cli", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert result.returncode == 1
    assert result.stderr == "Error: the output cannot be written: No space left on device\n"


APP = """
import atexit
import gc
import ssl
import sys
from unihooks import Dispatcher, TargetPolicy
from unihooks.stores import SQLiteStore

def resolve(host, port):
    return ["127.0.0.1"]

def dispatcher():
    atexit.register(lambda: print(f"frozen: {gc.get_freeze_count() > 1000}", file=sys.stderr))
    context = ssl.create_default_context(cafile="authority.pem")
    return Dispatcher(SQLiteStore("webhooks.db"), targets=TargetPolicy(allow=["127.0.0.0/8"]), ssl_context=context)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_delivers_until_a_signal_and_exits_with_0(tmp_path, number):
    with Receiver() as receiver:
        (certificate,) = receiver.ssl_context.get_ca_certs(binary_form=True)
        pem = ssl_pem(certificate)
        (tmp_path / "authority.pem").write_text(pem)
        (tmp_path / "hooks_app.py").write_text(APP)
        emit(tmp_path, receiver)
        command = [*UNIHOOKS, "worker", "--app", "hooks_app:dispatcher", "--concurrency", "4"]
        worker = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            receiver.wait_for(1, timeout=60)
            worker.send_signal(number)
            output, errors = worker.communicate(timeout=20)
        finally:
            worker.kill()
    assert worker.returncode == 0
    assert "has stopped" in errors
    # Objects that the application has loaded take no part in garbage collections.
    assert "frozen: True" in errors
    assert not output
    value = json.loads(run("deliveries", "list", "--sqlite", tmp_path / "webhooks.db", "--json").stdout)
    assert [one["state"] for one in value["items"]] == ["delivered"]


def test_signal_ends_a_worker_that_still_waits_for_its_database(tmp_path):
    app = """
    import time
    from unihooks import Dispatcher
    from unihooks.stores import MemoryStore
    def hang():
        print("looking", flush=True)
        time.sleep(60)
    dispatcher = Dispatcher(MemoryStore())
    dispatcher.stats = hang
    """
    (tmp_path / "hooks_app.py").write_text(textwrap.dedent(app))
    command = [*UNIHOOKS, "worker", "--app", "hooks_app:dispatcher"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as worker:
        try:
            assert worker.stdout.readline() == "looking\n"
            worker.terminate()
            assert worker.wait(20) == 0
        finally:
            worker.kill()


def test_worker_without_a_store_fails_in_one_sentence(tmp_path):
    app = """
    from unihooks import Dispatcher
    from unihooks.stores import SQLiteStore
    dispatcher = Dispatcher(SQLiteStore("no/such/folder/webhooks.db"))
    """
    (tmp_path / "hooks_app.py").write_text(textwrap.dedent(app))
    result = run("worker", "--app", "hooks_app:dispatcher", cwd=tmp_path)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "cannot be opened" in result.stderr


def ssl_pem(certificate):
    import ssl

    return ssl.DER_cert_to_PEM_cert(certificate)


def emit(folder, receiver):
    from unihooks import Dispatcher, EventSubscription, Webhook
    from unihooks.stores import SQLiteStore

    with Dispatcher(SQLiteStore(folder / "webhooks.db"), targets=receiver.targets) as dispatcher:
        subscriptions = [EventSubscription("whatsapp", "*")]
        webhook = Webhook(name="CRM", endpoints=[receiver.url], subscriptions=subscriptions)
        dispatcher.webhooks.activate(dispatcher.webhooks.add(webhook).id)
        dispatcher.emit("whatsapp", "message.received", {"text": "Hello"})


def test_demo_serves_the_console_until_it_is_interrupted():
    process = subprocess.Popen([*UNIHOOKS, "demo", "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        link = next(line.strip() for line in process.stdout if line.startswith("http://127.0.0.1:"))
        with httpx.Client(follow_redirects=True, transport=httpx.HTTPTransport(retries=5)) as browser:
            page = browser.get(link)
        assert page.status_code == 200
        assert "CRM sync" in page.text
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate(timeout=30)
