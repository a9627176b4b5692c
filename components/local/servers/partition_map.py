"""The map of partitions: which region writes each partition now, and which partition has which homes.

Every region has its own copy, which its service reads (service/partitions.py says what stands in it). Operations own
the map. `up` gives a region its first copy, taken from the newest that any region has, so that a region added after a
failover learns of the writer of the moment and not of the origin; it adds partitions that are new, with the homes that
a new partition begins with; it says which homes new customers get; and it forgets the partitions that are given up.
It changes no writer of the others and moves no home of theirs.
"""

import fcntl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.local.servers import paths
from components.local.servers.errors import ServerFault
from components.local.servers.home_ranges import MAIN, Ranges, began_with, stretches, with_range


def newest(stack: Path) -> dict[str, Any] | None:
    """The map with the highest version among the regions' copies; None while no region has one."""
    copies: list[Any] = [
        copy for path in (stack / "regions").glob("*/partitions.json") if _is_map(copy := paths.read_json(path))
    ]
    return max(copies, key=lambda copy: copy["version"], default=None)


def writers(stack: Path, origins: Mapping[str, str]) -> dict[str, str]:
    """Partition -> the region that writes it now: the origin for a partition that no map knows yet."""
    known = newest(stack)
    held = {name: entry["writer"] for name, entry in known["partitions"].items()} if known else {}
    return {name: held.get(name, origin) for name, origin in origins.items()}


def ensure(
    stack: Path, region: str, origins: Mapping[str, str], born: Mapping[str, tuple[str, str]] | None = None
) -> bool:
    """Give the region its first copy, and a copy with the partitions that its own lacks. Whether it lacked any.

    `born`: from where to where the homes go that each partition begins with; `main` alone needs none. All regions come
    to the same copy, in whatever order. A partition that the settings no longer have stays in it, until `forget`.
    """
    born = born or {MAIN: ("", "")}
    with _alone(stack):
        own = read(stack, region)
        if own is not None and origins.keys() <= own["partitions"].keys():
            return False
        found = newest(stack) or {"version": 0, "partitions": {}}
        missing = sorted(origins.keys() - found["partitions"].keys())
        for name in missing:
            if name != MAIN and born[name][0] in found.get("retired", []):
                raise ServerFault(
                    f"the partition {name} would begin with the homes {born[name][0]}…, which a partition had that was "
                    "given up; customers may still be known by them. Give it a `slot` that none had"
                )
        if missing:
            held = ranges(found)
            for name in missing:
                if name != MAIN:
                    held = with_range(held, *born[name], name)
            found = {
                **found,
                "version": found["version"] + 1,
                "partitions": {**found["partitions"], **{name: {"writer": origins[name]} for name in missing}},
                "ranges": held,
                "newcomers": found.get("newcomers", {}),
                "born": {**found.get("born", {}), **{name: born[name][0] for name in missing}},
            }
        paths.write_json(paths.partition_map(stack, region), found, durable=True)
        return True


def welcome(stack: Path, regions: Iterable[str], newcomers: Mapping[str, str]) -> bool:
    """In these regions' copies, the homes of new customers begin so from now on. False where all of them say so."""
    return _change(stack, regions, lambda copy: {**copy, "newcomers": dict(newcomers)})


def give(stack: Path, regions: Iterable[str], first: str, last: str, partition: str) -> bool:
    """In these regions' copies, the homes from `first` up to `last` are that partition's from now on."""

    def given(copy: dict[str, Any]) -> dict[str, Any]:
        return {**copy, "ranges": [list(each) for each in with_range(ranges(copy), first, last, partition)]}

    return _change(stack, regions, given)


def forget(stack: Path, regions: Iterable[str], kept: Iterable[str] = ()) -> bool:
    """In these regions' copies, only `main` and the partitions that are kept are left from now on.

    Homes that one of these began with are its own again; who had the others is not known any more (`given_up`), and no
    partition ever begins with such homes again (`retired`): somebody may still remember them.
    """
    staying = {MAIN, *kept}

    def without(copy: dict[str, Any]) -> dict[str, Any]:
        gone = copy["partitions"].keys() - staying
        if not gone:
            return copy
        born = copy.get("born", {})
        left = {name: first for name, first in born.items() if name in staying}
        left_over, lost = ranges(copy), given_up(copy)
        for first, last in stretches(left_over, gone):
            name = began_with(left, first)
            left_over = with_range(left_over, first, last, name or MAIN)
            if name is None:
                lost.append((first, last))
        return {
            **copy,
            "partitions": {name: entry for name, entry in copy["partitions"].items() if name in staying},
            "ranges": [list(each) for each in left_over],
            "born": left,
            "retired": sorted({*copy.get("retired", []), *(born[name] for name in gone if name in born)}),
            "given_up": [list(each) for each in sorted(lost)],
        }

    return _change(stack, regions, without)


def is_without_others(stack: Path, region: str, kept: Iterable[str]) -> bool:
    """Whether the region's copy has no partition but these."""
    copy = read(stack, region)
    return copy is not None and copy["partitions"].keys() <= {MAIN, *kept}


def given_up(copy: Mapping[str, Any]) -> list[tuple[str, str]]:
    """From where to where the homes go whose customers were given up."""
    return [(first, last) for first, last in copy.get("given_up", [])]


def welcomes(stack: Path, region: str, newcomers: Mapping[str, str]) -> bool:
    copy = read(stack, region)
    return copy is not None and copy.get("newcomers", {}) == newcomers


def ranges(copy: Mapping[str, Any]) -> Ranges:
    """Of a map from before there were several partitions: `main` has every home."""
    return tuple((first, owner) for first, owner in copy.get("ranges", [["", MAIN]]))


def retired(stack: Path) -> frozenset[str]:
    """How the homes begin that partitions had which were given up."""
    return frozenset((newest(stack) or {}).get("retired", []))


def is_there(stack: Path, region: str) -> bool:
    """Whether the region has a map that can be read: a damaged one is as good as none."""
    return _is_map(paths.read_json(paths.partition_map(stack, region)))


def _is_map(content: Any) -> bool:
    match content:
        case {"version": int(), "partitions": dict()}:
            return True
    return False


def point(stack: Path, regions: Iterable[str], partition: str, writer: str) -> bool:
    """In these regions' copies, the partition is written there from now on. False where all of them say so already."""
    return _change(
        stack,
        regions,
        lambda copy: {**copy, "partitions": {**copy["partitions"], partition: {"writer": writer}}},
    )


def _change(stack: Path, regions: Iterable[str], change: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
    """They end up with one and the same copy, newer than any of them: services ignore a map that goes back."""
    with _alone(stack):
        copies = {region: read(stack, region) for region in regions}
        known = [copy for copy in copies.values() if copy is not None]
        if not known:
            return False
        found = max(known, key=lambda copy: copy["version"])
        if (wanted := change(found)) != found:
            found = {**wanted, "version": found["version"] + 1}
        changed = [region for region, copy in copies.items() if copy != found]
        for region in changed:
            paths.write_json(paths.partition_map(stack, region), found, durable=True)
        return bool(changed)


@contextmanager
def _alone(stack: Path) -> Iterator[None]:
    """A failover may fall into a move of homes, and neither may undo what the other writes."""
    with (paths.make_folder(stack) / "partitions.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read(stack: Path, region: str) -> dict[str, Any] | None:
    """The region's own copy."""
    copy = paths.read_json(paths.partition_map(stack, region))
    return copy if _is_map(copy) else None
