"""Physical names on AWS: app and stack first, so that two stacks share an account; then the region, never a role.

A name of a global service (IAM, Route 53) carries its region too, because all regions' names lie side by side there.
"""

from topology import Topology
from topology.naming import physical_name

ARN = "arn:aws"  # the regions of the catalogue are all of this partition

ROLE_LIMIT = 64  # characters of an IAM role's name (IAM: reference_iam-quotas)


def name(topology: Topology, *parts: str, limit: int) -> str:
    """The name within a service's limit of characters; a longer one keeps its start and a hash of the whole."""
    return physical_name(topology.app, topology.environment, *parts, limit=limit)
