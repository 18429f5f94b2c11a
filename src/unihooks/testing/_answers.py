"""The responses of a receiver, and their order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from http import HTTPStatus

import attrs

_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


@attrs.frozen
class Answer:
    """A scripted response of a receiver.

    `delay` is the time before the first byte, in seconds. `close` closes the connection after the response, `drop`
    closes it without a response, and `hang` sends nothing and keeps the connection open. `raw` is sent as it is instead
    of the rest, for malformed responses; then the connection is closed.
    """

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    body: bytes = attrs.field(default=b"", kw_only=True)
    delay: float = attrs.field(default=0.0, kw_only=True)
    close: bool = attrs.field(default=False, kw_only=True)
    drop: bool = attrs.field(default=False, kw_only=True)
    hang: bool = attrs.field(default=False, kw_only=True)
    raw: bytes | None = attrs.field(default=None, kw_only=True)

    @property
    def ends_connection(self) -> bool:
        """Return whether the connection takes no other request after this response."""
        return self.close or self.drop or self.raw is not None


NO_CONTENT = Answer(HTTPStatus.NO_CONTENT)


def render(answer: Answer) -> bytes:
    """Return the bytes of a response as they go over the wire."""
    if answer.raw is not None:
        return answer.raw
    head = [f"HTTP/1.1 {answer.status:d} {_phrase(answer.status)}"]
    head += [f"{name}: {value}" for name, value in _headers(answer).items()]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + answer.body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _headers(answer: Answer) -> dict[str, str]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if answer.status not in _BODILESS and "transfer-encoding" not in headers:
        headers.setdefault("content-length", str(len(answer.body)))
    if answer.close:
        headers.setdefault("connection", "close")
    return headers


class Script:
    """The responses of one path: first the scripted ones, then always the same one."""

    def __init__(self, *answers: Answer | int) -> None:
        self._lock = threading.Lock()
        self._next: deque[Answer] = deque()
        self._always = NO_CONTENT
        self.answer(*answers)

    def answer(self, *answers: Answer | int) -> None:
        """Add the next responses; a number is a status."""
        with self._lock:
            self._next.extend(_as_answer(answer) for answer in answers)

    def always(self, answer: Answer | int) -> None:
        """Set the response for when no scripted one is left."""
        with self._lock:
            self._always = _as_answer(answer)

    def take(self) -> Answer:
        """Return the next response."""
        with self._lock:
            return self._next.popleft() if self._next else self._always


def _as_answer(answer: Answer | int) -> Answer:
    if not isinstance(answer, Answer | int):
        raise TypeError(f"an answer must be a status such as 503, or an Answer(...), not {type(answer).__name__}")
    return answer if isinstance(answer, Answer) else Answer(answer)
