"""How long a loss stops writes, and how many seconds of them it costs: RTO and RPO of a plan.

`recovery.csv` has a figure for each means of recovery that a target has, with its basis and source. It is measured
where somebody measured it on that target, and cited where a document or another project's test says so. A source that
gives only an order of magnitude is read at its upper end. Times count from the decision to fail over, because on the
clouds people take it. Drills of the stack's own go before every row of the file; theirs count from the fault.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Literal, TypeAlias, cast

from topology.model import Durability, PartitionPlan, Phase, Target, Topology

Event: TypeAlias = Literal["zone", "writer", "region"]  # what is lost: a zone, the writer's server, or a region
Objective: TypeAlias = Literal["rto", "rpo"]
Basis: TypeAlias = Literal["measured", "cited", "none"]
# How a partition comes back, the least first: not at all, within its zones, from a backup, by a copy where no service
# runs, by a copy that can take over, and by one that has every acknowledged write.
Means: TypeAlias = Literal["none", "zones", "backup", "replica", "standby", "quorum"]
RANK: tuple[Means, ...] = ("none", "zones", "backup", "replica", "standby", "quorum")

UNKNOWN = {
    "none": "nothing is left to recover from",
    "replica": "nobody has measured it: the service is built by raising the phase",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number with where it comes from. `seconds` is None where there is none, and `source` says why."""

    objective: Objective
    event: Event
    seconds: float | None
    basis: Basis
    source: str

    @property
    def text(self) -> str:
        return f"{span(self.seconds)} ({self.basis})" if self.seconds is not None else "none"


@dataclass(frozen=True, kw_only=True)
class Drill:
    """What a drill of this stack's own measured."""

    scenario: str
    day: str  # as 2026-11-21
    phase: Phase
    durability: Durability
    event: Event
    objective: Objective
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Row:
    target: Target
    means: Means
    event: Event
    objective: Objective
    seconds: float
    basis: Basis
    source: str


@cache
def rows() -> tuple[Row, ...]:
    with (Path(__file__).parent / "recovery.csv").open(encoding="utf-8", newline="") as table:
        return tuple(
            Row(
                target=cast("Target", row["target"]),
                means=cast("Means", row["means"]),
                event=cast("Event", row["event"]),
                objective=cast("Objective", row["objective"]),
                seconds=float(row["seconds"]),
                basis=cast("Basis", row["basis"]),
                source=row["source"],
            )
            for row in csv.DictReader(table)
        )


def span(seconds: float) -> str:
    """A time as people say it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


def copies(topology: Topology, partition: PartitionPlan) -> Means:
    """The best that is left of a partition when its origin's region is gone. A plan that has copies has one where the
    writer may be (topology/residency.py)."""
    found: Means = "none"
    for member in (topology.member(name) for name in partition.members):
        region = topology.region(member.region)
        if member.is_origin:
            continue
        able = member.size == "full" and region.has_service
        means: Means = ("quorum" if partition.durability == "quorum" else "standby") if able else "replica"
        found = RANK[max(RANK.index(found), RANK.index(means))]
    if found == "none" and any(backup.region == partition.origin and backup.copy_to for backup in topology.backups):
        return "backup"
    return found


def means(topology: Topology, event: Event) -> Means:
    """How the worst placed partition recovers."""
    if event != "region" and all(member.multi_zone for member in topology.members if member.is_origin):
        return "zones"
    if event == "zone":  # the local target does not simulate zones
        return "none"
    # Where a member is one server, losing it is what losing its region is.
    worst = min(RANK.index(copies(topology, partition)) for partition in topology.partitions)
    return RANK[worst]


def bound(topology: Topology, objective: Objective, event: Event) -> float | None:
    """Managed RPO: commits wait while every other region is further behind. It needs three members everywhere
    (components/aws/parameters.py)."""
    if topology.aws is None or objective != "rpo" or event != "region":
        return None
    everywhere = all(len(partition.members) >= 3 for partition in topology.partitions)
    return topology.aws.rpo_seconds if everywhere else None


def figure(topology: Topology, event: Event, objective: Objective, drills: Iterable[Drill] = ()) -> Figure:
    """What is known of one objective; drills of this phase and durability go before the file."""
    kept = {partition.durability for partition in topology.partitions}
    own = [
        each
        for each in drills
        if (each.phase, {each.durability}, each.event, each.objective) == (topology.phase, kept, event, objective)
    ]
    if own:
        return _measured(own)
    how = means(topology, event)
    recorded = "zone" if how == "zones" else "region"
    for row in rows():
        if (row.target, row.means, row.event, row.objective) == (topology.target, how, recorded, objective):
            limit = bound(topology, objective, event)
            source = row.source if limit is None else "aws.database.rpo_seconds: Aurora's rds.global_db_rpo holds it"
            seconds = row.seconds if limit is None else float(limit)
            return Figure(objective=objective, event=event, seconds=seconds, basis=row.basis, source=source)
    return Figure(
        objective=objective,
        event=event,
        seconds=None,
        basis="none",
        source=UNKNOWN.get(how, f"{topology.target} has no figure for it"),
    )


def _measured(drills: Sequence[Drill]) -> Figure:
    """The worst of them is what may be promised."""
    found = [each.seconds for each in drills]
    one, count = drills[0], len(drills)
    said = f"{count} drills, median {median(found):.2f} s, worst {max(found):.2f} s" if count > 1 else "1 drill"
    since = ", from the fault, detection included" if one.objective == "rto" else ""
    names = ", ".join(sorted({each.scenario for each in drills}))
    day = max(each.day for each in drills)
    return Figure(
        objective=one.objective,
        event=one.event,
        seconds=max(found),
        basis="measured",
        source=f"{said} of this stack ({names}){since}; {'the last ' if count > 1 else ''}on {day}",
    )


@dataclass(frozen=True, kw_only=True)
class Held:
    """An objective beside what the plan reaches when a region is lost. `met` is None where nothing was asked."""

    name: str
    asked: int | None
    reached: Figure

    @property
    def met(self) -> bool | None:
        if self.asked is None:
            return None
        return self.reached.seconds is not None and self.reached.seconds <= self.asked


def held(topology: Topology, drills: Sequence[Drill] = ()) -> tuple[Held, Held]:
    """RTO and RPO for the loss of a region, which is what the settings' objectives are about."""
    asked = topology.objectives
    return (
        Held(name="RTO", asked=asked.rto_seconds, reached=figure(topology, "region", "rto", drills)),
        Held(name="RPO", asked=asked.rpo_seconds, reached=figure(topology, "region", "rpo", drills)),
    )


def table_markdown() -> str:
    """The figures as a table."""
    lines = ["| target | means | lost | objective | figure | source |", "|" + " --- |" * 6]
    lines += [
        f"| {row.target} | {row.means} | {row.event} | {row.objective.upper()} | {span(row.seconds)}, {row.basis} "
        f"| {row.source} |"
        for row in rows()
    ]
    return "\n".join(lines) + "\n"
