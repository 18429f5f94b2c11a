"""The console's own files as bundles: joined, compressed once, named by their hash, and cached for ever."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path

from attrs import frozen

from unihooks.console.host.settings import Branding

# Each bundle is its files in this order; every file of `static/css` and `static/js` is in one of them.
STYLES = (
    "css/tokens.css",
    "css/base.css",
    "css/controls.css",
    "css/parts.css",
    "css/code.css",
    "css/console.css",
    "css/steady.css",
    "css/form.css",
    "css/draft.css",
    "css/overview.css",
    "css/log.css",
    "css/reference.css",
    "css/operator.css",
    "css/secret.css",
)
SCRIPTS = (
    "htmx.js",
    "js/steady.js",
    "js/look.js",
    "js/page.js",
    "js/poll.js",
    "js/log.js",
    "js/form.js",
    "js/draft.js",
    "js/secret.js",
    "js/overview.js",
)

_FOLDER = Path(__file__).parent.parent / "static"
# Scripts of others that need the page's global scope.
_GLOBAL = ("htmx.js",)
_HASH = re.compile(r"\.[0-9a-f]{16}(?=\.[a-z]+$|$)")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_FOR_EVER = "public, max-age=31536000, immutable"
_LEAST_BYTES = 600
_GZIP = 31


@frozen
class Asset:
    """A file that browsers load once: its name, with the hash of its content, and its bytes over the wire."""

    file: str
    media_type: str
    plain: bytes
    compressed: bytes | None

    def answer(self, file: str, *, compress: bool) -> tuple[bytes, dict[str, str]]:
        """Return the body and the headers for a request of a file by this name."""
        # During an upgrade, a page of the other version asks for another hash, and must not cache this file under it.
        headers = {"cache-control": _FOR_EVER if file == self.file else "no-cache", "vary": "accept-encoding"}
        if self.compressed is None or not compress:
            return self.plain, headers
        return self.compressed, {**headers, "content-encoding": "gzip"}


class Assets:
    """All files of one console, with the host's branding in its style sheet."""

    def __init__(self, branding: Branding) -> None:
        own = _own()
        style = own["console.css"].plain.decode() + branding.theme.css(branding.accent)
        logo = {"logo": _asset("logo", branding.logo_type, branding.logo)} if isinstance(branding.logo, bytes) else {}
        self._assets = {**own, "console.css": _asset("console.css", "text/css", style.encode()), **logo}

    def file_of(self, name: str) -> str:
        """Return the name with its hash, such as `console.0123456789abcdef.css`."""
        return self._assets[name].file

    def find(self, file: str) -> Asset | None:
        """Return the asset that a request means, also by another version's hash or without any."""
        return self._assets.get(_HASH.sub("", file))


@cache
def _own() -> dict[str, Asset]:
    """Return the files that are the same for every console of the process."""
    return {
        "console.css": _asset("console.css", "text/css", _styles(STYLES).encode()),
        "console.js": _asset("console.js", "text/javascript", _scripts(SCRIPTS).encode()),
        "icon.svg": _asset("icon.svg", "image/svg+xml", (_FOLDER / "icon.svg").read_bytes()),
    }


# A host may make several consoles of one look.
@lru_cache(maxsize=16)
def _asset(name: str, media_type: str, data: bytes) -> Asset:
    stem, dot, kind = name.partition(".")
    packed = zlib.compress(data, 9, wbits=_GZIP) if len(data) >= _LEAST_BYTES else data
    file = f"{stem}.{sha256(data).hexdigest()[:16]}{dot}{kind}"
    return Asset(file, media_type, data, packed if len(packed) < len(data) else None)


def _styles(files: Iterable[str]) -> str:
    return _lean(_COMMENT.sub("", "\n".join(map(_read, files))))


def _scripts(files: Iterable[str]) -> str:
    """Join scripts; each of our own has a scope of its own, so that no two files can use one name for two things."""
    return "\n".join(
        _read(file) if file in _GLOBAL else f'(() => {{\n"use strict";\n{_lean(_read(file))}\n}})();' for file in files
    )


def _lean(text: str) -> str:
    """Strip what only readers of the files need; no text in them spans lines."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _read(file: str) -> str:
    return (_FOLDER / file).read_text(encoding="utf-8")
