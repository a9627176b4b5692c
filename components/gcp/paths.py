"""What the foundation makes once, by the names that other components and operations take hold of it by.

Plain values, because names are decided here and not handed out by Google. Whoever uses one also needs the thing to be
there: `ground` and `transit` of the foundation, and `network_id` of a region's network, are given out only then.
"""

from components.gcp import names
from topology import Topology

# Networks, addresses and firewall policies: 63 characters (RFC 1035; SDK). Managed zones too (Cloud DNS API:
# ManagedZone); certificate maps and what belongs to them have one more (SDK).
LIMIT = 63


def network_name(topology: Topology) -> str:
    return names.name(topology, "network", limit=LIMIT)


def network(topology: Topology) -> str:
    """As Cloud SQL, Memorystore and Cloud Run want it."""
    return f"projects/{project(topology)}/global/networks/{network_name(topology)}"


def services_range(topology: Topology, region: str) -> str:
    """The reserved range that a region's databases take their addresses from (`allocatedIpRange`)."""
    return names.name(topology, region, "services", limit=LIMIT)


def zone(topology: Topology) -> str:
    """The private zone that the write endpoints' records are in."""
    return names.name(topology, "internal", limit=LIMIT)


def domain(topology: Topology) -> str:
    """The private zone's DNS name, without the dot at its end. Its one label has 63 characters at most (RFC 1035)."""
    return f"{names.name(topology, limit=63)}.internal"


def write_host(topology: Topology, partition: str) -> str:
    """The name that leads to the partition's writer; operations, and nobody else, say where it leads."""
    return f"{partition}.{domain(topology)}"


def certificate_map(topology: Topology) -> str:
    return f"projects/{project(topology)}/locations/global/certificateMaps/{certificate_map_name(topology)}"


def certificate_map_name(topology: Topology) -> str:
    return names.name(topology, "certificates", limit=LIMIT)


def project(topology: Topology) -> str:
    assert topology.gcp is not None, "checked with the settings"
    return topology.gcp.project
