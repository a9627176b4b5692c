"""What each step of a change does to users while it goes on, and what of it no other change takes back."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from topology.catalogue import catalogue
from topology.distances import link
from topology.model import LinkPlan, Serving, Topology
from topology.transitions import Step

Users: TypeAlias = Literal["none", "reads slower", "writes slower", "writes paused"]

# How long a writer's commits wait for a partition's customers to be moved: facts of the local target's prototype.
MOVE = "later, when operations move its customers, their writes pause for 0.15 to 0.36 s"
MOVE_SOURCE = "measured: prototype of the local target on loopback, 4 runs"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """`undo` is empty where raising or lowering a setting takes the step back."""

    users: Users
    estimate: str = ""
    source: str = ""
    undo: str = ""


def between(topology: Topology, one: str, other: str) -> LinkPlan:
    known = catalogue(topology.target)
    return link(known[one], known[other])


def milliseconds(path: LinkPlan) -> str:
    return f"{path.rtt_ms:g} ms"


def network(step: Step, topology: Topology) -> Effect:
    if step.removes:
        kept = {
            "aws": f"The keys of {step.subject} are deleted 30 days later, and what they sealed with them.",
            "gcp": f"The key ring of {step.subject} stays for ever; destroyed keys take what they sealed with them.",
            "local": "",
        }[topology.target]
        return Effect(users="none", undo=kept)
    slot = topology.region(step.subject).slot
    ring = " Its key ring is never deleted." if topology.target == "gcp" else ""
    return Effect(users="none", undo=f"Slot {slot} belongs to {step.subject} for ever.{ring}")


def vault(step: Step, topology: Topology) -> Effect:
    if step.removes:
        return Effect(users="none", undo=f"The backups in the vault of {step.subject} cannot be brought back.")
    return Effect(users="none")


def member(step: Step, topology: Topology) -> Effect:
    if step.removes:
        text = f"{step.subject} is gone with its copy of the data; a new one is made from the writer."
        if topology.target == "gcp":
            text += " Its name cannot be used for a week."
        return Effect(users="none", undo=text)
    partition = topology.partition(topology.member(step.subject).partition)
    limit = topology.aws.rpo_seconds if topology.aws else None
    if limit is not None and partition.members.index(step.subject) == 2:
        return Effect(
            users="writes paused",
            estimate=f"from the third member on, commits wait while every other region is over {limit} s behind",
            source="cited: Aurora's rds.global_db_rpo, set by aws.database.rpo_seconds",
        )
    return Effect(users="none")


def durability(step: Step, topology: Topology) -> Effect:
    if step.removes:
        return Effect(users="none")
    partition = topology.partition(step.subject)
    others = [topology.member(name).region for name in partition.members if name != partition.members[0]]
    path = min((between(topology, partition.origin, region) for region in others), key=lambda path: path.rtt_ms)
    return Effect(
        users="writes slower",
        estimate=f"{milliseconds(path)} a commit, the round trip from {path.source} to {path.target}",
        source=path.provenance,
    )


def unnoticed(step: Step, topology: Topology) -> Effect:
    return Effect(users="none")


def partition(step: Step, topology: Topology) -> Effect:
    if step.removes:
        return Effect(users="none", undo=f"What only {step.subject} held is lost.")
    slot = topology.partition(step.subject).slot
    moved = topology.target == "local"  # nothing here moves customers on a cloud
    return Effect(
        users="none",
        estimate=MOVE if moved else "",
        source=MOVE_SOURCE if moved else "",
        undo=f"Slot {slot} belongs to {step.subject} for ever; closing it loses what its customers wrote.",
    )


def traffic(step: Step, topology: Topology) -> Effect:
    takers = [region.name for region in topology.regions if region.serving in (Serving.READS, Serving.FULL)]
    if not step.removes:
        return Effect(users="none")
    path = min((between(topology, step.subject, name) for name in takers), key=lambda path: path.rtt_ms)
    return Effect(
        users="reads slower",
        estimate=f"{milliseconds(path)} a request near {step.subject}, the round trip to {path.target}",
        source=path.provenance,
    )


JUDGES = {
    "network": network,
    "vault": vault,
    "member": member,
    "size": unnoticed,
    "durability": durability,
    "keeper": unnoticed,
    "cache": unnoticed,
    "service": unnoticed,
    "residency": unnoticed,
    "partition": partition,
    "serves": unnoticed,
    "traffic": traffic,
}


def effect(step: Step, new: Topology) -> Effect:
    """What a step towards `new` does."""
    return JUDGES[step.kind](step, new)
