"""The tags of every resource, from one place."""

from topology import Topology


def tags(topology: Topology, name: str, *, region: str | None = None, partition: str | None = None) -> dict[str, str]:
    """Who a resource belongs to and where it is. `Name` is what AWS's console lists it by.

    Passed explicitly and not as the provider's default tags: those show in no resource's inputs, so neither tests nor
    policies would see them (pulumi-aws #5740, #6002).
    """
    ownership = topology.ownership
    found = {"Name": name, "app": topology.app, "environment": topology.environment}
    if ownership is not None:
        found |= {"owner": ownership.owner, "cost-center": ownership.cost_center, "data-class": ownership.data_class}
    if region is not None:
        found["region"] = region
    if partition is not None:
        found["partition"] = partition
    return found
