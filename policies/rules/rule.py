"""What a rule is, and how rules are held against resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .resource import NotKnownError, Resource
from .settings import Settings

Level: TypeAlias = Literal["mandatory", "advisory"]
ResourceCheck: TypeAlias = Callable[[Resource, Settings], Iterable[str]]
StackCheck: TypeAlias = Callable[[Sequence[Resource], Settings], Iterable[tuple[Resource | None, str]]]


@dataclass(frozen=True, kw_only=True)
class _Rule:
    name: str  # kebab-case, unique
    theme: str
    level: Level
    reason: str  # why: one sentence
    mend: str  # what to do about it: one sentence


@dataclass(frozen=True, kw_only=True)
class ResourceRule(_Rule):
    """Looks at one resource. Each string that `check` yields names a value and what is wrong with it."""

    check: ResourceCheck
    types: frozenset[str] = field(default_factory=frozenset)  # the types it is asked about; empty for all


@dataclass(frozen=True, kw_only=True)
class StackRule(_Rule):
    """Looks at all resources at once. What `check` yields may be about one of them or, with None, about the stack."""

    check: StackCheck


Rule: TypeAlias = ResourceRule | StackRule


def rule(name: str, check: ResourceCheck, types: Iterable[str], reason: str, mend: str) -> ResourceRule:
    """A mandatory one. Names begin with their theme."""
    return ResourceRule(
        name=name,
        theme=theme_of(name),
        level="mandatory",
        reason=reason,
        mend=mend,
        check=check,
        types=frozenset(types),
    )


def stack_rule(name: str, check: StackCheck, reason: str, mend: str, level: Level = "mandatory") -> StackRule:
    return StackRule(name=name, theme=theme_of(name), level=level, reason=reason, mend=mend, check=check)


def theme_of(name: str) -> str:
    return name.partition("-")[0]


@dataclass(frozen=True, kw_only=True)
class Violation:
    rule: Rule
    resource: Resource | None
    what: str

    @property
    def message(self) -> str:
        """Resource, value, mend."""
        name = self.resource.name if self.resource is not None else "the stack"
        return f"{name}: {self.what}. {self.rule.mend}"


def judge(rule: ResourceRule, resource: Resource, settings: Settings) -> Iterator[Violation]:
    """What one rule finds at one resource. It ends where a value is not known yet."""
    if rule.types and resource.type not in rule.types:
        return
    try:
        for what in rule.check(resource, settings):
            yield Violation(rule=rule, resource=resource, what=what)
    except NotKnownError:
        return


def judge_stack(rule: StackRule, resources: Sequence[Resource], settings: Settings) -> Iterator[Violation]:
    try:
        for resource, what in rule.check(resources, settings):
            yield Violation(rule=rule, resource=resource, what=what)
    except NotKnownError:
        return


def violations(rules: Iterable[Rule], resources: Sequence[Resource], settings: Settings) -> list[Violation]:
    """Everything that the rules find, rule by rule."""
    found: list[Violation] = []
    for rule in rules:
        if isinstance(rule, StackRule):
            found += judge_stack(rule, resources, settings)
        else:
            for resource in resources:
                found += judge(rule, resource, settings)
    return found
