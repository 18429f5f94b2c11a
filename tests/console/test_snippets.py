"""The code that the console shows accepts genuine requests and refuses others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from importlib.resources import files

import pytest

from unihooks import sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
BODY = '{"a":"\u00e9"}'
PYTHON = "import json, sys, verify\nh, b, s = json.load(sys.stdin)\nverify.verify(h, b.encode(), s)"
NODE = (
    "import {verify} from './verify.mjs'; import fs from 'node:fs';"
    "const [h, b, s] = JSON.parse(fs.readFileSync(0)); verify(h, Buffer.from(b), s);"
)
COMMANDS = {
    "verify.py": [sys.executable, "-c", PYTHON],
    "verify.mjs": [shutil.which("node"), "--input-type=module", "-e", NODE],
}


def signed(secret=SECRET, *, at=0, message_id="evt_1", body=BODY):
    now = int(time.time()) + at
    signature = f"v1,AAAA v1a,BBBB {sign(message_id, now, body, secret)}"
    return {"webhook-id": message_id, "webhook-timestamp": str(now), "webhook-signature": signature}


@pytest.mark.parametrize("file", COMMANDS)
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
def test_only_genuine_and_fresh_requests_pass(tmp_path, file, signing, changes, genuine):
    headers = {**signed(**signing), **changes}
    command = COMMANDS[file]
    if command[0] is None:
        pytest.skip("node is not installed")
    (tmp_path / file).write_text((files("unihooks.console") / "snippets" / f"{file}.txt").read_text())
    given = json.dumps([headers, BODY, SECRET])
    done = subprocess.run(command, input=given, text=True, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode == 0) is genuine, done.stderr
