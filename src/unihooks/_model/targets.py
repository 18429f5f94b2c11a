"""Decide which URLs, hosts and addresses may be a destination."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from operator import index
from typing import NoReturn
from urllib.parse import quote

import attrs
import httpx

from unihooks._base.sentences import said
from unihooks._message.requests import DEFAULT_PORTS
from unihooks._model.host_names import in_ascii, is_name, is_private
from unihooks.exceptions import TargetRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]

MAX_URL_LENGTH = 2048

# fmt: off
_PRIVATE_IPV4 = tuple(map(IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
)))
_PUBLIC_IPV6 = IPv6Network("2000::/3")
_PRIVATE_IPV6 = tuple(map(IPv6Network, (
    "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
)))
# fmt: on
_LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_V4_MAPPED = IPv6Network("::ffff:0:0/96")

# The ports from 1024 up that are refused: those on the WHATWG list of bad ports, Redis and memcached.
# fmt: off
_BAD_PORTS = frozenset({
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566,
    6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211,
})
# fmt: on
_PORTS = frozenset(range(1, 65536))
_FREE_PORTS = range(1024, 65536)

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>[^#]*)(?P<fragment>.*)",
    re.ASCII | re.IGNORECASE,
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NOT_ASCII = re.compile(r"[^\x21-\x7e]+")
# Most paths need no percent-encoding. Leaving httpx to find that out takes most of the time of a check.
_PLAIN_PATH = re.compile(r"/[!$-;=@-Z_a-z~]*(?:\?[!$-;=?-Z_a-z~]*)?")


def _networks(texts: str | Iterable[str | Network]) -> tuple[Network, ...]:
    if isinstance(texts, str | Network):
        texts = [texts]
    if not isinstance(texts, Iterable):
        raise TargetRefused("networks must be a list of CIDR texts, such as ['10.0.0.0/8']", name="network")
    return tuple(map(_network, texts))


def _port_set(ports: Iterable[int] | None) -> frozenset[int]:
    try:
        found = frozenset(map(_port, () if ports is None else ports))
    except TypeError:
        found = frozenset({0})
    if not found <= _PORTS or isinstance(ports, bytes | bytearray):
        raise TargetRefused("ports must be a list of numbers from 1 to 65535, such as [444]", name="ports")
    return found


def _port(value: int) -> int:
    return 0 if isinstance(value, bool) else index(value)


def _network(text: str | Network) -> Network:
    try:
        if "%" in str(text):
            raise ValueError("zone")  # noqa: TRY301
        network = ip_network(str(text))
    except ValueError:
        sentence = f"{str(text)[:50]!r} is not a network; use CIDR text such as 10.0.0.0/8"
        raise TargetRefused(sentence, name="network") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_V4_MAPPED):
        return IPv4Network((int(network[0]) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


@attrs.frozen(kw_only=True)
class TargetPolicy:
    """The destinations that are accepted: public HTTPS, unless told otherwise.

    Args:
        allow_http: Accept `http://` as well, on port 80 or from 1024 up.
        allow: Networks, as CIDR text, that are accepted although not public. Names of private networks are then
            accepted too, and `localhost` if loopback is among them.
        deny: Networks that are never accepted; `deny` beats `allow`.
        ports: Ports that are accepted besides 443 and those from 1024 up that no well-known service uses.
        resolver: A function that looks up a host: `resolver(host, port)` returns its addresses.

    >>> TargetPolicy().check_url("HTTPS://Example.com:443")
    'https://example.com/'
    >>> TargetPolicy().check_address("10.0.0.1")
    Traceback (most recent call last):
    unihooks.exceptions.TargetRefused: the address is not public; use a public one
    >>> TargetPolicy(allow=["10.0.0.0/8"]).check_address("10.0.0.1")
    '10.0.0.1'
    """

    allow_http: bool = attrs.field(default=False)
    allow: tuple[Network, ...] = attrs.field(default=(), converter=_networks)
    deny: tuple[Network, ...] = attrs.field(default=(), converter=_networks)
    ports: frozenset[int] = attrs.field(default=None, converter=_port_set)
    resolver: Resolver | None = attrs.field(default=None)

    @allow_http.validator
    def _check_allow_http(self, _attribute: object, value: object) -> None:
        if not isinstance(value, bool):  # The text "false" would count as true.
            raise TargetRefused("allow_http must be True or False", name="allow_http")

    @resolver.validator
    def _check_resolver(self, _attribute: object, value: object) -> None:
        if value is not None and not callable(value):
            raise TargetRefused("resolver must be a function resolver(host, port), or None", name="resolver")

    def check_url(self, url: str) -> str:
        """Return the normalised URL, or raise `TargetRefused`.

        The result is what is sent: scheme and host in lower case and ASCII, without a root dot or default port; `/` for
        an empty path; dot segments resolved, and characters not allowed in a path or query percent-encoded. No name is
        looked up.
        """
        parts = _split(url)
        scheme = parts["scheme"].lower()
        if scheme != "https" and not (scheme == "http" and self.allow_http):
            _refuse(said("url-not-https", "the URL must start with https://"))
        host, port = _host_and_port(parts["authority"])
        location = self.check_host(host) + self._check_port(scheme, port)
        path = _without_dots(parts["path"] or "/") + parts["query"]
        if not _PLAIN_PATH.fullmatch(path):
            path = _NOT_ASCII.sub(lambda match: quote(match[0]), path)
            path = httpx.URL(f"https://host{path}").raw_path.decode("ascii")
        return _checked_length(f"{scheme}://{location}{path}")

    def check_host(self, host: str) -> str:
        """Return a host name or address as it is written in a URL, or raise `TargetRefused`."""
        if not isinstance(host, str):
            _refuse("the host must be a str")
        if host.startswith("["):
            return self._check_ipv6(host)
        try:
            name = in_ascii(host)
        except UnicodeError:
            _refuse(said("host-international", "the host is not a valid internationalised name; correct its spelling"))
        labels = name.split(".")
        if _NUMERIC_LABEL.fullmatch(labels[-1]):
            return self.check_address(name)
        if not is_name(name):
            _refuse(said("host-malformed", "the host is not a valid name; use one such as hooks.example.com"))
        self._check_name(labels)
        return name

    def check_address(self, address: str) -> str:
        """Return an IP address in its canonical form, or raise `TargetRefused`.

        An IPv4 address inside an IPv6 one (`::ffff:192.0.2.1`) is returned as IPv4.
        """
        parsed = _parsed(address)
        if _within(parsed, self.deny):
            _refuse(said("address-denied", "the address is in a network that is denied here; use another address"))
        if not _within(parsed, self.allow) and not _is_public(parsed):
            _refuse(said("address-not-public", "the address is not public; use a public one"))
        return str(parsed)

    def _check_port(self, scheme: str, port: int | None) -> str:
        if port in {None, DEFAULT_PORTS[scheme]}:
            return ""
        if port not in self.ports and (port not in _FREE_PORTS or port in _BAD_PORTS):
            default = DEFAULT_PORTS[scheme]
            template = "the port is not accepted; use {default}, or one from 1024 up that no well-known service uses"
            _refuse(said("port-refused", template, default=default))
        return f":{port}"

    def _check_ipv6(self, host: str) -> str:
        if ":" not in host:
            _refuse(said("host-in-brackets", "only IPv6 addresses are written in brackets; leave them out"))
        address = self.check_address(host[1:-1])
        return f"[{address}]" if ":" in address else address

    def _check_name(self, labels: list[str]) -> None:
        if labels[-1] == "localhost":
            if not any(_within(address, self.allow) for address in _LOOPBACK):
                _refuse(said("host-local", "the host is this machine itself; use a public name"))
        elif is_private(labels) and not self.allow:
            _refuse(said("host-private", "the host is a name inside a private network; use a public name"))


def _split(url: object) -> dict[str, str]:
    if not isinstance(url, str):
        _refuse("the URL must be a str")
    _checked_length(url)
    if not url.isprintable() or " " in url or "\\" in url:
        _refuse(said("url-characters", "the URL contains a space, control character or backslash; percent-encode it"))
    match = _URL.fullmatch(url)
    if match is None:
        _refuse(said("url-form", "the URL must have the form https://host/path"))
    if match["fragment"]:
        _refuse(said("url-fragment", "the URL has a fragment, which is never sent; remove the # and what follows it"))
    return match.groupdict()


def _checked_length(url: str) -> str:
    if len(url) > MAX_URL_LENGTH:
        _refuse(said("url-too-long", "the URL is too long; use at most {most} characters", most=MAX_URL_LENGTH))
    return url


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        _refuse(said("url-user-name", "the URL contains a user name or password; use a custom header instead"))
    match = _AUTHORITY.fullmatch(authority)
    if match is None or not match["host"]:
        _refuse(said("url-host", "the URL must name one host, optionally followed by a colon and a port number"))
    return match["host"], int(match["port"]) if match["port"] else None


def _without_dots(path: str) -> str:
    first, *steps = path.split("/")
    kept: list[str] = []
    for step in steps:
        if step == "..":
            del kept[-1:]
        elif step != ".":
            kept.append(step)
    end = [""] if steps[-1:] in ([".."], ["."]) else []
    return "/".join([first, *kept, *end])


def _parsed(address: str) -> Address:
    try:
        parsed = None if "%" in address else ip_address(address)
    except (TypeError, ValueError):
        parsed = None
    if parsed is None:
        sentence = "the address is not a plain IPv4 or IPv6 address; write it as 192.0.2.1 or 2001:db8::1"
        _refuse(said("address-malformed", sentence))
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not _within(address, _PRIVATE_IPV4)
    return address in _PUBLIC_IPV6 and not _within(address, _PRIVATE_IPV6)


def _refuse(sentence: str) -> NoReturn:
    raise TargetRefused(sentence, name="url")
