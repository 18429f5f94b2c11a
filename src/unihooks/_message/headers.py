"""The custom headers of a webhook: checked names, secret values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from unihooks._base.sentences import said
from unihooks._message.secrets import Secret
from unihooks.exceptions import InvalidHeader

MAX_HEADERS = 20
MAX_NAME_LENGTH = 128
MAX_VALUE_LENGTH = 4096
MAX_TOTAL_LENGTH = 8192

Pairs = Mapping[str, str | Secret] | Iterable[tuple[str, str | Secret]]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")

_SHOWN_OF_A_BAD_NAME = 16


class HeaderSet(Mapping[str, Secret]):
    """An immutable mapping of header names to secret values, which it never shows.

    Look-ups ignore case; names keep their spelling and order. Two sets are equal if they map the same names to the same
    values, whatever the case and order of the names.

    >>> headers = HeaderSet({"Authorization": "Bearer s3cr3t"})
    >>> headers
    HeaderSet(Authorization)
    >>> headers.revealed()
    [('Authorization', 'Bearer s3cr3t')]
    >>> HeaderSet({"Host": "example.org"})
    Traceback (most recent call last):
    unihooks.exceptions.InvalidHeader: the header Host is set with every request or not allowed; \
use another name

    Raises:
        InvalidHeader: A name or value is malformed, reserved, repeated or too
            long, or there are too many; `name` is the name of the header.
    """

    __slots__ = ("_entries",)

    def __init__(self, headers: Pairs = ()) -> None:
        self._entries: dict[str, tuple[str, Secret]] = {}
        for name, value in pairs_of(headers):
            key = _checked_name(name)
            if key in self._entries:
                _refuse("header-twice", name, "is given twice; keep one of them ('_' counts as '-')")
            self._entries[key] = str.__str__(name), _checked_value(name, value)
        _check_total(self)

    def __getitem__(self, name: object) -> Secret:
        if not isinstance(name, str):
            raise KeyError(name)
        return self._entries[_folded(name)][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"HeaderSet({', '.join(self)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeaderSet):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(frozenset(self._values().items()))

    def revealed(self) -> list[tuple[str, str]]:
        """Return names and values in plain text, for sending and nothing else."""
        return [(name, secret.reveal()) for name, secret in self._entries.values()]

    def _values(self) -> dict[str, Secret]:
        return {key: secret for key, (_, secret) in self._entries.items()}


def pairs_of(headers: Any) -> list[tuple[Any, Any]]:
    """Return the pairs of a mapping or of a list of pairs, whatever they hold; refuse anything else."""
    try:
        return [_pair(one) for one in (headers.items() if hasattr(headers, "items") else headers)]
    except (TypeError, ValueError):
        sentence = "headers must be a mapping of names to values, or a list of (name, value) pairs"
        raise InvalidHeader(sentence, name="headers") from None


def _pair(one: object) -> tuple[Any, Any]:
    if not isinstance(one, tuple | list):  # a text of two characters would unpack too
        raise TypeError
    name, value = one
    return name, value


def _checked_name(name: object) -> str:
    if not isinstance(name, str):
        raise InvalidHeader("a header name must be a str", name="headers")
    if not _TOKEN.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        template = "has an invalid name; use at most {most} ASCII letters, digits and '-'"
        _refuse("header-name", _abridged(name), template, most=MAX_NAME_LENGTH)
    key = _folded(name)
    if is_reserved(name):
        _refuse("header-reserved", name, "is set with every request or not allowed; use another name")
    return key


def _checked_value(name: str, value: object) -> Secret:
    if not isinstance(value, str | Secret):
        _refuse("header-value-kind", name, "has a value that is not text; pass a str")
    secret = value if isinstance(value, Secret) else Secret(value)
    text = secret.reveal()
    if not _VALUE.fullmatch(text):
        template = "has an invalid value; use visible ASCII characters, and spaces only between them"
        _refuse("header-value", name, template)
    if len(text) > MAX_VALUE_LENGTH:
        template = "has a value that is too long; use at most {most} characters"
        _refuse("header-value-too-long", name, template, most=MAX_VALUE_LENGTH)
    return secret


def _check_total(headers: HeaderSet) -> None:
    pairs = headers.revealed()
    if len(pairs) > MAX_HEADERS:
        template = "there are too many headers; use at most {most}"
        raise InvalidHeader(said("too-many-headers", template, most=MAX_HEADERS), name="headers")
    if sum(len(name) + len(value) for name, value in pairs) > MAX_TOTAL_LENGTH:
        template = "the headers are too long; use at most {most} characters in all"
        raise InvalidHeader(said("headers-too-long", template, most=MAX_TOTAL_LENGTH), name="headers")


def _folded(name: str) -> str:
    return name.lower().replace("_", "-")


def _abridged(name: str) -> str:
    """Return the start of the name alone, since what was pasted as a name may be a secret."""
    start = _TOKEN.match(name)
    return f"{start[0][:_SHOWN_OF_A_BAD_NAME] if start else ''}..."


def _refuse(code: str, name: str, template: str, **figures: int) -> NoReturn:
    raise InvalidHeader(said(code, f"the header {{name}} {template}", name=name, **figures), name=name)


def is_reserved(name: str) -> bool:
    """Return whether customers cannot set a header, in any spelling that some server takes for the same name.

    >>> is_reserved("X_Forwarded.For"), is_reserved("X-Api-Key")
    (True, False)
    """
    # CGI and WSGI turn "-" into "_", and some servers any other character too.
    folded = _NO_WORD.sub("-", name.lower())
    if folded in _RESERVED or folded.startswith(_RESERVED_PREFIXES):
        return True
    return _ENDINGS.fullmatch(folded) is not None or _OVERRIDES.fullmatch(folded) is not None


# The names that customers cannot set, since they change how a request is framed, routed or trusted.
# fmt: off
_RESERVED = frozenset({
    # the connection and the message
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
    "upgrade", "http2-settings", "expect", "content-encoding", "accept-encoding", "content-type",
    "user-agent", "date", "cookie", "cookie2", "set-cookie", "set-cookie2",
    "early-data", "alt-svc", "alt-used", "max-forwards", "via", "proxy", "cdn-loop",
    # signatures and traces
    "signature", "signature-input", "content-digest", "traceparent", "tracestate",
    # a method, path or scheme other than the request's
    "x-method", "x-http-method", "x-host-override", "x-script-name", "script-name", "path-info", "x-path-info",
    "x-scheme", "x-url-scheme", "front-end-https", "x-https", "x-matched-path", "fly-prefer-region",
    # who has signed in, according to a proxy
    "auth-user", "webauth-user", "x-webauth-user", "x-userinfo", "x-anonymous-consumer", "x-consumer-id",
    "x-consumer-username", "x-consumer-custom-id", "x-consumer-groups", "cf-access-jwt-assertion", "cf-worker",
    # cloud metadata services
    "metadata", "metadata-flavor",
})
_RESERVED_PREFIXES = (
    "proxy-", "webhook-", "unihooks-", "svix-", "ce-", "x-amz-", "x-amzn-", "x-goog-", "x-google-",
    "sec-", "x-aws-ec2-metadata-token",
    # where a request comes from, according to a proxy
    "forwarded", "x-forward", "x-real-", "real-ip", "remote-", "x-remote-", "x-client-ip", "true-client-",
    "cf-connecting-", "cf-ip", "cf-visitor", "cf-ray", "cf-ew-", "cf-pseudo-", "fastly-client", "fastly-ff",
    "fastly-ssl", "fly-forwarded-", "fly-region", "x-vercel-forwarded-", "x-vercel-ip-", "x-originating-", "x-azure-",
    "x-appengine-", "x-envoy-", "cloudfront-", "akamai-origin-", "x-cluster-client-", "x-coming-from", "x-proxy",
    # another path, method or handler
    "x-original-", "x-rewrite-", "x-accel-", "x-sendfile", "x-lighttpd-", "x-http-path-", "x-http-destination",
    "x-middleware-", "x-invoke-", "surrogate-",
    # who has signed in, and with which certificate, according to a proxy
    "ssl-", "x-ssl", "tls-", "x-tls-", "client-cert", "x-client-cert", "x-client-dn", "x-client-verify", "x-arr-",
    "x-auth-request-", "x-authenticated-", "x-authentik-", "cf-access-authenticated-", "x-ms-client-principal",
    "x-ms-token-", "x-credential-", "tailscale-user-", "x-pomerium-claim", "x-pomerium-jwt",
)
# fmt: on
# The many names for a sender's address have the same endings, as have those for another method, address or host.
_ENDINGS = re.compile(r"(.*-)?(client-?|socket-?|user-?|real-?)?(ip|ipv4|ipv6|ip-?addr(ess)?|remote-addr(ess)?)")
_OVERRIDES = re.compile(r".*-?(method|url|uri|host|path|scheme|port|proto)-?override")
_NO_WORD = re.compile(r"[^0-9a-z]")
