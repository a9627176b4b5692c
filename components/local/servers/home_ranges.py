"""Which partition has which homes: ranges in the order of the homes' names (topology/homes.py says what those are)."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import TypeAlias

MAIN = "main"

# Homes of an earlier version begin with a letter; beyond the last no home's name is.
LETTERS, BEYOND = "A", "~"
SLOTS = tuple(f"{slot:02d}/" for slot in range(1, 100))

# Where a range begins, and who has it up to where the next one begins; in order, the first one from "".
Ranges: TypeAlias = tuple[tuple[str, str], ...]


def owner(ranges: Ranges, home: str) -> str:
    return next(name for first, name in reversed(ranges) if first <= home)


def with_range(ranges: Ranges, first: str, last: str | None, name: str) -> Ranges:
    """The ranges after `name` has got what lies from `first` up to `last`, which None leaves open."""
    if last is not None and last <= first:
        raise ValueError(f"the range from {first!r} to {last!r} is empty")
    bounds = dict(ranges)
    after = None if last is None else owner(ranges, last)
    kept = {bound: each for bound, each in bounds.items() if bound < first or (last is not None and bound > last)}
    kept[first] = name
    if last is not None and after is not None:
        kept[last] = after
    found: list[tuple[str, str]] = []
    for bound, each in sorted(kept.items()):
        if not found or found[-1][1] != each:
            found.append((bound, each))
    return tuple(found)


def stretches(ranges: Ranges, partitions: Collection[str]) -> list[tuple[str, str]]:
    """What these partitions have, cut where the homes of another slot begin."""
    bounds = sorted({*(first for first, _ in ranges), *SLOTS, LETTERS, BEYOND})
    return [(first, last) for first, last in pairwise(bounds) if owner(ranges, first) in partitions]


def began_with(born: Mapping[str, str], first: str) -> str | None:
    """The partition that began with a home, by how the homes begin that each one began with; None where that is none of
    them. What no partition before 1 began with is of `main`."""
    if first < SLOTS[0] or first >= LETTERS:
        return MAIN
    return next((name for name, begin in born.items() if first.startswith(begin)), None)
