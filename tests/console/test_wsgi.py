"""The console in WSGI hosts, also if the server forks after it has loaded the application."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from wsgiref.util import setup_testing_defaults

import httpx
import pytest

from unihooks.console import Viewer, create_console, wsgi

FORKING = """
import os, sys
from wsgiref.util import setup_testing_defaults
from unihooks import Dispatcher
from unihooks.console import Viewer, create_console, wsgi
from unihooks.stores import SQLiteStore

app = wsgi(create_console(Dispatcher(SQLiteStore(sys.argv[1])), authenticate=lambda request: Viewer("acme")))

def status():
    environ, found = {}, []
    setup_testing_defaults(environ)
    b"".join(app(environ, lambda status, headers: found.append(status)))
    return found

if sys.argv[2] == "used":
    assert status() == ["200 OK"]
child = os.fork()
if child == 0:
    os._exit(0 if status() == ["200 OK"] else 1)
assert os.waitpid(child, 0)[1] == 0
assert status() == ["200 OK"]
"""


@pytest.fixture
def client(console):
    transport = httpx.WSGITransport(app=wsgi(console))
    headers = {"x-tenant": "acme"}
    with httpx.Client(transport=transport, base_url="https://console.example.com", headers=headers) as client:
        yield client


def test_pages_forms_and_assets_are_served(client, webhook, dispatcher):
    page = client.get(f"/webhooks/{webhook.id}")
    assert (page.status_code, webhook.name in page.text) == (200, True)
    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)[1]
    answer = client.post(f"/webhooks/{webhook.id}/activate", data={"csrf": token})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/webhooks/{webhook.id}")
    assert dispatcher.webhooks.get(webhook.id, tenant="acme").active
    assert len(client.get("/static/console.css").content) > 1_000
    assert client.get("/nothing").status_code == 404


def test_api_takes_bodies(client):
    made = client.post("/api/webhooks", json={"name": "Caf\u00e9", "endpoints": ["https://crm.example.com/"]})
    assert (made.status_code, made.json()["name"]) == (201, "Caf\u00e9")
    assert client.get("/api/webhooks", params={"search": "caf\u00e9"}).json()["items"][0]["name"] == "Caf\u00e9"
    assert client.post("/api/webhooks", json={"name": "x" * 3_000_000}).status_code == 413


def test_head_gets_a_response_without_a_body(console):
    assert asked(wsgi(console), REQUEST_METHOD="HEAD", HTTP_X_TENANT="acme") == ("200 OK", b"")


def asked(app, body: bytes = b"", **environ) -> tuple[str, bytes]:
    found: list[str] = []
    setup_testing_defaults(environ)
    environ["wsgi.input"] = BytesIO(body)
    answer = b"".join(app(environ, lambda status, headers: found.append(status)))
    return found[0], answer


@pytest.mark.parametrize("length", ["", "x", "-1", "9" * 30])
def test_odd_lengths_of_bodies_are_none(console, length):
    given = {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/webhooks", "CONTENT_TYPE": "application/json"}
    status, _ = asked(wsgi(console), b"{}", CONTENT_LENGTH=length, HTTP_X_TENANT="acme", **given)
    assert status == "400 Bad Request"


def test_path_is_below_the_mount_path_of_the_console(console):
    status, page = asked(wsgi(console), SCRIPT_NAME="/h\u00c3\u00b6oks", PATH_INFO="/", HTTP_X_TENANT="acme")
    assert status == "200 OK"
    assert 'action="/höoks/preferences"'.encode() in page
    assert asked(wsgi(console), SCRIPT_NAME="/hooks", PATH_INFO="", HTTP_X_TENANT="acme")[0].startswith("307")


def test_authenticate_finds_the_environment_of_the_request(dispatcher):
    seen = []

    def authenticate(request):
        seen.append(request.scope["wsgi_environ"]["shop.session"])
        return Viewer("acme")

    app = wsgi(create_console(dispatcher, authenticate=authenticate))
    assert asked(app, **{"shop.session": "Ada"})[0] == "200 OK"
    assert seen == ["Ada"]


def test_failure_gets_a_response_and_is_logged(dispatcher, caplog):
    def authenticate(request):
        raise RuntimeError("the session table is gone")

    status, page = asked(wsgi(create_console(dispatcher, authenticate=authenticate)))
    assert (status, b"session table" in page) == ("500 Internal Server Error", False)
    assert "the session table is gone" in caplog.text


def test_requests_at_once_share_one_loop(console):
    app = wsgi(console)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: asked(app, HTTP_X_TENANT="acme")[0], range(16)))
    assert found == ["200 OK"] * 16
    assert sum(thread.name == "unihooks-console-loop" for thread in threading.enumerate()) >= 1
    assert len(app._loops) == 1


@pytest.mark.parametrize("before", ["loaded", "used"])
def test_console_works_in_a_process_that_was_forked_after_it_was_loaded(tmp_path, before):
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(tmp_path / "webhooks.db"), before],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
