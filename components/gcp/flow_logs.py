"""A record of who talked to whom in a region, kept in that region, for the day when somebody has to know.

Logging keeps what the sinks do not say otherwise in a bucket of no particular place (`_Default`, global), so a region's
traffic has a bucket of its own in the region. Logging's own copy ends with that bucket's 30 days; an organisation that
may not have it sets the default storage location (cloud.google.com/logging/docs/default-settings).
"""

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import NetworkArgs
from components.gcp import names

# Log buckets and sinks: 100 characters (Logging API: LogBucket, LogSink).
NAME_LIMIT = 100


def log_config() -> gcp.compute.SubnetworkLogConfigArgs:
    """All that is collected, in few lines, which are what is paid for: as long an interval as on AWS."""
    return gcp.compute.SubnetworkLogConfigArgs(
        aggregation_interval="INTERVAL_10_MIN", flow_sampling=1.0, metadata="INCLUDE_ALL_METADATA"
    )


class FlowLogs:
    def __init__(self, owner: Component, args: NetworkArgs, subnets: Sequence[str], gateway: str) -> None:
        topology, region = args.topology, args.region.name
        assert topology.retention is not None, "checked with the settings"
        name = names.name(topology, region, "flow-logs", limit=NAME_LIMIT)
        bucket = gcp.logging.ProjectBucketConfig(
            f"{owner.name}-flow-logs",
            bucket_id=name,
            location=region,
            project=args.ground,
            description=f"Traffic of {region}",
            retention_days=topology.retention.log_days,
            deletion_policy="PREVENT",
            opts=owner.child(protect=True),
        )
        # A bucket of the sink's own project takes what it sends without a grant
        # (cloud.google.com/logging/docs/export/configure_export_v2).
        gcp.logging.ProjectSink(
            f"{owner.name}-flow-logs-sink",
            name=name,
            project=args.ground,
            destination=pulumi.Output.concat("logging.googleapis.com/", bucket.id),
            filter=selection(subnets, gateway),
            opts=owner.child(),
        )


def selection(subnets: Sequence[str], gateway: str) -> str:
    """The subnets' flows and what the firewall denied there, and what the NAT gateway dropped. Subnets and gateways
    are told by their names, which carry the region.
    """
    known = " OR ".join(f'"{name}"' for name in subnets)
    return (
        f'(resource.type="gce_subnetwork" AND resource.labels.subnetwork_name=({known}) AND '
        '(log_id("compute.googleapis.com/vpc_flows") OR log_id("compute.googleapis.com/firewall"))) OR '
        f'(resource.type="nat_gateway" AND resource.labels.gateway_name="{gateway}")'
    )
