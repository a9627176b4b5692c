"""What the entry writes of each request, kept at home for as long as the settings say: who asked, which region
answered, what the firewall stopped or would have stopped.

The load balancer is in no region, and its lines hold users' addresses: so they are kept where the users' data is too,
and not only where Logging keeps what has no place of its own (flow_logs.py).
"""

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import TrafficArgs
from components.gcp import names
from components.gcp.flow_logs import NAME_LIMIT


class EntryLogs:
    def __init__(self, owner: Component, args: TrafficArgs, maps: Sequence[gcp.compute.URLMap]) -> None:
        topology = args.topology
        assert topology.retention is not None, "checked with the settings"
        name = names.name(topology, "entry-logs", limit=NAME_LIMIT)
        bucket = gcp.logging.ProjectBucketConfig(
            f"{owner.name}-logs",
            bucket_id=name,
            location=topology.home,  # never another (topology/transitions.py)
            project=args.ground,
            description="The entry",
            retention_days=topology.retention.log_days,
            deletion_policy="PREVENT",
            opts=owner.child(protect=True),
        )
        # A bucket of the sink's own project takes what it sends without a grant
        # (cloud.google.com/logging/docs/export/configure_export_v2).
        gcp.logging.ProjectSink(
            f"{owner.name}-logs-sink",
            name=name,
            project=args.ground,
            destination=pulumi.Output.concat("logging.googleapis.com/", bucket.id),
            filter=pulumi.Output.all(*[each.name for each in maps]).apply(of_maps),
            opts=owner.child(),
        )


def of_maps(names: Sequence[str]) -> str:
    either = " OR ".join(f'"{name}"' for name in names)
    return f'resource.type="http_load_balancer" AND resource.labels.url_map_name=({either})'
