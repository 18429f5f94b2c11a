"""Say what the API can do: each operation is declared once, and both answers and documents from that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import field, frozen

from unihooks._dispatcher import Dispatcher
from unihooks.console._settings import ConsoleSettings
from unihooks.console._viewers import Permission, Viewer
from unihooks.console.api._reading import Query
from unihooks.console.api._schemas import TEXT


@frozen(kw_only=True)
class Call:
    """Be a request whose parts are checked: who asks, the ids of the path, the query and the body."""

    viewer: Viewer
    settings: ConsoleSettings
    root: str
    path: Mapping[str, str]
    query: Mapping[str, Any] = field(factory=dict)
    body: Mapping[str, Any] = field(factory=dict)

    @property
    def tenant(self) -> str:
        """Return whose data it is about."""
        return self.viewer.tenant

    @property
    def dispatcher(self) -> Dispatcher:
        """Return the host's dispatcher."""
        return self.settings.dispatcher


Handle = Callable[[Call], Awaitable[dict[str, Any]]]


@frozen(kw_only=True)
class Operation:
    """Be one thing that the API does.

    `body` and `answer` name schemas. `once` says that an idempotency key is
    taken, `limited` that it counts against a rate.
    """

    method: str
    path: str
    id: str
    about: str
    permission: Permission | None
    handle: Handle
    answer: str
    body: str | None = None
    query: tuple[Query, ...] = ()
    status: int = 200
    once: bool = False
    limited: bool = False

    @property
    def safe(self) -> bool:
        """Say whether it changes nothing."""
        return self.method == "GET"


PAGING = (
    Query(name="limit", about="How many items a page has.", schema={"type": "integer", "minimum": 1, "maximum": 250}),
    Query(name="cursor", about="`next` or `previous` of another page.", schema=TEXT | {"maxLength": 4096}),
)
