"""A region's network: a VPC with public, private and isolated subnets, and paths to the other regions in use."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from components.aws.endpoints import Endpoints
from components.aws.flow_logs import FlowLogs
from components.aws.groups import Groups
from components.aws.labels import labels
from components.aws.peering import Peering
from components.aws.subnets import Subnets
from components.component import Component
from components.contracts import NetworkArgs


class Network(Component):
    """Outputs: `network_id` (the VPC), `subnet_ids` (by tier, in the zones' order), `group_ids` (security groups by
    use), `route_table_ids` (those that lead to other regions: one per zone's private subnet, and `isolated`).
    """

    network_id: pulumi.Output[str]
    subnet_ids: Mapping[str, Sequence[pulumi.Output[str]]]
    group_ids: Mapping[str, pulumi.Output[str]]
    route_table_ids: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        region = args.region.name
        tags = labels(args.topology, region)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=str(args.region.cidr),
            # Both are needed for the private names of endpoints
            # (docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html).
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=tags,
            region=region,
            opts=self.child(),
        )
        # It cannot be deleted, and as AWS makes it, whatever forgets to name a group may talk to all its like. Empty
        # lists take rules away that somebody adds; leaving them out would only do so once.
        aws.ec2.DefaultSecurityGroup(
            f"{name}-default",
            vpc_id=vpc.id,
            ingress=[],
            egress=[],
            tags=tags,
            region=region,
            opts=self.child(),
        )
        subnets = Subnets(self, args, vpc.id)
        groups = Groups(self, args, vpc.id)
        self.network_id = vpc.id
        self.subnet_ids, self.group_ids = subnets.ids, groups.ids
        self.route_table_ids = subnets.route_table_ids
        Endpoints(self, args, self)
        FlowLogs(self, args, vpc.id)
        for peer in args.peers:
            Peering(self, args, self, peer)
        self.expose(
            network_id=self.network_id,
            subnet_ids=self.subnet_ids,
            group_ids=self.group_ids,
            route_table_ids=self.route_table_ids,
        )
