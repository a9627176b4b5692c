"""The ladder: what each phase builds. The plan and the README's table both come from these rows."""

from dataclasses import dataclass
from typing import Literal

from topology.model import Phase, Serving

# Which regions a rule covers: home alone; home and the second region; every region that may hold a copy.
Reach = Literal["home", "pair", "all"]


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One phase. Every rule covers what the phase below it covers, and never less."""

    phase: Phase
    reach: Reach  # regions in use, and regions with a member of `main`
    replicas: Literal["minimal", "full"] | None  # size of the members beyond the origin
    beyond_home: Serving  # what the service does in the regions in use other than home
    cache_beyond_home: bool
    policy: Literal["home", "nearest"]  # where the entry sends users
    quorum: bool  # whether `database.durability: quorum` takes effect
    partitions: bool  # whether there are partitions beside `main`
    buys: str

    @property
    def least_regions(self) -> int:
        return 1 if self.reach == "home" else 2


LADDER: dict[Phase, Rung] = {
    rung.phase: rung
    for rung in (
        Rung(
            phase=Phase.SINGLE_REGION,
            reach="home",
            replicas=None,
            beyond_home=Serving.NONE,
            cache_beyond_home=False,
            policy="home",
            quorum=False,
            partitions=False,
            buys="survives the loss of a zone",
        ),
        Rung(
            phase=Phase.ASYNC_REPLICA,
            reach="pair",
            replicas="minimal",
            beyond_home=Serving.NONE,
            cache_beyond_home=False,
            policy="home",
            quorum=False,
            partitions=False,
            buys="survives the loss of a region: RPO > 0, RTO hours",
        ),
        Rung(
            phase=Phase.ACTIVE_PASSIVE,
            reach="pair",
            replicas="full",
            beyond_home=Serving.STANDBY,
            cache_beyond_home=True,
            policy="home",
            quorum=False,
            partitions=False,
            buys="survives the loss of a region: RTO minutes, tested",
        ),
        Rung(
            phase=Phase.MULTI_REGION_READS,
            reach="all",
            replicas="full",
            beyond_home=Serving.READS,
            cache_beyond_home=True,
            policy="nearest",
            quorum=True,
            partitions=False,
            buys="near reads",
        ),
        Rung(
            phase=Phase.ACTIVE_ACTIVE,
            reach="all",
            replicas="full",
            beyond_home=Serving.FULL,
            cache_beyond_home=True,
            policy="nearest",
            quorum=True,
            partitions=True,
            buys="near writes; needs a declared conflict model",
        ),
    )
}

REACH: dict[Reach, str] = {"home": "home", "pair": "home and the second", "all": "all"}

SERVICE: dict[Serving, str] = {
    Serving.NONE: "full at home",
    Serving.STANDBY: "full at home, warm standby in the second",
    Serving.READS: "reads everywhere, writes go to the writer",
    Serving.FULL: "reads and writes everywhere, each user's writes go to the partition's writer",
}


def members_text(rung: Rung) -> str:
    if rung.partitions:
        return "one writer per partition, replicas where residency allows"
    if rung.replicas is None:
        return "home"
    if rung.replicas == "minimal":
        return "home, and a replica as small as the target allows"
    where = "one in every region" if rung.reach == "all" else "home and the second"
    return f"{where}, equal in size"


def entry_text(rung: Rung) -> str:
    if rung.policy == "home":
        return "home; the standby once promoted" if rung.beyond_home is Serving.STANDBY else "home"
    return "nearest healthy region" + (", home-partition aware" if rung.partitions else "")


def durability_text(rung: Rung) -> str:
    if rung.replicas is None:
        return "multi-zone"
    if not rung.quorum:
        return "async"
    # Between a cloud's regions nothing but asynchronous replication is on offer: topology/checks_clouds.py.
    return "async; on `local` also quorum" + (", per partition" if rung.partitions else ", a setting")


def table_markdown() -> str:
    """The ladder as a table, a column a phase."""
    rungs = [LADDER[phase] for phase in Phase]
    rows = {
        "": [f"{rung.phase.value} {rung.phase.label}" for rung in rungs],
        "regions in use": [REACH[rung.reach] for rung in rungs],
        "members of `main`": [members_text(rung) for rung in rungs],
        "service": [SERVICE[rung.beyond_home] for rung in rungs],
        "cache": [REACH[rung.reach if rung.cache_beyond_home else "home"] for rung in rungs],
        "entry": [entry_text(rung) for rung in rungs],
        "durability of writes": [durability_text(rung) for rung in rungs],
        "what it buys": [rung.buys for rung in rungs],
    }
    lines = [f"| {' | '.join([head, *cells])} |" for head, cells in rows.items()]
    lines.insert(1, "|" + " --- |" * (len(rungs) + 1))
    return "\n".join(lines) + "\n"
