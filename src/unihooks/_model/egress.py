"""The way by which requests leave this machine."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any
from urllib.parse import unquote

from attrs import Attribute, field, frozen

from unihooks._model.host_names import is_address
from unihooks.exceptions import InvalidArgument

_PROXY = re.compile(
    r"http://(?:(?P<user>[^/?#@:]*):(?P<password>[^/?#@]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII,
)
_HTTP_PORT = 80
_LAST_PORT = 65535


@frozen(kw_only=True)
class Proxy:
    """An HTTP proxy: where it listens, and the value of `Proxy-Authorization`, if it wants one."""

    host: str
    port: int
    authorization: str | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"


@frozen(repr=False)
class Egress:
    """The way by which requests leave: from an address of this machine, or through a proxy.

    The guard stays on in both cases: a proxy is given a checked address, never a name, and the request is encrypted up
    to the endpoint. Proxies in the environment are ignored.

    Args:
        bind: An address of this machine, from which all requests are sent and which customers can allow. Endpoints
        without an address of its family cannot be reached.
        proxy: A proxy that speaks CONNECT, as `http://user:password@host:port`; the repr shows neither user nor
            password.

    >>> Egress(proxy="http://hooks:s3cr3t@proxy.internal:3128")
    Egress(bind=None, proxy='http://proxy.internal:3128')
    """

    bind: str | None = field(default=None)
    proxy: str | None = field(default=None)

    @bind.validator
    def _check_bind(self, _attribute: Attribute[Any], value: object) -> None:
        if value is not None and not (isinstance(value, str) and is_address(value)):
            raise InvalidArgument("bind must be an address of this machine, such as '203.0.113.7'", name="bind")

    @proxy.validator
    def _check_proxy(self, _attribute: Attribute[Any], value: object) -> None:
        if value is not None:
            _parsed(value)

    def __repr__(self) -> str:
        proxy = self.way
        shown = None if proxy is None else f"http://{proxy.host}:{proxy.port}"
        return f"Egress(bind={self.bind!r}, proxy={shown!r})"

    @property
    def way(self) -> Proxy | None:
        """The proxy's URL, parsed."""
        return None if self.proxy is None else _parsed(self.proxy)


def _parsed(url: object) -> Proxy:
    # No error quotes any of it, since it may contain a password.
    match = _PROXY.fullmatch(url) if isinstance(url, str) else None
    port = _HTTP_PORT if match is None or match["port"] is None else int(match["port"])
    if match is None or not 0 < port <= _LAST_PORT:
        sentence = "proxy must be the URL of an HTTP proxy, such as 'http://user:password@proxy.internal:3128'"
        raise InvalidArgument(sentence, name="proxy")
    authorization = None
    if match["user"] is not None:
        pair = f"{unquote(match['user'])}:{unquote(match['password'])}"
        authorization = f"Basic {b64encode(pair.encode()).decode()}"
    return Proxy(host=match["host"].strip("[]"), port=port, authorization=authorization)
