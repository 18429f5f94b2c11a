"""Find secrets in what receivers send back, in the forms in which they commonly echo a request."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import islice
from urllib.parse import quote

from attrs import field, frozen

from unihooks._message.secrets import MASK

# Shorter values occur in responses by chance, so redacting them would blot out unrelated text.
LEAST_HIDDEN = 6
_LEAST_OF_A_CUT_FORM = 4
# This much of a response is kept, so one of this length was cut.
LONGEST = 16 * 1024
_LEAST_ENCODED = 8
# The response chooses what a pattern is tried on. With a longer pattern, that could take a second.
_MOST_IN_A_PATTERN = 64
# Each of them costs time for every response, and the customer chooses their number.
_MOST_PARTS = 64
_RUN = re.compile(rb"[0-9A-Za-z]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z-]*")
_BETWEEN = re.compile(r"[\s,;]+")
_QUOTED = re.compile(r'"([^"]+)"')
_NAMED = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_BASE64 = rb"(?:[0-9A-Za-z+/_-]|%2[bf]){0,4}"
Spans = list[tuple[int, int]]


@frozen
class _Form:
    """A form of a secret: `text` in any case, and all that `pattern` matches; `anchor` occurs in each of these."""

    anchor: bytes
    text: bytes = field(repr=False)
    source: bytes = field(repr=False)
    pattern: Callable[[bytes], bytes] | None = None

    def spans(self, text: bytes, lowered: bytes) -> Iterator[tuple[int, int]]:
        at = lowered.find(self.text)
        while at >= 0:
            yield at, at + len(self.text)
            at = lowered.find(self.text, at + len(self.text))
        if self.pattern is not None:
            yield from (match.span() for match in re.finditer(self.pattern(self.source), text, re.IGNORECASE))


class Redactor:
    """A filter of responses for secrets: the values of custom headers, their parts, and signing secrets."""

    __slots__ = ("_anchors", "_forms", "_known_clean", "_plain")

    def __init__(self, values: Sequence[str], secrets: Iterable[str]) -> None:
        every = dict.fromkeys(part for value in values for part in _parts(value) if len(part) >= LEAST_HIDDEN)
        parts = tuple(islice(every, _MOST_PARTS))
        whole = [value.encode("ascii") for value in values if len(value) >= LEAST_HIDDEN]
        signing = [secret.encode("ascii") for secret in secrets]
        self._plain = tuple(dict.fromkeys([*whole, *parts, *signing]))
        self._forms = (*map(_plain, self._plain), *(form for part in parts for form in _encoded(part)))
        self._anchors = tuple(dict.fromkeys(form.anchor for form in self._forms))
        # The headers that were redacted last: under load an endpoint sends the same ones again and again.
        self._known_clean = b""

    def redacted(self, text: bytes, *, cut: bool = False) -> bytes:
        """Return the text with `***` in place of secrets; if it was `cut`, it may end with the start of one."""
        if not text:
            return text
        lowered = text.lower()
        spans: Spans = []
        for anchor in self._anchors:
            if anchor in lowered:
                spans += self._found(anchor, text, lowered)
        spans += self._started(lowered) if cut or len(text) >= LONGEST else []
        return _masked(text, spans) if spans else text

    def redacted_headers(self, headers: Sequence[tuple[bytes, bytes]], most: int) -> Sequence[tuple[bytes, bytes]]:
        """Redact the headers of a response, each of which was cut at `most` bytes."""
        whole = b"\n".join([part for header in headers for part in header])
        if len(whole) < most and (whole == self._known_clean or self.redacted(whole) is whole):
            self._known_clean = whole
            return headers
        return [
            (self.redacted(name), self.redacted(value, cut=len(name) + len(value) >= most)) for name, value in headers
        ]

    def _found(self, anchor: bytes, text: bytes, lowered: bytes) -> Spans:
        return [span for form in self._forms if form.anchor == anchor for span in form.spans(text, lowered)]

    def _started(self, lowered: bytes) -> Spans:
        """Return the end of the text that may be the start of a secret in one of its forms."""
        found = []
        for form in {form.lower() for text in self._plain for form in _literals(text)}:
            start = form[:_LEAST_OF_A_CUT_FORM]
            at = lowered.find(start, max(0, len(lowered) - len(form)))
            while at >= 0 and not form.startswith(lowered[at:]):
                at = lowered.find(start, at + 1)
            found += [(at, len(lowered))] if at >= 0 else []
        return found


def _parts(value: str) -> Iterator[bytes]:
    """Return what may be secret in a header's value: all after a scheme, each word, and what follows `name=`."""
    scheme, blank, rest = value.partition(" ")
    if not blank or not _SCHEME.fullmatch(scheme):
        rest = value
    elif scheme.lower() == "basic":
        yield from _password(rest)
    yield rest.encode("ascii")
    for word in (*_BETWEEN.split(rest), *_QUOTED.findall(rest)):
        yield word.strip("\"'").encode("ascii")
        yield re.split("[=:]", word, maxsplit=1)[-1].strip("\"'").encode("ascii")


