"""After a failover: what the stack's state says of the members that moved is read anew, and of nothing else."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from operations.failover.driver import Done

if TYPE_CHECKING:
    from operations.drivers.managed import Ground

# What carries a role, or where the writes go. All of it is on ignore lists, so a preview is right without this too;
# a `pulumi up --refresh` by somebody else then finds nothing new.
TYPES = ("aws:rds/cluster:Cluster", "gcp:sql/databaseInstance:DatabaseInstance", "gcp:dns/recordSet:RecordSet")


def refresh(ground: "Ground", regions: Collection[str]) -> Done:
    """`regions`: those that can be asked. A read of one that is gone would fail, and nothing waits for it."""
    from operations.engines.choice import holding
    from operations.engines.pulumi_cli import PulumiCli

    engine = holding(ground.stack)
    if not isinstance(engine, PulumiCli):
        return Done(already=True)
    urns = targets(engine.resources or (), [ground.names[region] for region in regions])
    if not urns:
        return Done(already=True)
    engine.refresh(urns)
    left = sorted(set(ground.names) - set(regions))
    return Done(detail=f"without {', '.join(left)}" if left else "")


def targets(resources: Iterable[Mapping[str, Any]], members: Iterable[str]) -> list[str]:
    """The URNs of what stands below the members' components."""
    wanted = set(members)
    return [
        item["urn"]
        for item in resources
        if item.get("type") in TYPES and str(item.get("parent", "")).rsplit("::", 1)[-1] in wanted
    ]
