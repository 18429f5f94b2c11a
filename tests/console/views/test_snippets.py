"""The code that the console shows accepts genuine requests and refuses others."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from html import unescape
from importlib.resources import files

import pytest

from unihooks import sign
from unihooks.console.views.snippets import SNIPPETS

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
BODY = '{"a":"\u00e9"}'
PYTHON = "import json, sys, verify\nh, b, s = json.load(sys.stdin)\nverify.verify(h, b.encode(), s)"
NODE = (
    "import {verify} from './verify.mjs'; import fs from 'node:fs';"
    "const [h, b, s] = JSON.parse(fs.readFileSync(0)); verify(h, Buffer.from(b), s);"
)
RUBY = "require 'json'; require './verify.rb'; h, b, s = JSON.parse(STDIN.read); verify(h, b, s)"
PHP = "require 'verify.php'; [$h, $b, $s] = json_decode(stream_get_contents(STDIN), true); verify($h, $b, $s);"
GO = """package main
import ("encoding/json"; "net/http"; "os")
func main() {
  var given []json.RawMessage; var plain map[string]string; var body, secret string
  json.NewDecoder(os.Stdin).Decode(&given)
  json.Unmarshal(given[0], &plain); json.Unmarshal(given[1], &body); json.Unmarshal(given[2], &secret)
  headers := http.Header{}
  for name, value := range plain { headers.Set(name, value) }
  if Verify(headers, []byte(body), secret) != nil { os.Exit(1) }
}
"""
COMMANDS = {
    "library.py": [sys.executable, "-c", PYTHON.replace("verify\nh", "library as verify\nh")],
    "verify.py": [sys.executable, "-c", PYTHON],
    "verify.mjs": ["node", "--input-type=module", "-e", NODE],
    "verify.rb": ["ruby", "-e", RUBY],
    "verify.php": ["php", "-r", PHP],
    "verify.go": ["./verify"],
}
TOOLS = {"verify.go": "go"}


def signed(secret=SECRET, *, at=0, message_id="evt_1", body=BODY):
    now = int(time.time()) + at
    signature = f"v1,AAAA v1a,BBBB {sign(message_id, now, body, secret)}"
    return {"webhook-id": message_id, "webhook-timestamp": str(now), "webhook-signature": signature}


@pytest.fixture(scope="module", params=[*list(COMMANDS)[:-1], pytest.param("verify.go", marks=pytest.mark.slow)])
def program(request, tmp_path_factory):
    """Return the command that runs the code of one language, and the folder to run it in."""
    file = request.param
    tool = TOOLS.get(file, COMMANDS[file][0])
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("snippet")
    code = (files("unihooks.console") / "snippets" / f"{file}.txt").read_text()
    (folder / file).write_text(code.replace("package webhook", "package main"))
    if tool == "go":
        (folder / "main.go").write_text(GO)
        subprocess.run(["go", "build", "-o", "verify", "verify.go", "main.go"], cwd=folder, check=True)
    return COMMANDS[file], folder


@pytest.mark.parametrize(
    "signing, changes, genuine",
    [
        ({}, {}, True),
        ({"secret": OTHER}, {}, False),
        ({"at": -4_000}, {}, False),
        ({"at": 4_000}, {}, False),
        ({"body": f"{BODY} "}, {}, False),
        ({}, {"webhook-id": "evt_2"}, False),
        ({}, {"webhook-signature": "v1,AAAA"}, False),
        ({}, {"webhook-timestamp": "x"}, False),
    ],
)
def test_only_genuine_and_fresh_requests_pass(program, signing, changes, genuine):
    command, folder = program
    given = json.dumps([{**signed(**signing), **changes}, BODY, SECRET])
    done = subprocess.run(command, input=given, text=True, cwd=folder, capture_output=True, check=False)
    assert (done.returncode == 0) is genuine, done.stderr


async def test_each_language_comes_with_the_library_first_and_then_without(browser, webhook):
    page = (await browser.get(f"/webhooks/{webhook.id}/secret")).text
    for one in SNIPPETS:
        part = page.partition(f'data-code="{one.name}"')[2].partition('data-code="')[0]
        codes = [one.install, one.with_library, one.without]
        assert [unescape(code) for code in re.findall(r"(?s)<pre[^>]*>(.*?)</pre>", part)] == codes
        assert [unescape(code) for code in re.findall(r'(?s)data-copy="(.*?)"', part)][:3] == codes
        titles = ["With the Standard Webhooks library", "Without a library"]
        assert part.index(titles[0]) < part.index(titles[1])


async def test_the_language_of_the_code_is_remembered(browser, webhook):
    where = f"/webhooks/{webhook.id}/secret"
    assert 'value="python" checked' in (await browser.get(where)).text
    answer = await browser.post("/preferences", {"code": "go", "back": where})
    assert str(answer.url).endswith(where)
    assert 'value="go" checked' in answer.text
    assert 'value="python" checked' not in answer.text
    answer = await browser.post("/preferences", {"code": "cobol", "back": where})
    assert 'value="go" checked' in answer.text
