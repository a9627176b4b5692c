"""Which failures a plan lives through, and how: what a step up the ladder buys, scenario by scenario."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from topology.model import Serving, Topology
from topology.recovery import Drill, Event, Figure, figure, means

Cover: TypeAlias = Literal["covered", "partly", "not covered"]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    name: str
    cover: Cover
    how: str
    rto: Figure | None = None
    rpo: Figure | None = None


Verdict: TypeAlias = tuple[Cover, str]


def zone(topology: Topology) -> Verdict:
    if means(topology, "zone") == "zones":
        return "covered", "database, cache and service stand in several zones, and the cloud moves on by itself"
    return "not covered", "zones are not simulated: a region is one set of servers on this machine"


def region(topology: Topology) -> Verdict:
    how = means(topology, "region")
    if how == "none":
        return "not covered", "no copy of the data lies in another region"
    if how == "backup":
        return "partly", "the data is restored from backups in another region; everything else is built anew"
    if how == "replica":
        return "partly", "the data has a copy in another region; the service there is built by raising the phase"
    if topology.entry.policy == "home":
        return "covered", "operations promote the standby and send users there"
    return "covered", "the entry sends users to the next region by itself; operations move the writer"


def writer(topology: Topology) -> Verdict:
    how = means(topology, "writer")
    if how == "zones":
        return "covered", "another instance or zone of the same region takes over by itself"
    if how in ("standby", "quorum"):
        return "covered", "a member is one server: operations fail over to another region"
    if how == "replica":
        return "partly", "a member is one server; its copy in another region has the data, and no service beside it"
    return "not covered", "a member is one server, and no other can take over; `up` starts it again where its data is"


def cache(topology: Topology) -> Verdict:
    return "covered", "each region has its own, and holds nothing that is not elsewhere; reads go to the database"


def entry(topology: Topology) -> Verdict:
    if topology.target == "local":
        return "not covered", "the entry is one process on this machine; `up` starts it again"
    if topology.target == "gcp":
        return "covered", "one address that Google's proxies answer all over the world"
    if topology.aws is not None and topology.aws.entry == "global-accelerator":
        return "covered", "static addresses that the edge of AWS answers all over the world"
    return "covered", "Route 53 answers and checks health from all over the world; a change waits for us-east-1"


def deploy(topology: Topology) -> Verdict:
    if topology.target == "local":
        return "not covered", "the service is restarted in place, and the version before is not kept"
    first = {
        "aws": "a version that does not become healthy is rolled back by ECS",
        "gcp": "a version that does not become ready gets no users",
    }[topology.target]
    return "partly", f"{first}; one that does, and answers wrongly, is in every region at once"


def parted(topology: Topology) -> Verdict:
    serving = [region for region in topology.regions if region.serving in (Serving.READS, Serving.FULL)]
    if len(topology.regions_in_use) == 1:
        return "covered", "one region: nothing between regions is needed"
    if len(serving) == 1:
        return "covered", "users go on at home; the copy falls behind and catches up; nothing promotes itself"
    wait = "writes that cannot reach their writer fail until the link is back"
    if any(partition.durability == "quorum" for partition in topology.partitions):
        return "partly", f"every region goes on reading, older data where cut off; {wait}; a writer cut off alone waits"
    return "partly", f"every region goes on reading, older data where cut off; {wait}; nothing promotes itself"


JUDGES: dict[str, Callable[[Topology], Verdict]] = {
    "loss of a zone": zone,
    "loss of a region": region,
    "loss of the database writer": writer,
    "loss of a cache": cache,
    "loss of the entry": entry,
    "a bad deploy": deploy,
    "a partition of the network": parted,
}


# The scenarios that have an RTO and an RPO of their own.
EVENTS: dict[str, Event] = {
    "loss of a zone": "zone",
    "loss of a region": "region",
    "loss of the database writer": "writer",
}


def scenarios(topology: Topology, drills: Sequence[Drill] = ()) -> tuple[Scenario, ...]:
    found: list[Scenario] = []
    for name, judge in JUDGES.items():
        cover, how = judge(topology)
        event = EVENTS.get(name) if cover != "not covered" else None
        found.append(
            Scenario(
                name=name,
                cover=cover,
                how=how,
                rto=figure(topology, event, "rto", drills) if event else None,
                rpo=figure(topology, event, "rpo", drills) if event else None,
            )
        )
    return tuple(found)
