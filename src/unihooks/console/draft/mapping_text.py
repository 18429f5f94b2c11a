r"""Write a payload mapping as text, one rule per line, and read it back.

A line is `remove PATH` or `rename PATH -> NAME`. A path or name that does not
fit on a line as it is, such as one with a line break, is written as a JSON
string.

>>> write(PayloadMapping(remove=["sender.name"], rename={"content.text": "body"}))
'remove sender.name\nrename content.text -> body'
>>> read("rename content.text -> body").rename["content.text"]
'body'
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from attrs import frozen

from unihooks._base.sentences import said
from unihooks._message.mapping import MAX_RULES, PayloadMapping, too_many_rules
from unihooks._message.paths import Path, parse_path
from unihooks.exceptions import InvalidMapping

_ARROW = " -> "
_LINE = re.compile(r"(?P<verb>remove|rename)\s+(?P<rest>\S.*)")


@frozen
class Rule:
    """One rule; `name` is None if it removes the property."""

    path: str
    name: str | None = None

    @property
    def line(self) -> str:
        """Return the rule as a line."""
        if self.name is None:
            return f"remove {_word(self.path)}"
        return f"rename {_word(self.path)}{_ARROW}{_word(self.name)}"


def write(mapping: PayloadMapping) -> str:
    """Return the mapping as text."""
    rules = [*map(Rule, mapping.remove), *(Rule(path, name) for path, name in mapping.rename.items())]
    return "\n".join(rule.line for rule in rules)


def read(text: str) -> PayloadMapping:
    """Return the mapping; `InvalidMapping` names the line that cannot be read."""
    lines = _lines(text)
    if len(lines) > MAX_RULES:
        raise InvalidMapping(too_many_rules(), name="mapping")
    rules = [_rule(line, at) for at, line in lines]
    renames: dict[str, str] = {}
    for rule in rules:
        if rule.name is not None and rule.path in renames:
            template = "{path!r} is renamed twice; keep one of the lines"
            raise InvalidMapping(said("renamed-twice", template, path=rule.path), name="mapping")
        if rule.name is not None:
            renames[rule.path] = rule.name
    return PayloadMapping(remove=[*dict.fromkeys(rule.path for rule in rules if rule.name is None)], rename=renames)


def readable_rules(text: str) -> list[Rule]:
    """Return the rules of the lines that can be read, of as many as a mapping can have."""
    found = []
    for at, line in _lines(text)[:MAX_RULES]:
        try:
            found.append(_rule(line, at))
        except InvalidMapping:
            continue
    return found


def with_rules(text: str, rules: Collection[Rule]) -> str:
    """Return the text with these rules as the only ones for their paths; other lines stay, even malformed ones."""
    return "\n".join([*_without(text, {_path_of(rule.path) for rule in rules}), *(rule.line for rule in rules)])


def without_path(text: str, path: str) -> str:
    """Return the text without rules for this path."""
    return "\n".join(_without(text, {_path_of(path)}))


def _without(text: str, paths: set[Path | None]) -> list[str]:
    """Return the lines that are not about one of the paths; too many lines are left as they are."""
    lines = _lines(text)
    if len(lines) > MAX_RULES:
        return [line for _, line in lines]
    return [line for at, line in lines if (path := _path_at(line, at)) is None or path not in paths]


def _lines(text: str) -> list[tuple[int, str]]:
    return [(at, line.strip()) for at, line in enumerate(text.splitlines(), 1) if line.strip()]


def _path_at(line: str, at: int) -> Path | None:
    try:
        return _path_of(_rule(line, at).path)
    except InvalidMapping:
        return None


def _path_of(text: str) -> Path | None:
    try:
        return parse_path(text)
    except InvalidMapping:
        return None


def _rule(line: str, at: int) -> Rule:
    match = _LINE.fullmatch(line)
    if match is None:
        template = "line {at}: write `remove PATH` or `rename PATH -> NAME`"
        raise InvalidMapping(said("rule-unreadable", template, at=at), name="mapping")
    if match["verb"] == "remove":
        return Rule(_read_word(match["rest"], at))
    path, arrow, name = match["rest"].rpartition(_ARROW)
    if not arrow:
        template = "line {at}: a rename needs an arrow: `rename PATH -> NAME`"
        raise InvalidMapping(said("arrow-missing", template, at=at), name="mapping")
    return Rule(_read_word(path, at), _read_word(name, at))


def _word(text: str) -> str:
    plain = text.isprintable() and text == text.strip() and _ARROW not in text and not text.startswith('"')
    return text if plain and text else json.dumps(text).replace(">", r"\u003e")


def _read_word(text: str, at: int) -> str:
    text = text.strip()
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        sentence = said("quotes-open", "line {at}: the text in quotes is not closed", at=at)
        raise InvalidMapping(sentence, name="mapping") from None
