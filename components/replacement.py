"""What a change of an argument does to a cloud's resource: replace it, promote it, expose it, or fail.

Each cloud keeps its rows in a replacement.csv, taken from its provider's source, because the docstrings of the SDK
mention few of them. `source` names the package and the function that says so, and one more column holds what the cloud
itself says of the same property. Doubtful cases count as a change: a list in another order, a value that was the
default before.

A `condition` is `[transition|transition] [where argument=pattern] [; words]`, or words alone. Words say when in plain
language and are not weighed: such a row counts whenever the rest of it holds.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

TRANSITIONS = ("empty->set", "set->empty", "set->other", "lowered")


class UnknownTypeError(LookupError):
    """Nobody has looked up yet what replaces resources of this type."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Another argument's value on which a rule depends."""

    argument: str
    pattern: str
    equal: bool

    def holds(self, inputs: Mapping[str, Any]) -> bool:
        value = at(inputs, self.argument.split("."))
        text = "" if is_empty(value) else str(value).lower() if isinstance(value, bool) else str(value)
        return fnmatchcase(text, self.pattern) is self.equal


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One row."""

    type: str
    argument: str  # as registered: camelCase, dotted below the top
    effect: str
    transitions: tuple[str, ...]  # any when there are none
    where: Where | None
    words: str
    word: str  # what the cloud itself says of the same property
    source: str

    def holds(self, old: Any, new: Any, inputs: Mapping[str, Any]) -> bool:
        happened = any(TRANSITION[name](old, new) for name in self.transitions or ("any",))
        return happened and (self.where is None or self.where.holds(inputs))


@dataclass(frozen=True, kw_only=True)
class Consequence:
    """What one changed argument does to one resource."""

    argument: str
    effect: str
    line: str


def is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | Mapping | Sequence) and not value)


def is_lower(old: Any, new: Any) -> bool:
    """By the numbers in both, as in versions. What has no number in it cannot be told and counts as lower."""
    before, after = ([int(part) for part in re.findall(r"\d+", str(value))] for value in (old, new))
    return not before or not after or after < before


def any_change(old: Any, new: Any) -> bool:
    return old != new and not (is_empty(old) and is_empty(new))


TRANSITION: Mapping[str, Callable[[Any, Any], bool]] = {
    "any": any_change,
    "empty->set": lambda old, new: is_empty(old) and not is_empty(new),
    "set->empty": lambda old, new: not is_empty(old) and is_empty(new),
    "set->other": lambda old, new: not is_empty(old) and not is_empty(new) and old != new,
    "lowered": lambda old, new: any_change(old, new) and is_lower(old, new),
}

_TRANSITION = "|".join(re.escape(name) for name in TRANSITIONS)
_CONDITION = re.compile(
    rf"(?P<transitions>(?:(?:{_TRANSITION})(?:\|(?=\S))?)*) ?"
    r"(?:where (?P<argument>[\w.]+?)(?P<operator>!?=)(?P<pattern>\S*))?"
)


def parse_condition(text: str) -> tuple[tuple[str, ...], Where | None, str]:
    weighed, _, words = (part.strip() for part in text.partition(";"))
    found = _CONDITION.fullmatch(weighed)
    if found is None:
        if words or "->" in text or "where " in text:
            raise ValueError(f"condition {text!r} is not `[transition|transition] [where argument=pattern] [; words]`")
        return (), None, weighed
    where = None
    if found["argument"]:
        where = Where(argument=found["argument"], pattern=found["pattern"], equal=found["operator"] == "=")
    return tuple(filter(None, found["transitions"].split("|"))), where, words


def at(value: Any, keys: Sequence[str]) -> Any:
    """What lies at a dotted path; below a list, what its elements have there."""
    if not keys:
        return value
    if isinstance(value, Mapping):
        return at(value.get(keys[0]), keys[1:])
    if isinstance(value, list | tuple):
        return [inner for inner in (at(item, keys) for item in value) if not is_empty(inner)]
    return None


def put_back(old: Any, new: Any, keys: Sequence[str]) -> Any:
    """`new` with the value at `keys` as it is in `old`, which is how ignore_changes works. `*` is every element."""
    key, rest = keys[0], keys[1:]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        kept = dict(new)
        for name in {*old, *new} if key == "*" else {key}:
            if rest and name in old and name in new:
                kept[name] = put_back(old[name], new[name], rest)
            elif not rest and name in old:
                kept[name] = old[name]
            elif not rest:
                kept.pop(name, None)
        return kept
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        kept = list(new)
        for index in range(min(len(old), len(new))):
            if key in ("*", str(index)):
                kept[index] = put_back(old[index], new[index], rest) if rest else old[index]
        return kept
    return new


def path_keys(path: str) -> list[str]:
    """The keys of a property path such as `a.b[0]["c.d"]`."""
    return [quoted or plain for quoted, plain in re.findall(r'\["([^"]*)"\]|([^.\[\]"]+)', path)]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of one cloud."""

    path: Path
    provider_version: str
    effects_known: Mapping[str, str]  # by effect, the end of the sentence "a change of this argument ..."
    stateful: Mapping[str, str]  # by type, what is lost with a resource of it
    column: str  # the one that holds the cloud's own word
    words: tuple[str, ...]

    @cached_property
    def _rules(self) -> Mapping[str, Mapping[str, tuple[Rule, ...]]]:
        return self.parse(self.path.read_text(encoding="utf-8").splitlines())

    def rules(self) -> Mapping[str, Mapping[str, tuple[Rule, ...]]]:
        """By type and argument; an argument has several when its effect depends on how it changes."""
        return self._rules

    def parse(self, lines: Iterable[str]) -> Mapping[str, Mapping[str, tuple[Rule, ...]]]:
        found: dict[str, dict[str, tuple[Rule, ...]]] = {}
        for row in csv.DictReader(lines):
            rule = self._rule(row)
            arguments = found.setdefault(rule.type, {})
            if rule in arguments.get(rule.argument, ()):
                raise ValueError(f"{rule.type} {rule.argument}: the same row twice")
            arguments[rule.argument] = (*arguments.get(rule.argument, ()), rule)
        return MappingProxyType({type_: MappingProxyType(arguments) for type_, arguments in found.items()})

    def _rule(self, row: Mapping[str, str]) -> Rule:
        place = f"{row['type']} {row['argument']}"
        if row["effect"] not in self.effects_known:
            raise ValueError(f"{place}: effect {row['effect']!r} is none of {', '.join(self.effects_known)}")
        if row[self.column] not in self.words:
            raise ValueError(f"{place}: {self.column} {row[self.column]!r} is none of {', '.join(self.words)}")
        if (row["effect"] == "replace") != (not row["condition"]) and row["effect"].startswith("replace"):
            raise ValueError(f"{place}: `replace` has no condition and `replace-if` has one")
        if not row["source"]:
            raise ValueError(f"{place}: a row needs a source")
        transitions, where, words = parse_condition(row["condition"])
        return Rule(
            type=row["type"],
            argument=row["argument"],
            effect=row["effect"],
            transitions=transitions,
            where=where,
            words=words,
            word=row[self.column],
            source=row["source"],
        )

    def effects(self, type_: str) -> Mapping[str, tuple[Rule, ...]]:
        """The rules of one resource type, by argument."""
        try:
            return self._rules[type_]
        except KeyError:
            raise UnknownTypeError(
                f"{self.path.name} says nothing of {type_}: add a row for each argument that forces its replacement, "
                f"from the provider's source at {self.provider_version} or later"
            ) from None

    def consequences(
        self, type_: str, olds: Mapping[str, Any], news: Mapping[str, Any], ignored: Iterable[str] = ()
    ) -> tuple[Consequence, ...]:
        """What becomes of a resource whose inputs change from `olds` to `news`, apart from plain updates.

        `ignored` holds ignore_changes paths in camelCase. Below a reported argument nothing further is reported.
        """
        rules = self.effects(type_)
        for path in ignored:
            news = put_back(olds, news, path_keys(path))
        found: dict[str, list[Consequence]] = {}
        for argument in sorted(rules):
            keys = argument.split(".")
            if any(".".join(keys[:depth]) in found for depth in range(1, len(keys))):
                continue
            old, new = at(olds, keys), at(news, keys)
            for rule in rules[argument]:
                if rule.holds(old, new, news):
                    found.setdefault(argument, []).append(
                        Consequence(argument=argument, effect=rule.effect, line=self._line(rule))
                    )
        return tuple(consequence for argument in found for consequence in found[argument])

    def _line(self, rule: Rule) -> str:
        line = f"{rule.type}: a change of {rule.argument} {self.effects_known[rule.effect]}"
        if rule.effect.startswith("replace") and rule.type in self.stateful:
            line += f" and loses {self.stateful[rule.type]}"
        return f"{line} ({rule.words})" if rule.words else line
