"""The code that checks signatures, in the languages that receivers are written in."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from attrs import frozen
from starlette.requests import Request

COOKIE = "webhooks_code"
_FOLDER = Path(__file__).parent.parent / "snippets"


@frozen
class Snippet:
    """Code that checks a signature in one language, first with the library of Standard Webhooks, then without."""

    name: str
    language: str
    suffix: str
    install: str

    @property
    def with_library(self) -> str:
        """Return the code that uses the library."""
        return _code(f"library.{self.suffix}.txt")

    @property
    def without(self) -> str:
        """Return the code that needs no library."""
        return _code(f"verify.{self.suffix}.txt")


SNIPPETS = (
    Snippet("python", "Python", "py", "pip install standardwebhooks"),
    Snippet("node", "Node.js", "mjs", "npm install standardwebhooks"),
    Snippet("go", "Go", "go", "go get github.com/standard-webhooks/standard-webhooks/libraries"),
    Snippet("php", "PHP", "php", "composer require standard-webhooks/standard-webhooks"),
    Snippet("ruby", "Ruby", "rb", "gem install standardwebhooks"),
)
NAMES = frozenset(one.name for one in SNIPPETS)


def chosen(request: Request) -> str:
    """Return the name of the language that the viewer looked at last, or else the first one's."""
    name = request.cookies.get(COOKIE)
    return name if name in NAMES else SNIPPETS[0].name


@cache
def _code(file: str) -> str:
    return (_FOLDER / file).read_text(encoding="utf-8")
