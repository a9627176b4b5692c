"""What a region's service writes, kept in that region for as long as the settings say."""

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import ServiceArgs
from components.gcp import names
from components.gcp.flow_logs import NAME_LIMIT


class ServiceLogs:
    def __init__(self, owner: Component, args: ServiceArgs, selection: str) -> None:
        topology, region = args.topology, args.region.name
        assert topology.retention is not None, "checked with the settings"
        name = names.name(topology, region, "service-logs", limit=NAME_LIMIT)
        bucket = gcp.logging.ProjectBucketConfig(
            f"{owner.name}-logs",
            bucket_id=name,
            location=region,
            project=args.ground,
            description=f"The service in {region}",
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
            filter=selection,
            opts=owner.child(),
        )


def of_run(region: str, service: str) -> str:
    """Lines of its instances and of Cloud Run about it."""
    return (
        f'resource.type="cloud_run_revision" AND resource.labels.location="{region}" '
        f'AND resource.labels.service_name="{service}"'
    )


def of_machines(container: str) -> str:
    """Container-Optimized OS tells containers by their names; this one carries the region."""
    return (
        'resource.type="gce_instance" AND log_id("cos_containers") '
        f'AND jsonPayload."cos.googleapis.com/container_name"="{container}"'
    )
