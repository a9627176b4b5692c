"""The partition map: which region writes a partition, and which partition holds a home's data.

A home reads like `01/us-east/7f`: the slot of the partition that served the customer's region when the customer was
first seen, that region, and one of 256 parts of its customers. It is a name, and says nothing of where the data are by
now: that is for the ranges to say.
"""

import asyncio
import json
import logging
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("service.partitions")

MAIN = "main"


@dataclass(frozen=True, kw_only=True)
class PartitionMap:
    version: int
    writers: Mapping[str, str]  # partition -> region
    firsts: tuple[str, ...]  # where each range of homes begins, in order; the first one with ""
    owners: tuple[str, ...]  # the partition of each range
    newcomers: Mapping[str, str]  # user region -> how the homes of new customers there begin
    # From where to where the homes go that mean nothing any more: their partition was given up with its customers.
    given_up: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> "PartitionMap":
        """Raises ValueError with the reason when the data is not a whole and consistent map."""
        document: Any = json.loads(data)
        try:
            version = document["version"]
            writers = {name: entry["writer"] for name, entry in document["partitions"].items()}
            # Maps of before there were several partitions have no ranges.
            ranges = [(first, owner) for first, owner in document.get("ranges", [["", MAIN]])]
            newcomers = dict(document.get("newcomers", {}))
            given_up = tuple((first, last) for first, last in document.get("given_up", []))
        except (KeyError, TypeError, AttributeError, ValueError) as fault:
            raise ValueError(f"not a partition map ({type(fault).__name__}: {fault})") from None
        if not isinstance(version, int) or isinstance(version, bool):
            raise ValueError("the version is not a whole number")
        if not all(isinstance(region, str) and region for region in writers.values()):
            raise ValueError("a partition has no writer")
        if not all(
            isinstance(word, str) for word in (*(w for pair in (*ranges, *given_up) for w in pair), *newcomers.values())
        ):
            raise ValueError("a range or the beginning of a home is no text")
        firsts = [first for first, _ in ranges]
        if firsts[:1] != [""] or firsts != sorted(set(firsts)):
            raise ValueError("the ranges do not cover all homes in order")
        unknown = sorted({owner for _, owner in ranges} - set(writers))
        if unknown or MAIN not in writers:
            raise ValueError(f"ranges name unknown partitions {unknown}" if unknown else f"there is no {MAIN}")
        return cls(
            version=version,
            writers=writers,
            firsts=tuple(firsts),
            owners=tuple(owner for _, owner in ranges),
            newcomers=newcomers,
            given_up=given_up,
        )

    def partition_of(self, home: str) -> str:
        return self.owners[bisect_right(self.firsts, home) - 1]

    def is_given_up(self, home: str) -> bool:
        return any(first <= home < last for first, last in self.given_up)

    def first_home(self, region: str, digest: bytes) -> str:
        """The home of a customer who is first seen in that region."""
        return f"{self.newcomers.get(region, f'00/{region}/')}{digest[0]:02x}"

    def near(self, region: str) -> str:
        """The partition that new customers in a region get, and most of those there have."""
        return self.partition_of(self.newcomers.get(region, f"00/{region}/"))


class WriterMovedError(Exception):
    """Another region writes the partition than the one that was asked."""


class MapFile:
    """The map in force. Operations replace the file at a failover; a damaged or older file changes nothing."""

    def __init__(self, path: Path, *, on_change: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._on_change = on_change
        self._seen: tuple[int, int, int] | None = None
        self._change: asyncio.Future[None] | None = None
        self.current: PartitionMap | None = None

    def refresh(self) -> None:
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen == self._seen:
                return
            found = PartitionMap.parse(self._path.read_bytes())
        except (OSError, ValueError) as fault:
            if isinstance(fault, OSError):
                seen = (0, 0, 0)
                if seen == self._seen:
                    return
            log.error("the partition map %s cannot be used, the last good one stays in force: %s", self._path, fault)
            self._seen = seen  # pyright: ignore[reportPossiblyUnboundVariable]
            return
        self._seen = seen
        if self.current is not None and found.version < self.current.version:
            log.warning(
                "the partition map went back from version %d to %d; it is ignored", self.current.version, found.version
            )
        elif found != self.current:
            self.current = found
            log.info("partition map version %d: writers %s", found.version, dict(found.writers))
            self._on_change()
            if self._change is not None:
                change, self._change = self._change, None
                change.set_result(None)

    async def moved(self, partition: str, writer: str) -> None:
        """Return once the map says that another region than `writer` writes the partition."""
        while self.current is None or self.current.writers.get(partition) == writer:
            self._change = self._change or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._change)

    async def unless_moved(self, partition: str, writer: str, asked: Coroutine[Any, Any, T]) -> T:
        """The writer's answer. A region that is lost does not refuse, it is silent: nobody waits for it once another
        one writes."""
        answer = asyncio.ensure_future(asked)
        moved = asyncio.ensure_future(self.moved(partition, writer))
        try:
            await asyncio.wait((answer, moved), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise WriterMovedError
            return answer.result()
        finally:
            answer.cancel()
            moved.cancel()

    async def watch(self) -> None:
        """A stat every 20 ms, which takes some microseconds: no watch descriptor, and the same on every system."""
        while True:
            await asyncio.sleep(0.02)
            self.refresh()
