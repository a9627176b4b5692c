"""The backend services of the entry: who answers, and when a region that fails is passed over.

They are written by `up` alone. To hold a region out operations do not edit one that the region is behind: in an outage
such an edit was refused, and left the service behind (kubernetes/registry.k8s.io #234). They lead users to another,
which has been there for as long as the region.
"""

import math
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import TrafficArgs
from components.gcp import admission, names, paths
from components.gcp.machines import PORT_NAME
from components.gcp.run import READY, REQUEST_SECONDS
from topology import Topology

# Every request: the one that failed is among them.
SAMPLE_RATE = 1.0

# Of a group's processors; above it users go to the next region. The group itself grows from 60 % on.
UTILIZATION = 0.8


class Backends:
    """`services` by what operations may decide (admission.py)."""

    services: Mapping[str, gcp.compute.BackendService]

    def __init__(self, owner: Component, args: TrafficArgs, policy_id: pulumi.Input[str]) -> None:
        self.owner, self.args, self.policy_id = owner, args, policy_id
        assert args.topology.gcp is not None, "checked with the settings"
        on_machines = args.topology.gcp.service == "instance-group"
        self.check = readiness(owner, args.topology, args.ground) if on_machines else None
        found = admission.choices(args.topology)
        self.services = {choice: self.service(choice, found[choice]) for choice in found}

    def service(self, choice: str, regions: Sequence[str]) -> gcp.compute.BackendService:
        machines, groups = self.check is not None, [self.group(region) for region in regions]
        return gcp.compute.BackendService(
            f"{self.owner.name}-{choice}",
            name=names.name(self.args.topology, choice, limit=paths.LIMIT),
            project=self.args.ground,
            # Its default has been another one, and a service that has one cannot go to the other (replacement.csv).
            load_balancing_scheme="EXTERNAL_MANAGED",
            # Google encrypts what it sends to machines in its own network (cloud.google.com/docs/security
            # /encryption-in-transit); Cloud Run is not asked in another way than this.
            protocol="HTTP" if machines else "HTTPS",
            backends=[backend(group, machines=machines) for group in groups],
            # Refused for Cloud Run, where the service's own hold (terraform-google-lb-http #358).
            port_name=PORT_NAME if machines else None,
            timeout_sec=REQUEST_SECONDS if machines else None,
            connection_draining_timeout_sec=REQUEST_SECONDS if machines else None,
            # None for Cloud Run, which has no health checks; there, requests tell.
            health_checks=self.check.id if self.check is not None else None,
            outlier_detection=None if machines else outlier_detection(len(groups)),
            security_policy=self.policy_id,
            log_config=gcp.compute.BackendServiceLogConfigArgs(enable=True, sample_rate=SAMPLE_RATE),
            opts=self.owner.child(),
        )

    def group(self, region: str) -> pulumi.Output[str]:
        return self.args.services[region].attachments["backend_group"]


def backend(group: pulumi.Input[str], *, machines: bool) -> gcp.compute.BackendServiceBackendArgs:
    """A group that is behind several services has the same mode in all of them
    (cloud.google.com/load-balancing/docs/backend-service, balancing mode). Cloud Run takes none, nor a part of the load
    (terraform-provider-google #7167, cloud-foundation-fabric #1801).
    """
    if not machines:
        return gcp.compute.BackendServiceBackendArgs(group=group)
    return gcp.compute.BackendServiceBackendArgs(
        group=group, balancing_mode="UTILIZATION", max_utilization=UTILIZATION, capacity_scaler=1.0
    )


def outlier_detection(regions: int) -> gcp.compute.BackendServiceOutlierDetectionArgs | None:
    """Each proxy looks at the answers it gets, and passes over a region that fails for half a minute, longer each time.

    A region is one endpoint here, so the 10 % that may be passed over by default would be none. All but one is the
    most: with nobody left there is nowhere better. Where one region is all there is, as in phases 1 to 3, none is.

    All is said, because the SDK and the API's reference name different defaults for the same arguments.
    """
    if regions < 2:
        return None
    return gcp.compute.BackendServiceOutlierDetectionArgs(
        interval=gcp.compute.BackendServiceOutlierDetectionIntervalArgs(seconds=10),
        base_ejection_time=gcp.compute.BackendServiceOutlierDetectionBaseEjectionTimeArgs(seconds=30),
        max_ejection_percent=math.ceil(100 * (regions - 1) / regions),
        # 502, 503 and 504 are Cloud Run's own more often than the service's.
        consecutive_gateway_failure=5,
        enforcing_consecutive_gateway_failure=100,
        # One user's broken request, tried again and again, is no outage of a region; this many in a row are.
        consecutive_errors=20,
        enforcing_consecutive_errors=100,
        # It compares at least five endpoints.
        enforcing_success_rate=0,
    )


def readiness(owner: Component, topology: Topology, project: pulumi.Input[str]) -> gcp.compute.HealthCheck:
    """What the region itself can do, never the remote writer: or one writer's outage would drain every region."""
    assert topology.service is not None, "checked with the settings"
    return gcp.compute.HealthCheck(
        f"{owner.name}-ready",
        name=names.name(topology, "ready", limit=paths.LIMIT),
        project=project,
        # Three failures in half a minute are an outage, one is a blip; the same as on Cloud Run.
        check_interval_sec=10,
        timeout_sec=5,
        healthy_threshold=2,
        unhealthy_threshold=3,
        http_health_check=gcp.compute.HealthCheckHttpHealthCheckArgs(port=topology.service.port, request_path=READY),
        # What it finds is what the alarm on unhealthy machines reads (alarms_service.py).
        log_config=gcp.compute.HealthCheckLogConfigArgs(enable=True),
        opts=owner.child(),
    )