def _password(encoded: str) -> Iterator[bytes]:
    try:
        user, _, password = base64.b64decode(encoded).partition(b":")
    except (binascii.Error, ValueError):
        return
    yield user + b":" + password
    yield password


def _plain(text: bytes) -> _Form:
    """Return the form of a text as it is, in any case, and with escaped characters."""
    return _Form(_anchor(text), text.lower(), text, None if _RUN.fullmatch(text) else _escaped)


def _encoded(part: bytes) -> Iterator[_Form]:
    """Return the forms of a text in hexadecimal digits and in Base64, at any place within a longer encoded text."""
    digits = part.hex().encode()
    yield _Form(digits, digits, digits)
    for core in _cores(part):
        yield _Form(_anchor(core), core.lower(), core, _in_base64)


def _in_base64(core: bytes) -> bytes:
    """Return a pattern for the Base64 of a text in either alphabet, with the characters shared with its neighbours."""
    known = b"".join(_PLUS if one == b"+" else _SLASH if one == b"/" else one for one in _characters(core))
    return _BASE64 + known + _BASE64 + rb"(?:=|%3d){0,2}"


def _cores(part: bytes) -> Iterator[bytes]:
    """Return the Base64 of a text without what depends on its neighbours, at each of three offsets from the start."""
    for skipped in range(3):
        core = base64.b64encode(part[skipped : skipped + (len(part) - skipped) // 3 * 3])
        if len(core) >= _LEAST_ENCODED:
            yield core


def _anchor(text: bytes) -> bytes:
    """Return the longest part of a text that escaping leaves unchanged, except for its case."""
    return max(_RUN.findall(text), key=len, default=b"").lower()


def _literals(part: bytes) -> Iterator[bytes]:
    """Return the forms whose starts are looked for at the end of a response that was cut."""
    text = part.decode("latin-1")
    yield from (one.encode("latin-1") for one in (text, escape(text), escape(text).replace("&#x27;", "&#39;")))
    yield from (json.dumps(text)[1:-1].encode(), json.dumps(text)[1:-1].replace("/", "\\/").encode())
    yield from (quote(part, safe="").encode(), quote(part).encode(), part.hex().encode(), *_cores(part))


def _escaped(text: bytes) -> bytes:
    """Return a pattern for a text as JSON, HTML or a URL escapes it, once or twice."""
    known = b"".join(map(_escaped_character, _characters(text[:_MOST_IN_A_PATTERN])))
    rest = len(text) - _MOST_IN_A_PATTERN
    return known + (rb"[!-~]{0,%d}" % (2 * rest) if rest > 0 else b"")


def _escaped_character(character: bytes) -> bytes:
    if _RUN.fullmatch(character):
        return re.escape(character)
    code, name = character[0], _NAMED.get(character.decode("latin-1"))
    entities = rb"#0{0,4}%d|#x0{0,4}%x" % (code, code) + (b"" if name is None else b"|" + name.encode())
    ways = [
        rb"\\{1,3}(?:u00|x)%02x" % code,
        rb"%%(?:25){0,2}%02x" % code,
        rb"\\{0,3}(?:&(?:amp;){0,2}(?:" + entities + rb");|" + re.escape(character) + rb")",
    ]
    return b"(?:" + b"|".join([*ways, *([rb"\+"] if character == b" " else [])]) + b")"


def _characters(text: bytes) -> list[bytes]:
    return [text[at : at + 1] for at in range(len(text))]


def _masked(text: bytes, spans: Spans) -> bytes:
    pieces, position, covered = [], 0, -1
    for start, end in sorted(spans):
        if start > covered:
            pieces += [text[position:start], MASK.encode()]
        covered = max(covered, end)
        position = covered
    return b"".join([*pieces, text[position:]])


_PLUS = b"(?:-|" + _escaped_character(b"+")[3:]
_SLASH = b"(?:_|" + _escaped_character(b"/")[3:]
