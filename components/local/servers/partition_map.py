"""The map of partitions: which region writes each partition now, and which partition a customer's home belongs to.

Every region has its own copy, which its service reads. Operations own the map: what `up` does is to give a region its
first copy, taken from the newest that any region has, so that a region added after a failover learns of the writer
of the moment and not of the origin.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.local.servers import paths

EVERY_HOME = "*"


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


def ensure(stack: Path, region: str, origins: Mapping[str, str]) -> bool:
    """Give the region its first copy. Whether it had none."""
    path = paths.partition_map(stack, region)
    if is_there(stack, region):
        return False
    known = newest(stack) or {"version": 1, "partitions": {}, "homes": {EVERY_HOME: "main"}}
    partitions = {**{name: {"writer": origin} for name, origin in origins.items()}, **known["partitions"]}
    paths.write_json(path, {**known, "partitions": partitions}, durable=True)
    return True


def is_there(stack: Path, region: str) -> bool:
    """Whether the region has a map that can be read: a damaged one is as good as none."""
    return _is_map(paths.read_json(paths.partition_map(stack, region)))


def _is_map(content: Any) -> bool:
    match content:
        case {"version": int(), "partitions": dict(), "homes": dict()}:
            return True
    return False


def point(stack: Path, regions: Iterable[str], partition: str, writer: str) -> bool:
    """In these regions' copies, the partition is written there from now on. False where all of them say so already.

    They end up with one and the same copy, newer than any of them: services ignore a map that goes back.
    """
    copies = {region: read(stack, region) for region in regions}
    known = [copy for copy in copies.values() if copy is not None]
    if not known:
        return False
    found = max(known, key=lambda copy: copy["version"])
    if found["partitions"].get(partition) != {"writer": writer}:
        found = {
            **found,
            "version": found["version"] + 1,
            "partitions": {**found["partitions"], partition: {"writer": writer}},
        }
    changed = [region for region, copy in copies.items() if copy != found]
    for region in changed:
        paths.write_json(paths.partition_map(stack, region), found, durable=True)
    return bool(changed)


def read(stack: Path, region: str) -> dict[str, Any] | None:
    """The region's own copy."""
    copy = paths.read_json(paths.partition_map(stack, region))
    return copy if _is_map(copy) else None
