"""Choose the language of a page and translate its messages, with the standard library's gettext."""

from __future__ import annotations

import gettext as _gettext
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from starlette.requests import Request

from unihooks.console._settings import ConsoleSettings

FOLDER = Path(__file__).parent / "locale"
DOMAIN = "console"
COOKIE = "webhooks_language"
LANGUAGES = {"en": "English", "ar": "العربية"}
RIGHT_TO_LEFT = {"ar"}
_DEFAULT = "en"

_current: ContextVar[str] = ContextVar("unihooks_console_language", default=_DEFAULT)


def use(language: str) -> None:
    """Set the language for the rest of this request."""
    _current.set(language)


def current() -> str:
    """Return the code of the current language."""
    return _current.get()


def direction() -> str:
    """Return `rtl` or `ltr`."""
    return "rtl" if current() in RIGHT_TO_LEFT else "ltr"


def gettext(message: str) -> str:
    """Translate a message."""
    return _translations(current()).gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """Translate a message whose form depends on a number."""
    return _translations(current()).ngettext(one, many, count)


def later(message: str) -> str:
    """Mark a message for extraction; it is translated where it is shown."""
    return message


def language_of(request: Request, settings: ConsoleSettings) -> str:
    """Return the language that the host has set, or else the viewer's: from `?lang`, the cookie or the browser."""
    if settings.language is not None:
        return settings.language
    for wanted in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wanted in LANGUAGES:
            return str(wanted)
    return _accepted(request.headers.get("accept-language", ""))


def _accepted(header: str) -> str:
    ranked = []
    for at, part in enumerate(header.split(",")[:20]):
        tag, _, quality = part.strip().partition(";q=")
        ranked.append((-_number(quality), at, tag.partition("-")[0].lower()))
    return next((tag for weight, _, tag in sorted(ranked) if tag in LANGUAGES and weight), _DEFAULT)


def _number(quality: str) -> float:
    try:
        return float(quality or 1)
    except ValueError:
        return 0.0


@cache
def _translations(language: str) -> _gettext.NullTranslations:
    return _gettext.translation(DOMAIN, FOLDER, languages=[language], fallback=language == _DEFAULT)
