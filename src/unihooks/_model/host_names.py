"""Hosts: names in ASCII, which of them can be, and addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from unicodedata import category

import idna

_MAX_LENGTH = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PRIVATE_SUFFIXES = frozenset({"internal", "local", "localdomain"})
_PUNYCODE = "xn--"
# Controls, spaces and what is unassigned, by Unicode category, but for the joiners and tags that are parts of emoji.
_NEVER_IN_NAMES = frozenset({"Cc", "Cf", "Cn", "Cs", "Zl", "Zp", "Zs"})
_JOINERS = frozenset("\u200c\u200d") | frozenset(map(chr, range(0xE0020, 0xE0080)))
# Symbols, skin tones and the frame of a keycap.
_EMOJI = frozenset({"Me", "Sk", "So"})


def in_ascii(host: str) -> str:
    """Return a host in small ASCII letters, without a root dot; UnicodeError if it has no such form.

    >>> in_ascii("Bücher.example.")
    'xn--bcher-kva.example'
    """
    if not host.isascii():
        labels = idna.uts46_remap(host, std3_rules=False).split(".")
        host = ".".join([label if label.isascii() else _encoded(label) for label in labels])
    return host.lower().removesuffix(".")


def is_name(name: str) -> bool:
    """Return whether what `in_ascii` has returned can be a name."""
    return len(name) <= _MAX_LENGTH and all(map(_is_label, name.split(".")))


def is_private(labels: Sequence[str]) -> bool:
    """Return whether the labels of a name say that it is one inside a private network."""
    return len(labels) == 1 or labels[-1] in _PRIVATE_SUFFIXES or labels[-2:] == ["home", "arpa"]


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, without a zone."""
    try:
        return "%" not in host and bool(ip_address(host))
    except ValueError:
        return False


def _encoded(label: str) -> str:
    # IDNA 2008 knows neither emoji nor underscores, although both are registered and resolved. All else it decides.
    known = "".join(char for char in label if char != "_" and category(char) not in _EMOJI)
    if known == label or label.startswith(_PUNYCODE):
        return idna.alabel(label).decode("ascii")
    if not known.isascii():
        idna.alabel(known)
    return _PUNYCODE + label.encode("punycode").decode("ascii")


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    if not label.startswith(_PUNYCODE):
        return True
    encoded = label.removeprefix(_PUNYCODE).encode("ascii")
    try:
        decoded = encoded.decode("punycode")
        is_canonical = decoded.encode("punycode") == encoded
    except UnicodeError:
        return False
    may_be_in_names = (char in _JOINERS or category(char) not in _NEVER_IN_NAMES for char in decoded)
    return is_canonical and not decoded.isascii() and all(may_be_in_names)
