"""Homes: the parts that customers are kept and moved in.

A home reads like `01/us-east/7f`: the slot of the partition that served the customer's region when the customer was
first seen, that region, and one of 256 parts of its customers. It is a name and never changes; which partition has it
is in the partition map, as ranges in the order of the names. The slot comes first so that the homes that a new
partition begins with are one range, and no customer of before is in it: a partition is added without moving anybody.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from topology.model import RegionFacts, Topology


class Serves(Protocol):
    @property
    def serves(self) -> tuple[str, ...]: ...


AnyPartition = TypeVar("AnyPartition", bound=Serves)


def born(slot: int) -> tuple[str, str]:
    """The range of the homes that the partition in this slot begins with."""
    return f"{slot:02d}/", f"{slot + 1:02d}/"


def serving(partitions: Sequence[AnyPartition], region: RegionFacts) -> AnyPartition:
    """The partition of new customers in a region: whichever names its country, else its jurisdiction, else `main`."""
    for place in (region.country, region.jurisdiction):
        for partition in partitions:
            if place in partition.serves:
                return partition
    return partitions[0]


def newcomers(topology: Topology) -> dict[str, str]:
    """How the homes of new customers begin, by the region that they are in, for all that are planned."""
    return {
        region.name: f"{born(serving(topology.partitions, region.facts).slot)[0]}{region.name}/"
        for region in topology.regions
    }
