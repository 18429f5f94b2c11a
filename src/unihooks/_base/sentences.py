"""English sentences that can be translated, by a code and the figures in them.

An error's sentence is `said`, and carries both. One that a store keeps as text, such as why an attempt failed, is a
`Kept` one: `recognized` finds its code and figures again.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from string import Formatter
from typing import Any, ClassVar, Self


class Sentence(str):
    """A sentence in English, with the code and the figures that a translation needs.

    >>> sentence = said("too-long", "use at most {most} characters", most=200)
    >>> sentence, sentence.code, sentence.figures
    ('use at most 200 characters', 'too-long', {'most': 200})
    """

    __slots__ = ("code", "figures")

    code: str
    figures: Mapping[str, Any]

    def __new__(cls, text: str, code: str, figures: Mapping[str, Any]) -> Self:
        """Return the text with its code and figures."""
        sentence = super().__new__(cls, text)
        sentence.code = code
        sentence.figures = figures
        return sentence

    def __reduce__(self) -> tuple[object, ...]:
        return Sentence, (str(self), self.code, self.figures)


class Kept(Sentence):
    """A sentence that stores keep as text. Call it with its figures to complete it; one without figures is complete.

    >>> cut = Kept("cut", "cut after {limit} KiB")
    >>> cut(limit=16)
    'cut after 16 KiB'
    >>> recognized("cut after 16 KiB").figures
    {'limit': '16'}
    """

    known: ClassVar[dict[str, Kept]] = {}

    def __new__(cls, code: str, template: str) -> Self:
        """Register the sentence, so that `recognized` finds it from now on."""
        sentence = super().__new__(cls, template, code, {})
        if cls.known.setdefault(code, sentence) != template:
            raise ValueError(f"two sentences have the code {code}")
        return sentence

    def __call__(self, **figures: Any) -> Sentence:
        """Return the sentence with these figures."""
        return Sentence(self.format(**figures), self.code, figures)

    def read(self, text: str) -> Sentence | None:
        """Return a text as this sentence, with its figures as texts; None if it is another one."""
        match = self.pattern.fullmatch(text)
        if match is None:
            return None
        return Sentence(text, self.code, {name: _figure(match[name], how) for name, how in self.places.items()})

    @cached_property
    def words(self) -> str:
        """What it says without its figures."""
        return "".join(text for text, *_ in Formatter().parse(str(self)))

    @cached_property
    def places(self) -> dict[str, str | None]:
        """The names of its figures, each with its conversion."""
        return {name: conversion for _, name, _, conversion in Formatter().parse(str(self)) if name}

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern that this sentence matches, whatever its figures."""
        parts = Formatter().parse(str(self))
        found = [re.escape(text) + (f"(?P<{name}>.*)" if name else "") for text, name, _, _ in parts]
        return re.compile("".join(found), re.DOTALL)


def said(code: str, template: str, /, **figures: Any) -> Sentence:
    """Return a sentence with its code and figures; without figures, the text is taken as it is."""
    return Sentence(template.format(**figures) if figures else template, code, figures)


@lru_cache(maxsize=4096)
def recognized(text: str) -> Sentence | None:
    """Return the sentence that a stored text is, None if the text is not one of ours."""
    # A sentence with more words of its own comes first: in another one, those words might pass for a figure.
    sentences = sorted(Kept.known.values(), key=lambda one: len(one.words), reverse=True)
    return next(filter(None, (one.read(text) for one in sentences)), None)


def _figure(text: str, conversion: str | None) -> str:
    if conversion == "r":
        with suppress(ValueError, SyntaxError):
            return str(literal_eval(text))
    return text
