"""The partition map: which region writes a partition, and which partition holds a home's data."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("service.partitions")


@dataclass(frozen=True, kw_only=True)
class PartitionMap:
    version: int
    writers: Mapping[str, str]  # partition -> region
    homes: Mapping[str, str]  # home region -> partition; "*" stands for every other

    @classmethod
    def parse(cls, data: bytes) -> "PartitionMap":
        """Raises ValueError with the reason when the data is not a whole and consistent map."""
        document: Any = json.loads(data)
        try:
            version = document["version"]
            writers = {name: entry["writer"] for name, entry in document["partitions"].items()}
            homes = dict(document["homes"])
        except (KeyError, TypeError, AttributeError, ValueError) as fault:
            raise ValueError(f"not a partition map ({type(fault).__name__}: {fault})") from None
        if not isinstance(version, int) or isinstance(version, bool):
            raise ValueError("the version is not a whole number")
        if not all(isinstance(region, str) and region for region in writers.values()):
            raise ValueError("a partition has no writer")
        unknown = [partition for partition in homes.values() if partition not in writers]
        if unknown or "*" not in homes:
            raise ValueError(f"homes name unknown partitions {unknown}" if unknown else 'homes have no "*"')
        return cls(version=version, writers=writers, homes=homes)

    def partition_of(self, home: str) -> str:
        return self.homes.get(home) or self.homes["*"]


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

    async def watch(self) -> None:
        """A stat every 20 ms, which takes some microseconds: no watch descriptor, and the same on every system."""
        while True:
            await asyncio.sleep(0.02)
            self.refresh()
