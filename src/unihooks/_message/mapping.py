"""Remove and rename properties of a payload before it is sent to a customer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, count
from typing import Any

import attrs

from unihooks._base.sentences import Kept, Sentence, said
from unihooks._base.texts import Texts
from unihooks._message.conditions import Condition
from unihooks._message.paths import ANY, MAX_TEXT, Path, Step, is_storable, parse_path
from unihooks._message.payload import check, encode
from unihooks.exceptions import InvalidMapping

MAX_RULES = 100
MAX_NODES = 10_000
_REPLACED = Kept("rename-replaced", "renaming {path!r} to {name!r} replaced a property of that name")


@attrs.frozen(kw_only=True)
class Preview:
    """The payload that a webhook would send; the rules in `unmatched` matched nothing in it.

    `conditions` are those of the webhook's subscriptions, each with whether it holds.
    """

    result: Any
    unmatched: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    conditions: tuple[tuple[Condition, bool], ...] = ()


@attrs.define
class _Node:
    """The effect of the rules on one place of a payload, and on the places inside it.

    `below` has an entry for each key or index that a rule names; each includes the rules with wildcards. `others` is
    for all other places.
    """

    removed: bool = False
    name: str | None = None
    rule: str = ""
    below: dict[Step, _Node] = attrs.field(factory=dict)
    others: _Node | None = None
    renamed: tuple[tuple[str, str, str], ...] = ()


@attrs.frozen
class _Rule:
    """One rule; while rules are compiled, `path` is the part that is still ahead."""

    text: str
    path: Path
    name: str | None = None

    def after(self, step: Step) -> _Rule | None:
        if self.path and (self.path[0] == step or self.path[0] is ANY):
            return attrs.evolve(self, path=self.path[1:])
        return None


def _as_tuple(paths: Iterable[str]) -> tuple[str, ...]:
    if isinstance(paths, (str, bytes, Mapping)) or not isinstance(paths, Iterable):
        raise InvalidMapping('remove takes a list of paths, such as ["sender.name"]', name="remove")
    return tuple(paths)


def _as_renames(rename: Mapping[str, str]) -> Texts:
    if not isinstance(rename, Mapping):
        message = 'rename takes new names by path, such as {"content.text": "body"}'  # type: ignore[unreachable]
        raise InvalidMapping(message, name="rename")
    return Texts(tuple(rename.items()))


@attrs.frozen(kw_only=True)
class PayloadMapping:
    r"""The properties of a payload to remove and to rename, each named by its path.

    Paths look like `a.b`, `a[0]`, `a[*]` (all elements or values), `a['k.dot']` or `a\.b`, with or without a leading
    `$.`. All of them refer to the payload as it was emitted; a new name is a plain key, never a path. A mapping without
    rules is falsy. `size` is the number of places that its rules name, including all that wildcards expand to.
    `InvalidMapping` carries the offending rule as `name`.

    >>> mapping = PayloadMapping(remove=["sender.name"], rename={"content.text": "body"})
    >>> result, warnings = mapping.apply(
    ...     {"sender": {"id": 7, "name": "Ada"}, "content": {"text": "Hi"}}
    ... )
    >>> result
    {'sender': {'id': 7}, 'content': {'body': 'Hi'}}
    """

    remove: tuple[str, ...] = attrs.field(default=(), converter=_as_tuple)
    rename: Mapping[str, str] = attrs.field(factory=dict, converter=_as_renames)
    _rules: tuple[_Rule, ...] = attrs.field(init=False, eq=False, repr=False)
    _root: _Node = attrs.field(init=False, eq=False, repr=False)
    size: int = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.remove) + len(self.rename) > MAX_RULES:
            raise InvalidMapping(too_many_rules(), name="mapping")
        rules = [_Rule(text, parse_path(text)) for text in self.remove]
        renames = [_Rule(text, parse_path(text), name) for text, name in self.rename.items()]
        _check_renames(renames)
        object.__setattr__(self, "_rules", (*rules, *renames))
        places = count(1)
        object.__setattr__(self, "_root", _compile(self._rules, places))
        object.__setattr__(self, "size", next(places) - 1)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def apply(self, payload: Any) -> tuple[Any, tuple[str, ...]]:
        """Return the mapped payload and the warnings; the input is never changed.

        What no rule touches is shared with the input, not copied. Raises
        `InvalidPayload` if the payload is not JSON or nested too deep.
        """
        check(payload)
        return self.apply_unchecked(payload)

    def apply_unchecked(self, payload: Any) -> tuple[Any, tuple[str, ...]]:
        """Do what `apply` does with a payload that has been checked already, such as one that `decode` returned."""
        warnings: dict[str, None] = {}
        return _mapped(payload, self._root, warnings), tuple(warnings)

    def preview(self, payload: Any) -> Preview:
        """Apply the mapping, and also tell which rules matched nothing; refuse what could not be sent.

        >>> PayloadMapping(remove=["a", "b"]).preview({"a": 1}).unmatched
        ('b',)
        """
        encode(payload)
        result, warnings = self.apply_unchecked(payload)
        found: set[Path] = set()
        _look(payload, self._rules, 0, found)
        unmatched = (rule.text for rule in self._rules if rule.path not in found)
        return Preview(result=result, unmatched=tuple(dict.fromkeys(unmatched)), warnings=warnings)


def too_many_rules() -> Sentence:
    """Return the error for a mapping with too many rules."""
    template = "a mapping has at most {most} rules; use [*] to cover several with one"
    return said("too-many-rules", template, most=MAX_RULES)


def _check_renames(rules: list[_Rule]) -> None:
    for rule in rules:
        if not isinstance(rule.path[-1], str):
            template = "{path!r} ends in an index or wildcard; only a named property can be renamed"
            raise InvalidMapping(said("rename-element", template, path=rule.text), name=rule.text)
        if not isinstance(rule.name, str) or not rule.name or not is_storable(rule.name):
            template = "{path!r} needs a new name of 1 to {most} characters without lone surrogates"
            raise InvalidMapping(said("new-name", template, path=rule.text, most=MAX_TEXT), name=rule.text)
    for one, two in combinations(rules, 2):
        _check_pair(one, two)


def _check_pair(one: _Rule, two: _Rule) -> None:
    """Refuse two renames that could conflict in one object, so that their order cannot matter."""
    if len(one.path) != len(two.path) or not _may_meet(one.path[:-1], two.path[:-1]):
        return
    if one.path[-1] == two.path[-1]:
        template = "{one!r} and {two!r} rename the same property; keep one of them"
        raise InvalidMapping(said("same-property", template, one=one.text, two=two.text), name=two.text)
    if one.name == two.name:
        template = "{one!r} and {two!r} get the same new name; choose another one"
        raise InvalidMapping(said("same-new-name", template, one=one.text, two=two.text), name=two.text)


def _may_meet(path: Path, other: Path) -> bool:
    return all(a == b or a is ANY or b is ANY for a, b in zip(path, other, strict=True))


def _compile(rules: Iterable[_Rule], counter: Iterator[int]) -> _Node:
    """Build the node of one place from the rules that lead to it."""
    if next(counter) > MAX_NODES:
        template = "the wildcards combine in too many ways; use fewer rules with [*]"
        raise InvalidMapping(said("too-many-wildcards", template), name="mapping")
    node = _Node()
    for rule in rules:
        if not rule.path:
            node.removed = node.removed or rule.name is None
            node.name, node.rule = rule.name or node.name, rule.text
    for step in () if node.removed else {rule.path[0]: None for rule in rules if rule.path}:
        ahead = [after for rule in rules if (after := rule.after(step))]
        node.below[step] = _compile(ahead, counter)
    node.others = node.below.pop(ANY, None)
    node.renamed = tuple(
        (str(step), below.name, below.rule) for step, below in node.below.items() if below.name and not below.removed
    )
    return node


def _mapped(value: Any, node: _Node, warnings: dict[str, None]) -> Any:
    if isinstance(value, dict):
        return _mapped_object(value, node, warnings)
    if isinstance(value, (list, tuple)):
        return _mapped_array(value, node, warnings)
    return value


def _mapped_object(value: dict[str, Any], node: _Node, warnings: dict[str, None]) -> dict[str, Any]:
    taken = {name: rule for key, name, rule in node.renamed if key in value} if node.renamed else {}
    find, others, result = node.below.get, node.others, {}
    for key, child in value.items():
        below = find(key, others)
        if below is not None and below.removed:
            continue
        if below is not None and below.name:
            result[below.name] = _mapped(child, below, warnings)
        elif key in taken:
            warnings[_REPLACED(path=taken[key], name=key)] = None
        else:
            result[key] = child if below is None else _mapped(child, below, warnings)
    return result


def _mapped_array(value: list[Any] | tuple[Any, ...], node: _Node, warnings: dict[str, None]) -> list[Any]:
    result = []
    for index, child in enumerate(value):
        below = node.below.get(index, node.others)
        if below is None:
            result.append(child)
        elif not below.removed:
            result.append(_mapped(child, below, warnings))
    return result


def _look(value: Any, rules: Sequence[_Rule], depth: int, found: set[Path]) -> None:
    """Find the rules that match something in a value, in one walk for all of them, since customers can write many.

    `depth` is how many steps lead to the value.
    """
    if not rules or not isinstance(value, (dict, list, tuple)) or not value:
        return
    children: dict[Step, Any] = dict(value.items() if isinstance(value, dict) else enumerate(value))
    deeper: defaultdict[Step, list[_Rule]] = defaultdict(list)
    for rule in rules:
        step = rule.path[depth]
        if len(rule.path) > depth + 1:
            deeper[step].append(rule)
        elif step is ANY or step in children:
            found.add(rule.path)
    for step in children if ANY in deeper else deeper.keys() & children.keys():
        _look(children[step], [*deeper.get(step, ()), *deeper.get(ANY, ())], depth + 1, found)
