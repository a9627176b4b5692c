"""Which regions keep the lease that tells a writer that it is still the writer."""

from topology.model import Phase, Topology
from topology.summary import Summary

LEAST = 3  # a quorum that survives the loss of one


def keepers(topology: Topology | Summary) -> tuple[str, ...]:
    """The regions that have a keeper, home first, then as listed; empty where there is no lease.

    Every region in use has one, and so have the first three that are planned, used or not: those that are not are
    witnesses, with a keeper and no data. That no witness depends on the phase makes climbing only add keepers. Only
    the local target has keepers: on a cloud the managed database fences.
    """
    if topology.target != "local" or topology.phase < Phase.ACTIVE_PASSIVE or len(topology.regions) < LEAST:
        return ()
    first = topology.regions[:LEAST]
    return tuple(region.name for region in topology.regions if region.in_use or region in first)


def witnesses(topology: Topology) -> tuple[str, ...]:
    """The regions that have a keeper and nothing else."""
    return tuple(name for name in keepers(topology) if not topology.region(name).in_use)
