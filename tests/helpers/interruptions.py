"""Interrupt a call at each of its steps, as finalisers and signal handlers may, in a process of its own."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from itertools import count
from pathlib import Path

# A step that waits longer than this waits forever.
_PATIENCE_SECONDS = 120

START = """
import ctypes, faulthandler, gc, itertools, os, signal, sys, threading
from interruptions import fork_untold, interrupted
from unihooks import Dispatcher
from unihooks.exceptions import StoreError
from unihooks.stores import MemoryStore, PostgresStore, SQLiteStore

store = lambda: {store}
dispatcher = Dispatcher(store())
stored, refused = [], []

def emit(**more):
    try:
        stored.append(dispatcher.emit("shop", "paid", {{"n": 1}}, **more).id)
    except StoreError as error:
        refused.append(error)

def raised_in(thread, error):
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(error))

def store_threads():
    return [one for one in threading.enumerate() if one.name in ("unihooks-sqlite-writer", "unihooks-postgres-emitter")]
"""


def run_script(script, store):
    """Run a script that uses `dispatcher`; return what it prints. Whatever hangs is an error that says where."""
    lines = [START.format(store=store), f"faulthandler.dump_traceback_later({_PATIENCE_SECONDS}, exit=True)"]
    path = os.pathsep.join(sys.path)
    # Coverage also traces every line, and an exception raised there would end the measurement or the script.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([*lines, textwrap.dedent(script)])],
        env=environment | {"PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS + 30,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout.split()


def fork_untold():
    """Fork without telling Python; once more where another thread held the interpreter's lock, which is lost then."""
    # The child would wait forever for a thread that was waiting for that lock, so running threads have to be idle.
    time.sleep(1)
    while True:
        reading, writing = os.pipe()
        child = ctypes.PyDLL(None).fork()
        if child == 0:
            Path("/").stat()
            os.write(writing, b".")
            return 0
        if select.select([reading], [], [], 5)[0]:
            return child
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def interrupted(call, other, every=1, start=1):
    """Call again and again, with another call at the first step, the next one, and so on; return how many there are.

    A step is an instruction of the interpreter, in any frame of the thread.
    """
    for number in count(start, every):
        left = number

        def step(frame, event, _):
            nonlocal left
            frame.f_trace_opcodes = True
            if event == "opcode":
                left -= 1
                if left == 0:
                    other()
            return step

        # Coverage and debuggers use the trace function, too.
        tracer = sys.gettrace()
        sys.settrace(step)
        try:
            call()
        finally:
            sys.settrace(tracer)
        if left > 0:
            return number
    return 0
