"""Carry out the buttons of a draft's form: add and remove rows, headers, conditions, rules of the mapping."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from attrs import evolve

from unihooks._message.headers import MAX_HEADERS
from unihooks._message.mapping import MAX_RULES
from unihooks._message.paths import parse_path
from unihooks._model.products import EVERY_EVENT
from unihooks.console.draft import condition_rows, conditions_text, mapping_text
from unihooks.console.draft.condition_rows import ConditionField
from unihooks.console.draft.draft import KEEP, REMOVE, REPLACE, STEPS, Draft, EndpointField, HeaderField
from unihooks.console.draft.mapping_text import Rule
from unihooks.console.http.forms import Form
from unihooks.exceptions import InvalidMapping, UnihooksError

T = TypeVar("T")
_PASTED_URL = re.compile(r"[^\s,;]+")


def commanded(draft: Draft, go: str, form: Form) -> Draft:
    """Return the draft after a button that changes the form itself; other buttons leave it as it is."""
    verb, _, rest = go.partition(":")
    command = _COMMANDS.get(verb)
    return draft if command is None else command(draft, rest, form)


def with_typed_renames(draft: Draft, form: Form) -> Draft:
    """Return the draft with the new names that were typed into the tree, as when Enter was pressed there."""
    typed = (
        Rule(name[3:], new)
        for name, value in form.pairs
        if name.startswith("to:")
        and (new := value.strip())
        and new != form.get(f"was:{name[3:]}")
        and not _is_own_name(name[3:], new)
    )
    rules = {rule.path: rule for rule in islice(typed, MAX_RULES + 1)}
    return evolve(draft, mapping=mapping_text.with_rules(draft.mapping, rules.values())) if rules else draft


def _with_https(draft: Draft, rest: str, _form: Form) -> Draft:
    rows = [evolve(row, url=with_https(row.url)) if str(at) == rest else row for at, row in enumerate(draft.endpoints)]
    return evolve(draft, endpoints=rows)


def _paste_urls(draft: Draft, rest: str, form: Form) -> Draft:
    """Make a row of each URL that was pasted into a row."""
    most = draft.room.endpoints if draft.room else 1
    pasted = [EndpointField(url=url) for url in islice(_PASTED_URL.findall(form.get("pasted")), most)]
    rows = _with_pasted(draft.endpoints, rest, pasted, lambda row: not row.url and not row.id)
    return evolve(draft, endpoints=rows or draft.endpoints)


def _paste_headers(draft: Draft, rest: str, form: Form) -> Draft:
    lines = (line.partition(":") for line in form.get("pasted").splitlines() if ":" in line)
    pasted = [HeaderField(name.strip(), value.strip()) for name, _, value in islice(lines, 2 * MAX_HEADERS)]
    return evolve(draft, headers=_with_pasted(draft.headers, rest, pasted, lambda row: row.blank))


def _with_pasted(rows: Iterable[T], at: str, pasted: list[T], is_blank: Callable[[T], bool]) -> list[T]:
    """Insert pasted rows below one row, or in its place if that is blank."""
    found: list[T] = []
    for index, row in enumerate(rows):
        here = str(index) == at
        found += [] if here and is_blank(row) else [row]
        found += pasted if here else []
    return found


def with_https(url: str) -> str:
    """Return a URL with https:// instead of its scheme, if it has one."""
    return f"https://{url.partition('://')[2] or url}"


def _choose_header(choice: str) -> Callable[[Draft, str, Form], Draft]:
    def choose(draft: Draft, rest: str, _form: Form) -> Draft:
        headers = [
            evolve(row, choice=choice, value="") if row.saved and str(at) == rest else row
            for at, row in enumerate(draft.headers)
        ]
        return evolve(draft, headers=headers)

    return choose


def _add_condition(draft: Draft, rest: str, _form: Form) -> Draft:
    group = max((row.group for row in draft.condition_rows if row.event == rest), default=0)
    return _with_condition(draft, ConditionField(rest, group))


