"""A real HTTPS receiver for tests: it records what arrives and responds as scripted."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Self

from anyio import to_thread

from unihooks._model.targets import TargetPolicy
from unihooks.testing._answers import Answer, Script
from unihooks.testing._certificates import NAMES, Certificates
from unihooks.testing._requests import ReceivedRequest
from unihooks.testing._server import Server


class Receiver:
    """A receiver of webhooks over HTTPS on this machine, which runs between `start` and `stop`.

    It listens on 127.0.0.1 only, in a thread of its own, with a certificate from a throwaway authority for `localhost`,
    the loopback addresses, `example.com`, `*.example.com` and `names`. Use it as a context manager, sync or async, and
    pass its `targets` and `ssl_context` to a dispatcher: these names then lead here, and no request leaves this
    machine.

    `answers` are its first responses, each a status or an `Answer`; later ones are 204.
    """

    def __init__(
        self, answers: Iterable[Answer | int] | None = None, *, names: Sequence[str] = (), port: int = 0
    ) -> None:
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise TypeError("names must be a list of texts, such as ['hooks.example.org']")
        certificates = Certificates(names)
        self.ssl_context: ssl.SSLContext = certificates.client_context()
        self.targets = TargetPolicy(allow=["127.0.0.0/8", "::1/128"], resolver=self.resolve)
        self._names = {*NAMES, *names}
        self._server = Server(self._handle, certificates.server_context(), port)
        self._script = Script(*_listed(answers))
        self._scripts: dict[str, Script] = {}
        self._requests: list[ReceivedRequest] = []
        self._arrived = threading.Condition()
        self._port = port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await to_thread.run_sync(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await to_thread.run_sync(self.stop)

    def start(self) -> None:
        """Start to listen; after a `stop`, on the same port again."""
        self._port = self._server.start()

    def stop(self) -> None:
        """Close the port and all connections; `requests` are kept."""
        self._server.stop()

    @property
    def port(self) -> int:
        """The port, which is known after `start`."""
        return self._port

    @property
    def url(self) -> str:
        """The URL of the path `/`."""
        return self.url_for("/")

    def url_for(self, path: str, *, host: str = "localhost") -> str:
        """Return the URL of a path; `host` is any name in the certificate."""
        return f"https://{host}:{self._port}/{path.removeprefix('/')}"

    def resolve(self, host: str, port: int) -> Sequence[str]:  # noqa: ARG002
        """Resolve the names in the certificate to this machine, and no others."""
        if host in self._names or f"*.{host.partition('.')[2]}" in self._names:
            return ["127.0.0.1"]
        raise socket.gaierror(socket.EAI_NONAME, "this receiver's certificate lacks the name")

    def answer(self, *answers: Answer | int) -> None:
        """Script the next responses of every path that has no script of its own."""
        self._script.answer(*answers)

    def always(self, answer: Answer | int) -> None:
        """Set the response for when no scripted one is left (204 at first)."""
        self._script.always(answer)

    def on(self, path: str) -> Script:
        """Return the script of one path, whatever the query."""
        with self._arrived:
            return self._scripts.setdefault(path, Script())

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests so far, in the order of their arrival."""
        with self._arrived:
            return list(self._requests)

    def wait_for(self, count: int = 1, timeout: float = 5) -> list[ReceivedRequest]:
        """Return all requests once there are `count`; `timeout` is in seconds.

        Raises:
            TimeoutError: Fewer have arrived in time; the message says how many.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._requests) >= count, timeout):
                seen = len(self._requests)
                raise TimeoutError(f"{seen} of {count} requests arrived within {timeout} s")
            return list(self._requests)

    async def await_for(self, count: int = 1, timeout: float = 5) -> list[ReceivedRequest]:
        """Wait as `wait_for` does, without blocking the event loop."""
        return await to_thread.run_sync(self.wait_for, count, timeout)

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._arrived:
            self._requests.clear()

    def _handle(self, request: ReceivedRequest) -> Answer:
        with self._arrived:
            self._requests.append(request)
            self._arrived.notify_all()
            path = request.path.partition("?")[0]
            return self._scripts.get(path, self._script).take()


def _listed(answers: object) -> tuple[Any, ...]:
    if answers is None:
        return ()
    if not isinstance(answers, Iterable):
        raise TypeError(f"answers must be a list, such as [503, 204], not {type(answers).__name__}")
    return tuple(answers)
