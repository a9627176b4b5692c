"""Real graphs for the rules: what the example stacks register, as they are and with one thing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

from components.built import HIGHEST
from operations import pack
from operations.recording import record
from operations.stack import Stack
from policies.rules import RULES
from policies.rules.resource import Resource
from policies.rules.rule import Violation, violations
from policies.rules.settings import Settings

AWS = "production-aws"
STACKS = {"dev": "local", "staging-aws": "aws", "production-aws": "aws", "staging-gcp": "gcp", "production-gcp": "gcp"}
LADDER = [
    (stack, phase) for stack, target in STACKS.items() if target in HIGHEST for phase in range(1, HIGHEST[target] + 1)
]


@cache
def resources(stack: str, phase: int) -> tuple[Resource, ...]:
    return tuple(pack.resource(item) for item in record(stack, phase=phase))


@cache
def config(stack: str, phase: int) -> dict[str, Any]:
    return pack.configuration(Stack.open(stack, str(phase)).topology)


def settings(stack: str, phase: int, **changed: Any) -> Settings:
    return Settings.of({**config(stack, phase), **changed})


def changed(
    found: Sequence[Resource], type_: str, path: str | None = None, value: Any = None, *, name: str = "", **options: Any
) -> tuple[Resource, ...]:
    """The same resources, with `value` at a dotted path (numbers count lists) of every one of that type whose name
    ends with `name`, or with other `options` (protect, ignore_changes). Raises where there is none.
    """
    result, hits = [], 0
    for each in found:
        if each.type == type_ and each.name.endswith(name):
            hits += 1
            props = put(each.props, path, value) if path is not None else each.props
            each = replace(each, props=props, **options)
        result.append(each)
    assert hits, f"no {type_} *{name}"
    return tuple(result)


def put(props: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`props` with `value` at the path; without what is there where the value is None."""
    copy: Any = deepcopy(dict(props))
    *above, last = path.split(".")
    inner = copy
    for key in above:
        inner = inner[int(key)] if isinstance(inner, list) else inner.setdefault(key, {})
    if isinstance(inner, list):
        inner[int(last)] = value
    elif value is None:
        inner.pop(last, None)
    else:
        inner[last] = value
    return copy


def without(found: Sequence[Resource], type_: str, name: str = "") -> tuple[Resource, ...]:
    kept = tuple(each for each in found if not (each.type == type_ and each.name.endswith(name)))
    assert len(kept) < len(found), f"no {type_} *{name}"
    return kept


def judged(found: Sequence[Resource], by: Settings) -> list[Violation]:
    return violations(RULES, found, by)


def refused(found: Sequence[Violation]) -> list[str]:
    """What stops an `up`; advice is given beside it, such as that a low phase does not reach its objectives yet."""
    return [each.message for each in found if each.rule.level == "mandatory"]


def names(found: Sequence[Resource], by: Settings) -> set[str]:
    return {each.rule.name for each in judged(found, by)}
