"""Rules as tables: which value of which type must hold what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .resource import UNKNOWN, Resource, is_empty
from .rule import Level, ResourceRule
from .settings import Settings


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What a value must be. `holds` is never asked about an unknown value; None stands for one that is missing."""

    words: Callable[[Settings], str]  # ends the sentence "... is 3, and must be"
    holds: Callable[[Any, Settings], bool]


def fixed(words: str, holds: Callable[[Any], bool]) -> Expect:
    return Expect(words=lambda _: words, holds=lambda value, _: holds(value))


TRUE = fixed("true", lambda value: value is True or value == "true")
FALSE = fixed("false", lambda value: value is False or value == "false")
NOT_TRUE = fixed("false or left out", lambda value: value in (None, False, "false", ""))
GIVEN = fixed("given", lambda value: not is_empty(value))
ABSENT = fixed("left out", is_empty)


def one_of(*allowed: Any) -> Expect:
    return fixed(" or ".join(map(str, allowed)), lambda value: value in allowed)


def not_one_of(*forbidden: Any) -> Expect:
    return fixed(f"anything but {' or '.join(map(str, forbidden))}", lambda value: value not in forbidden)


def at_least(minimum: Callable[[Settings], float], unit: str = "") -> Expect:
    return Expect(
        words=lambda settings: f"at least {minimum(settings):g}{unit and f' {unit}'}",
        holds=lambda value, settings: number(value) is not None and number(value) >= minimum(settings),  # type: ignore[operator]
    )


def number(value: Any) -> float | None:
    """Also from "7", "7d" and "604800s", which is how the clouds write some."""
    try:
        return float(value.rstrip("sd") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table."""

    type: str
    path: str
    expect: Expect
    where: Callable[[Resource], bool] = lambda _: True  # the resources that it speaks of

    def faults(self, resource: Resource, settings: Settings) -> Iterator[str]:
        if not self.where(resource):
            return
        for value in resource.values(self.path):
            if value is not UNKNOWN and not self.expect.holds(value, settings):
                yield f"{self.path} is {shown(value)}, and must be {self.expect.words(settings)}"


def row(type_: str, path: str, expect: Expect, where: Callable[[Resource], bool] = lambda _: True) -> Row:
    return Row(type=type_, path=path, expect=expect, where=where)


def shown(value: Any) -> str:
    if value is None:
        return "not given"
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)


def table_rule(*, name: str, theme: str, level: Level, reason: str, mend: str, rows: Iterable[Row]) -> ResourceRule:
    by_type: Mapping[str, list[Row]] = {}
    for each in rows:
        by_type.setdefault(each.type, []).append(each)  # type: ignore[attr-defined]

    def check(resource: Resource, settings: Settings) -> Iterator[str]:
        for each in by_type.get(resource.type, ()):
            yield from each.faults(resource, settings)

    return ResourceRule(
        name=name, theme=theme, level=level, reason=reason, mend=mend, check=check, types=frozenset(by_type)
    )
