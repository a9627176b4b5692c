"""Where the backups of a local stack's partitions lie: outside the region that they are made in."""

from topology.model import RegionPlan, Topology
from topology.residency import Residency


def vault(topology: Topology, partition: str) -> str:
    """The region that keeps a partition's base backups and its log: the next planned one that may hold a copy, else its
    origin.

    It depends on neither the phase nor on who is writer: climbing and failing over leave the backups where they are,
    and every member archives into the same place. On a cloud each region's vault holds all that lies there, and is
    copied as a whole (`Topology.backups`).
    """
    found = topology.partition(partition)
    rules = Residency(primary=found.primary_jurisdictions, copies=found.copy_jurisdictions)
    names = [region.name for region in topology.regions]
    begin = names.index(found.origin) + 1
    after: list[RegionPlan] = [*topology.regions[begin:], *topology.regions[: begin - 1]]
    return next((region.name for region in after if rules.allows_copy(region.facts)), found.origin)
