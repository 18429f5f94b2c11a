"""Choose the language of a page and translate its messages, with the standard library's gettext."""

from __future__ import annotations

import gettext as _gettext
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from starlette.requests import Request

from unihooks.console.host.settings import ConsoleSettings

FOLDER = Path(__file__).parent.parent / "locale"
DOMAIN = "console"
COOKIE = "webhooks_language"
LANGUAGES = {"en": "English", "ar": "العربية"}
RIGHT_TO_LEFT = {"ar"}
_DEFAULT = "en"
_PART = re.compile(r"%\((\w+)\)s")

Texts = Mapping[str, str | Mapping[str, str]]
Translate = Callable[[str, str], str]

_current: ContextVar[str] = ContextVar("unihooks_console_language", default=_DEFAULT)
_own: ContextVar[Mapping[str, str] | None] = ContextVar("unihooks_console_texts", default=None)
_hosts: ContextVar[Translate | None] = ContextVar("unihooks_console_translate", default=None)


def use(
    language: str, texts: Mapping[str, Mapping[str, str]] | None = None, translate: Translate | None = None
) -> None:
    """Set the language for the rest of this request, the host's own texts by language, and who translates others."""
    _current.set(language)
    _hosts.set(translate)
    _own.set((texts or {}).get(language, {}))


def own_texts(texts: Texts) -> dict[str, dict[str, str]]:
    """Return the host's own texts by language, or refuse what the console does not say or could not fill in."""
    found: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for message, value in texts.items():
        # Every text of the console differs from its translation, so one that no language changes is not the console's.
        if all(_translations(language).gettext(message) == message for language in LANGUAGES):
            raise ValueError(f"texts: the console says nowhere {message!r}")
        for language, text in (dict.fromkeys(LANGUAGES, value) if isinstance(value, str) else value).items():
            if language not in LANGUAGES:
                raise ValueError(f"texts: the languages are {', '.join(LANGUAGES)}, not {language!r}")
            if set(_PART.findall(text)) - set(_PART.findall(message)):
                raise ValueError(f"texts: {text!r} has a part that {message!r} does not have")
            found[language][message] = text
    return found


def current() -> str:
    """Return the code of the current language."""
    return _current.get()


def direction() -> str:
    """Return `rtl` or `ltr`."""
    return "rtl" if current() in RIGHT_TO_LEFT else "ltr"


def gettext(message: str) -> str:
    """Translate a message."""
    return (_own.get() or {}).get(message) or _translations(current()).gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """Translate a message whose form depends on a number."""
    return _translations(current()).ngettext(one, many, count)


def of_host(text: str) -> str:
    """Return a text of the host's catalog in the viewer's language, if the host translates it."""
    translate = _hosts.get()
    return text if translate is None or not text else translate(text, current())


def later(message: str) -> str:
    """Mark a message for extraction; it is translated where it is shown."""
    return message


def nlater(one: str, many: str) -> tuple[str, str]:
    """Mark a message whose form depends on a number for extraction."""
    return one, many


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