def _add_alternative(draft: Draft, rest: str, _form: Form) -> Draft:
    groups = [row.group for row in draft.condition_rows if row.event == rest]
    return _with_condition(draft, ConditionField(rest, max(groups, default=-1) + 1))


def _with_condition(draft: Draft, row: ConditionField) -> Draft:
    """Return the draft with one more row and its event chosen; unchanged while conditions are shown as text."""
    if draft.conditions_as_text:
        return draft
    every = f"{row.event.partition(' ')[0]} {EVERY_EVENT}"
    events = draft.events if every in draft.events else dict.fromkeys([*draft.events, row.event])
    return evolve(draft, events=events, condition_rows=[*draft.condition_rows, row])


def _drop_condition(draft: Draft, rest: str, _form: Form) -> Draft:
    rows = _without(draft.condition_rows, rest)
    catalog = draft.room.catalog if draft.room else None
    return evolve(draft, condition_rows=rows, conditions=condition_rows.to_text(rows, draft.events, catalog))


def _show_conditions(draft: Draft, rest: str, _form: Form) -> Draft:
    """Return the draft with its conditions as text, or as rows if rows can express them."""
    if rest == "text":
        return evolve(draft, condition_rows=(), conditions_as_text=True)
    try:
        rows = condition_rows.rows_of(conditions_text.read(draft.conditions))
    except UnihooksError:
        rows = None
    return draft if rows is None else evolve(draft, condition_rows=rows, conditions_as_text=False)


def _add_pattern(draft: Draft, _rest: str, form: Form) -> Draft:
    pattern = " ".join(form.get("pattern").split())
    is_new = pattern.endswith(f".{EVERY_EVENT}") and pattern not in draft.events
    return evolve(draft, events=[*draft.events, pattern]) if is_new else draft


def _rename(draft: Draft, rest: str, form: Form) -> Draft:
    name = form.get(f"to:{rest}").strip()
    if _is_own_name(rest, name):
        return _restore(draft, rest, form)
    return evolve(draft, mapping=mapping_text.with_rules(draft.mapping, [Rule(rest, name)])) if name else draft


def _is_own_name(path: str, name: str) -> bool:
    """Return whether a property already has this name: the field for a new name begins with it."""
    try:
        return parse_path(path)[-1] == name
    except InvalidMapping:
        return False


def _restore(draft: Draft, rest: str, _form: Form) -> Draft:
    return evolve(draft, mapping=mapping_text.without_path(draft.mapping, rest))


def _without(rows: Iterable[T], at: str) -> list[T]:
    return [row for index, row in enumerate(rows) if str(index) != at]


_COMMANDS: dict[str, Callable[[Draft, str, Form], Draft]] = {
    "step": lambda draft, rest, _form: evolve(draft, step=rest) if rest in STEPS else draft,
    "add-endpoint": lambda draft, _rest, _form: evolve(draft, endpoints=[*draft.endpoints, EndpointField()]),
    "drop-endpoint": lambda draft, rest, _form: evolve(
        draft, endpoints=_without(draft.endpoints, rest) or [EndpointField()]
    ),
    "https": _with_https,
    "paste": _paste_urls,
    "paste-headers": _paste_headers,
    "add-header": lambda draft, _rest, _form: evolve(draft, headers=[*draft.headers, HeaderField()]),
    "drop-header": lambda draft, rest, _form: evolve(draft, headers=_without(draft.headers, rest)),
    "keep-header": _choose_header(KEEP),
    "replace-header": _choose_header(REPLACE),
    "remove-header": _choose_header(REMOVE),
    "add-condition": _add_condition,
    "add-alternative": _add_alternative,
    "add-pattern": _add_pattern,
    "drop-condition": _drop_condition,
    "conditions": _show_conditions,
    "example": lambda draft, rest, _form: evolve(draft, picker=evolve(draft.picker, example=rest)),
    "remove": lambda draft, rest, _form: evolve(draft, mapping=mapping_text.with_rules(draft.mapping, [Rule(rest)])),
    "rename": _rename,
    "restore": _restore,
}
