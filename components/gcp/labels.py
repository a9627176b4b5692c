"""The labels of every resource, from one place."""

import re

from topology import Topology

# Lower-case letters, digits, hyphens and underscores, 63 at most
# (cloud.google.com/resource-manager/docs/labels-overview).
FORBIDDEN = re.compile(r"[^a-z0-9_-]")


def labels(topology: Topology, *, region: str | None = None, partition: str | None = None) -> dict[str, str]:
    """Who a resource belongs to and where it is; the same words as the tags on AWS.

    Passed explicitly and not as the provider's default labels, which show in no resource's inputs.
    """
    ownership = topology.ownership
    found = {"app": topology.app, "environment": topology.environment}
    if ownership is not None:
        found |= {"owner": ownership.owner, "cost-center": ownership.cost_center, "data-class": ownership.data_class}
    if region is not None:
        found["region"] = region
    if partition is not None:
        found["partition"] = partition
    return {key: FORBIDDEN.sub("-", value.lower())[:63] for key, value in found.items()}
