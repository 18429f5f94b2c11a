"""A worker in a separate process: `python worker_process.py JSON`, which says where; SIGTERM ends it."""

from __future__ import annotations

import json
import os
import ssl
import sys

from unihooks import CircuitBreaker, Dispatcher, RetryPolicy, TargetPolicy, Worker, stores
from unihooks._message import requests


def main(kind, options, authority, *, deadline=20.0, lease=30.0, delays=(5, 300), breaker=True):
    # It tells which process made a request.
    requests.USER_AGENT = f"worker-{os.getpid()}"
    dispatcher = Dispatcher(
        getattr(stores, kind)(**options),
        targets=TargetPolicy(allow=["127.0.0.0/8"]),
        ssl_context=ssl.create_default_context(cadata=authority),
        retries=RetryPolicy.from_delays(list(delays), jitter=0.2),
        deadline=deadline,
        breaker=CircuitBreaker() if breaker else None,
    )
    with dispatcher:
        dispatcher.stats()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        Worker(dispatcher, lease=lease).run()


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
