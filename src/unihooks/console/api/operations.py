"""Declare what the API can do; requests are handled, and the OpenAPI document is made, from these declarations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import field, frozen

from unihooks._dispatcher import Dispatcher
from unihooks.console.api.faults import Fault
from unihooks.console.api.reading import Query
from unihooks.console.api.schemas import TEXT
from unihooks.console.host.settings import ConsoleSettings
from unihooks.console.host.viewers import Permission, Viewer
from unihooks.exceptions import UnihooksError


@frozen(kw_only=True)
class Call:
    """A request whose parts have been checked: the viewer, the ids in the path, the query and the body.

    `version` is the one that `If-Match` asks for.
    """

    viewer: Viewer
    settings: ConsoleSettings
    root: str
    path: Mapping[str, str]
    query: Mapping[str, Any] = field(factory=dict)
    body: Mapping[str, Any] = field(factory=dict)
    if_match: str | None = None
    version: int | None = None

    @property
    def tenant(self) -> str:
        """Return the tenant whose data is meant."""
        return self.viewer.tenant

    @property
    def dispatcher(self) -> Dispatcher:
        """Return the host's dispatcher."""
        return self.settings.dispatcher


Handle = Callable[[Call], Awaitable[dict[str, Any]]]
# Checks the parts of a body that match its schema; the given faults say which parts do not.
Examine = Callable[[Dispatcher, Mapping[str, Any], Sequence[Fault]], Iterable[tuple[Fault, UnihooksError]]]


@frozen(kw_only=True, eq=False)
class Operation:
    """An operation of the API.

    `body` and `answer` name schemas. `summary` is the first sentence of the docstring of `handle`, `details` the rest.
    `keyed` operations take an idempotency key, `limited` ones count against a rate, `versioned` ones honour `If-Match`,
    `tagged` ones respond with an `ETag`. `location` is where what was made is found. `examine` looks further at a body
    than its schema does. With `body_names`, what the body names may not exist, as a path's ids may not. `tag` is the
    chapter.
    """

    method: str
    path: str
    id: str
    handle: Handle
    answer: str
    permission: Permission | None = Permission.READ
    body: str | None = None
    query: tuple[Query, ...] = ()
    status: int = 200
    keyed: bool = False
    limited: bool = False
    body_names: bool = False
    versioned: bool = False
    tagged: bool = False
    location: str | None = None
    examine: Examine | None = None
    tag: str = ""

    @property
    def summary(self) -> str:
        """Return its effect, in one sentence."""
        return self._told[0].removesuffix(".")

    @property
    def details(self) -> str:
        """Return the rest of its description."""
        return self._told[1]

    @property
    def _told(self) -> tuple[str, str]:
        first, _, rest = " ".join((self.handle.__doc__ or "").split()).partition(". ")
        return first, rest

    @property
    def headers(self) -> list[str]:
        """Return the headers that describe its response."""
        return [*(["ETag"] if self.tagged else []), *(["Location"] if self.location else [])]

    @property
    def safe(self) -> bool:
        """Return whether it changes nothing."""
        return self.method == "GET"


def operation(method: str, path: str, id: str, **rest: Any) -> Callable[[Handle], Operation]:
    """Declare the decorated function as an operation; the rest are the fields of `Operation`."""
    return lambda handle: Operation(method=method, path=path, id=id, handle=handle, **rest)


# An operation that makes requests to endpoints.
sending = partial(operation, "POST", permission=Permission.SEND, keyed=True, limited=True)

PAGING = (
    Query(
        name="limit", about="The number of items in a page.", schema={"type": "integer", "minimum": 1, "maximum": 250}
    ),
    Query(name="cursor", about="`next` or `previous` of another page.", schema=TEXT | {"maxLength": 4096}),
)
