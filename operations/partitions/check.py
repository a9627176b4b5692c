"""What a comparison of partitions and their members looks for, when it believes what it saw, and how that is mended.

Nothing is locked and no snapshot outlives one statement, so two servers are never asked at the same moment. What looks
wrong is therefore looked at again, and only what was the same each time is told (`steady`).
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "row_differs",
    "second_writer",
    "map_writer",
    "outside_home",
    "left_behind",
    "other_home",
    "order_without_customer",
    "sequence_twice",
    "counter_behind",
    "orders_lacking",
    "order_uncancelled",
    "orphaned_key",
    "customer_in_two",
    "directory_lacks",
    "directory_contradicts",
    "homes_of_two",
    "homes_of_none",
    "homes_astray",
    "move_note",
    "map_contradicts",
    "map_old",
    "slot_left",
    "publication_left",
    "subscription_left",
]

Group: TypeAlias = tuple[Kind, str, str, str, str]

PAUSES = (0.2, 1.0)  # seconds between a look and the next; longer than a replica is behind as a rule

STATEMENT_SECONDS = 0.25  # what one statement should take: short enough that nobody waits for it
SMALLEST, LARGEST = 100, 20_000


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """One thing that looks wrong. Two looks that saw the same have equal ones."""

    kind: Kind
    partition: str
    member: str = ""  # the server that shows it, and where it is mended
    other: str = ""  # another partition or region that it is about
    table: str = ""
    key: tuple[tuple[str, str], ...] = ()  # columns and their values
    home: str = ""
    value: str = ""  # what was seen there, where that tells two looks apart

    @property
    def group(self) -> Group:
        """What is told together."""
        return self.kind, self.partition, self.member, self.other, self.table


def steady(
    look: Callable[[], Collection[Suspect]],
    *,
    pauses: Sequence[float] = PAUSES,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Suspect]:
    """What every look saw. Most of the time the first one sees nothing, and there is no second."""
    found = list(look())
    for pause in pauses:
        if not found:
            return []
        sleep(pause)
        again = set(look())
        found = [each for each in found if each in again]
    return found


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row as a server has it: a sum over its values, and the transactions that wrote it and may have ended it."""

    hash: str
    xmin: str
    xmax: str


Rows: TypeAlias = Mapping[tuple[str, ...], Row]

MISSING = "missing"


def differing(before: Rows, replica: Rows, after: Rows, in_flight: Collection[str]) -> dict[tuple[str, ...], str]:
    """The keys whose row at a replica is neither the writer's from before nor the one from after, with what the replica
    has. It was asked in between, when it had replayed what the writer had before.

    So where the writer's row did not change, the replica's must be the same. Where it did, the replica may have had one
    of the versions between, and then it has another one the next time: what `steady` keeps are rows that stay as they
    are at the replica although the writer has others. A transaction that waits for its standbys is visible at a replica
    before the writer shows it; those are `in_flight`.
    """
    found: dict[tuple[str, ...], str] = {}
    for key in before.keys() | replica.keys() | after.keys():
        there = replica.get(key)
        writers = [before.get(key), after.get(key)]
        if (there.hash if there else None) in [each.hash if each else None for each in writers]:
            continue
        touched = {there.xmin} if there else set()
        touched |= {each.xmax for each in writers if each}
        if not touched & set(in_flight):
            # With its transaction, because a row can come to hold again what it held before.
            found[key] = f"{there.hash} of {there.xmin}" if there else _missing(*writers)
    return found


def _missing(before: Row | None, after: Row | None) -> str:
    """Unlike a version of a row, that there is none can come twice. It is the same only if the writer's row is."""
    if before is not None and after is not None and before.xmin == after.xmin:
        return MISSING
    return f"{MISSING} beside {after.hash if after else None}"


def next_size(size: int, seconds: float) -> int:
    """How many rows to ask for next, when the last `size` rows took so long."""
    wanted = size * STATEMENT_SECONDS / max(seconds, 0.001)
    return int(min(max(wanted, SMALLEST, size / 4), LARGEST, size * 2))
