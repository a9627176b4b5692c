"""Physical names on Google Cloud: app and stack first, so that two stacks share a project; then the region, never a
role.

A name of a global resource that belongs to one region carries it too, because all lie side by side there.
"""

from topology import Topology
from topology.naming import physical_name


def name(topology: Topology, *parts: str, limit: int) -> str:
    """The name within a service's limit of characters; a longer one keeps its start and a hash of the whole."""
    return physical_name(topology.app, topology.environment, *parts, limit=limit)
