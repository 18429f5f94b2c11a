"""The hooks of the host, and their calls for what `dispatcher.webhooks` changes."""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from typing import Any

from attrs import asdict, define, field, frozen

from unihooks._base.event_loops import run_in_new_loop
from unihooks._base.threads import Threads
from unihooks._management.option_checks import check_callables
from unihooks._model.endpoints import endpoint_apart
from unihooks._model.operational_events import newly_disabled
from unihooks._model.webhooks import Endpoint, Webhook

MOST_WAITING = 1_000
HOOKS_SECONDS = 5.0
_logger = logging.getLogger("unihooks.dispatcher")

Hook = Callable[[Any], object]


@frozen
class HostHooks:
    """The functions of the host that are called when something has happened; None if it has given none."""

    on_delivery: Hook | None = None
    on_webhook_changed: Hook | None = None
    on_endpoint_disabled: Hook | None = None
    on_endpoint_failing: Hook | None = None
    on_endpoint_recovered: Hook | None = None

    def __attrs_post_init__(self) -> None:
        check_callables(**asdict(self, recurse=False))


@define(eq=False)
class ChangeHooks:
    """The calls of the host's hooks for what the verbs of `dispatcher.webhooks` change: at most once each, in order.

    A daemon thread makes them once a change is stored, so a hook that is slow, raises or never returns holds up no
    verb. At most `MOST_WAITING` calls wait; further ones are dropped, and counted. A hook that is a coroutine function
    gets an event loop for each call.
    """

    hooks: HostHooks
    dropped: int = 0
    _thread: Threads = field(factory=lambda: Threads(1, "unihooks-change-hooks"))
    _calls: set[Future[None]] = field(factory=set)
    _process: int = field(factory=os.getpid)
    _caller: int | None = None

    def changed(self, webhook: Webhook) -> None:
        """Call the hook for a webhook that was added or deleted; a deleted one is given as it was before."""
        self._add(self.hooks.on_webhook_changed, webhook)

    def revised(self, old: Webhook, new: Webhook) -> None:
        """Call the hooks for a change of a webhook, if anything has changed."""
        if new == old:
            return
        self.changed(new)
        for endpoint in newly_disabled(old, new):
            self._add(self.hooks.on_endpoint_disabled, endpoint_apart(new, endpoint.id))

    def recovered(self, endpoint: Endpoint) -> None:
        """Call the hook for an endpoint that was reported as failing and has taken a test successfully."""
        self._add(self.hooks.on_endpoint_recovered, endpoint)

    def finish(self, timeout: float = HOOKS_SECONDS) -> None:
        """Wait until the calls have ended, but for no longer than `timeout` seconds."""
        if self._calls and self._process == os.getpid() and self._caller != threading.get_ident():
            wait(tuple(self._calls), timeout)

    def _add(self, hook: Hook | None, value: object) -> None:
        if hook is None:
            return
        if self._process != os.getpid():
            # A forked child does not make the calls of its parent.
            self._process, self._calls = os.getpid(), set()
        if len(self._calls) >= MOST_WAITING:
            if not self.dropped:
                _logger.warning("hooks are slower than the changes that they are called for: calls are dropped")
            self.dropped += 1
            return
        made = self._thread.submit(self._call, hook, value)
        self._calls.add(made)
        made.add_done_callback(self._calls.discard)

    def _call(self, hook: Hook, value: object) -> None:
        self._caller = threading.get_ident()
        try:
            answer = hook(value)
            if inspect.isawaitable(answer):
                run_in_new_loop(lambda: _awaited(answer))
        except BaseException:  # the host's code may raise SystemExit
            _logger.exception("a hook of the host raised; the change itself is stored")


async def _awaited(answer: Awaitable[object]) -> None:
    await answer
