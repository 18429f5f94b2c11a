"""Translate errors, reasons and warnings into the viewer's language, by their codes and figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from unihooks._base.sentences import Sentence, recognized
from unihooks.console.words.formats import number
from unihooks.console.words.locale import direction, gettext, ngettext
from unihooks.console.words.sentence_texts import TEXTS, Plural
from unihooks.exceptions import UnihooksError

# Sentences are recognized once the module that makes them is imported, and no open store may have done that yet.
from unihooks.stores.sql import jobs, waiting  # noqa: F401

# A figure of this name is a sentence itself.
_INNER = "why"
# A figure of this name is a time, as in 2026-01-31T12:00:05Z.
_TIME = "until"
_NUMBER = re.compile(r"[0-9.,]+")
_FIRST_STRONG, _POP = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"


def told(what: Exception | str) -> str:
    """Return an error, or a text that a store has kept, as viewers read it; a text of the host's stays as it is."""
    text = what.message if isinstance(what, UnihooksError) else what if isinstance(what, str) else str(what)
    sentence = text if isinstance(text, Sentence) else recognized(text)
    words = None if sentence is None else TEXTS.get(sentence.code)
    if sentence is None or words is None:
        return text
    return _filled(words, sentence.figures)


def waits_until(text: str) -> tuple[datetime, str] | None:
    """Return until when a delivery waits, and why, from what its log says of that; None if it says no time."""
    sentence = recognized(text)
    if sentence is None or _TIME not in sentence.figures:
        return None
    return datetime.fromisoformat(sentence.figures[_TIME]), _within(told(sentence.figures[_INNER]))


def _filled(words: str | Plural, figures: Mapping[str, Any]) -> str:
    text = ngettext(words.one, words.many, int(figures[words.by])) if isinstance(words, Plural) else gettext(words)
    return text % {name: _shown(name, value) for name, value in figures.items()} if figures else text


def _shown(name: str, value: Any) -> str:
    if name == _INNER:
        return _within(told(value))
    text = number(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
    text = text.replace("T", " ").replace("Z", " UTC") if name == _TIME else text
    # A path or a name would change its order within a text that runs from right to left.
    return text if direction() == "ltr" or _NUMBER.fullmatch(text) else f"{_FIRST_STRONG}{text}{_POP}"


def _within(text: str) -> str:
    """Return a sentence as a part of another one: its first word in lower case, unless it is a name."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
