"""Each example host that mounts the console is started by its own command and used as a customer would."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from waiting import wait_for

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "console"
_COMMAND = re.compile(r"^(?:uvicorn|flask|python) .*$", re.MULTILINE)
HOSTS = [
    pytest.param(command, id=f"{path.stem}-{command.split()[0]}")
    for path in sorted(EXAMPLES.glob("*_host.py"))
    for command in _COMMAND.findall(path.read_text())
]


def _arguments(command: str, port: int) -> list[str]:
    """Return the command of the example, with a free port and full paths."""
    program, *words = shlex.split(command)
    words = [str(EXAMPLES.parents[2] / word) if word.startswith("docs/") else word for word in words]
    where = [f"127.0.0.1:{port}"] if "runserver" in words else ["--port", str(port)]
    return [sys.executable, *([] if program == "python" else ["-m", program]), *words, *where]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the host did not start"
    try:
        return httpx.get(f"{url}/webhooks/").status_code == 401
    except httpx.TransportError:
        return False


@pytest.fixture(params=HOSTS)
def host(request, tmp_path):
    port = _free_port()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _arguments(request.param, port),
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])},
        )
    try:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: _answers(url, process), 60)
        except AssertionError:
            pytest.fail(log.read_text())
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_a_customer_who_signed_in_at_the_host_adds_a_webhook(host):
    with httpx.Client(base_url=host, follow_redirects=True) as customer:
        page = customer.get("/sign-in")
        assert (page.status_code, str(page.url)) == (200, f"{host}/webhooks/")
        for asset in re.findall(r'(?:href|src)="([^"]*/static/[^"]+)"', page.text):
            assert customer.get(asset).status_code == 200
        page = customer.get(re.search(r'href="([^"]*/new)"', page.text)[1])
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
        fields = {"csrf": token, "name": "CRM sync", "endpoint_id": "", "endpoint_url": "https://crm.example.com/in"}
        added = customer.post(str(page.url), data={**fields, "go": "save"}, headers={"origin": host})
        assert "whsec_" in added.text
        assert "CRM sync" in customer.get("/webhooks/").text
