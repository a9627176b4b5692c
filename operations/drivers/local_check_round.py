"""One check as it goes on: who takes part, what was found so far, and how far it has come."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from components.local.servers import home_move, table_walk
from operations.drivers.local_check_seats import Away, Seats, ranges
from operations.drivers.local_ground import Ground
from operations.partitions.check import Group, Suspect, steady
from operations.partitions.check_homes import Range
from operations.partitions.check_report import LISTED, NotCompared
from operations.partitions.move import State

TOLD_SECONDS = 2.0


@dataclass(kw_only=True)
class Round:
    grounds: Mapping[str, Ground]  # of every partition
    chosen: Sequence[str]
    move: Callable[[], State | None]  # the one that did not come to its end
    tell: Callable[[str], None]
    pauses: Sequence[float]
    pool: ThreadPoolExecutor

    seats: dict[str, Seats] = field(default_factory=dict)  # of the partitions whose writer can be asked
    suspects: dict[Suspect, None] = field(default_factory=dict)  # of each trouble as many as are told
    counts: Counter[Group] = field(default_factory=Counter)  # of all of them
    not_compared: list[NotCompared] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    looked: int = 0
    expected: int = 0

    @property
    def folder(self) -> Path:
        return next(iter(self.grounds.values())).folder

    def databases(self) -> dict[str, list[Range]]:
        """What each partition says of its homes."""
        return {name: each.writer.ask(ranges) for name, each in self.seats.items()}

    def steady(self, look: Callable[[], list[Suspect]]) -> list[Suspect]:
        found = steady(look, pauses=self.pauses)
        for each in found:
            if each in self.suspects:  # a damaged row can be met by an index and by its place in the file
                continue
            self.counts[each.group] += 1
            if self.counts[each.group] <= LISTED:
                self.suspects[each] = None
        return found

    def forget(self, partition: str) -> None:
        """What was seen at a server that may not be the one that counts."""
        kept = ("second_writer", "map_writer")
        self.suspects = {each: None for each in self.suspects if each.partition != partition or each.kind in kept}

    def skip(self, what: str, why: str) -> None:
        self.not_compared.append(NotCompared(what=what, why=why))

    def moving(self, move: State) -> None:
        self.under_way.add(
            f"{move.name} takes the homes from {move.first} up to {move.last} from {move.source} to {move.target}: "
            "until it has come to its end they may be at both, and what replicates them is there"
        )

    def expect(self, seats: Seats) -> None:
        """How many rows there are to look at: all against the replicas, and some of them against each other."""
        try:
            tables = seats.writer.ask(table_walk.tables)
        except Away:
            return
        judged = [each.rows for each in tables if each.schema == "public" and each.name in home_move.TABLES]
        self.expected += sum(each.rows for each in tables) + sum(judged)

    def progress(self, count: int) -> None:
        self.looked += count
        now = time.monotonic()
        if now - self.told < TOLD_SECONDS:
            return
        self.told = now
        rate = self.looked / (now - self.began)
        left = f", {max(0, self.expected - self.looked) / rate:.0f} s left" if rate else ""
        self.tell(f"  {self.looked} of about {max(self.expected, self.looked)} rows, {rate:.0f} a second{left}")
