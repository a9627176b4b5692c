"""The entry by Global Accelerator: two addresses that are the same everywhere, in place of latency records.

It knows nothing of `/healthz/admitted`; what admits a region is the weight of its endpoint. Weight and not the traffic
dial, which it passes over when another region fails (docs.aws.amazon.com/global-accelerator/latest/dg:
disaster-recovery-resiliency). A weight says less than the three answers of admission.py: zero is zero, whether by birth
or by decision. So a former standby begins to serve when operations give it a weight, and not with the step to phase 4.
"""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.admission import ADMITTED, at_birth
from components.aws.tags import tags
from components.component import Component
from components.contracts import ServiceOutputs
from topology import RegionPlan, Topology

# 64 letters, digits, dots and hyphens (Global Accelerator API: CreateAccelerator).
NAME_LIMIT = 64

PORTS = (80, 443)  # the load balancer answers 80 with a redirect

WEIGHT = 128  # of 0 to 255, what AWS takes without one; the only endpoint of its group has all of the group's users

GROUP_IGNORES = [
    # The weights are what operations move in a failover.
    "endpoint_configurations",
    # Operations may move users away slowly before work on a region.
    "traffic_dial_percentage",
]


class Accelerator:
    """`groups` has each region's endpoint group, which is where its weight is set."""

    accelerator: aws.globalaccelerator.Accelerator
    groups: Mapping[str, aws.globalaccelerator.EndpointGroup]

    def __init__(
        self,
        owner: Component,
        topology: Topology,
        serving: Sequence[RegionPlan],
        services: Mapping[str, ServiceOutputs],
    ) -> None:
        self.owner, self.services = owner, services
        name = names.name(topology, "entry", limit=NAME_LIMIT)
        self.accelerator = aws.globalaccelerator.Accelerator(
            f"{owner.name}-accelerator",
            name=name,
            enabled=True,
            ip_address_type="IPV4",
            tags=tags(topology, name),
            # Others have its addresses in their firewalls, and nobody gets deleted ones back.
            opts=owner.child(protect=True),
        )
        self.listener = aws.globalaccelerator.Listener(
            f"{owner.name}-listener",
            accelerator_arn=self.accelerator.id,  # its ARN (provider: internal/service/globalaccelerator)
            protocol="TCP",
            port_ranges=[aws.globalaccelerator.ListenerPortRangeArgs(from_port=port, to_port=port) for port in PORTS],
            client_affinity="NONE",
            opts=owner.child(),
        )
        self.groups = {region.name: self.group(region) for region in serving}

    def group(self, region: RegionPlan) -> aws.globalaccelerator.EndpointGroup:
        """Health is the load balancer's own, by its target groups; a group's settings count for no load balancer."""
        return aws.globalaccelerator.EndpointGroup(
            f"{self.owner.name}-{region.name}-group",
            listener_arn=self.listener.id,
            endpoint_group_region=region.name,  # left out it is the provider's, for ever
            traffic_dial_percentage=100,
            endpoint_configurations=[
                aws.globalaccelerator.EndpointGroupEndpointConfigurationArgs(
                    endpoint_id=self.services[region.name].attachments["load_balancer_arn"],
                    # Both explicit: left out, 0 and false are sent (provider: expandEndpointConfiguration).
                    weight=WEIGHT if at_birth(region.serving) is ADMITTED else 0,
                    client_ip_preservation_enabled=True,
                )
            ],
            opts=self.owner.child(ignore_changes=GROUP_IGNORES),
        )

    @property
    def alias(self) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """Its name and the hosted zone of that name."""
        return self.accelerator.dns_name, self.accelerator.hosted_zone_id
