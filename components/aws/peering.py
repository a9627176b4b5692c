"""A path between two regions' networks: the connection, the routes of both sides, and the rules that let services
reach the other's databases. A partition's writer may be in either, so both sides have the same.

All of it belongs to the region that brings the path along, also what lies in the other region: neither's own resources
change when a region comes or goes.
"""

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from components.aws.foundation import PORT
from components.aws.groups import Egress, Ingress, rule
from components.aws.labels import labels
from components.component import Component
from components.contracts import NetworkArgs, NetworkOutputs
from topology import RegionPlan


class Peering:
    def __init__(self, owner: Component, args: NetworkArgs, network: NetworkOutputs, peer: str) -> None:
        self.owner, self.args = owner, args
        here, there, other = args.region, args.topology.region(peer), args.peers[peer]
        connection = self.connection(network, here.name, other, there.name)
        # In the name of every rule and route: which side it is on.
        self.routes(f"to-{peer}", here.name, network.route_table_ids, there, connection)
        self.routes(f"from-{peer}", there.name, other.route_table_ids, here, connection)
        self.rules(f"to-{peer}", here.name, network, there)
        self.rules(f"from-{peer}", there.name, other, here)

    def connection(self, network: NetworkOutputs, here: str, other: NetworkOutputs, there: str) -> pulumi.Output[str]:
        """Its id, once the other side has accepted: a route through a connection that is pending is refused."""
        tags = labels(self.args.topology, here, there)
        asked = aws.ec2.VpcPeeringConnection(
            f"{self.owner.name}-to-{there}",
            vpc_id=network.network_id,
            peer_vpc_id=other.network_id,
            peer_region=there,
            auto_accept=False,  # across regions only the accepter can (SDK, peer_region)
            tags=tags,
            region=here,
            opts=self.owner.child(),
        )
        accepted = aws.ec2.VpcPeeringConnectionAccepter(
            f"{self.owner.name}-to-{there}-accepted",
            vpc_peering_connection_id=asked.id,
            auto_accept=True,
            tags={**tags, "region": there},
            region=there,
            opts=self.owner.child(),
        )
        return accepted.id  # the connection's own (provider: internal/service/ec2)

    def routes(
        self,
        side: str,
        region: str,
        tables: Mapping[str, pulumi.Output[str]],
        target: RegionPlan,
        connection: pulumi.Input[str],
    ) -> None:
        for name, table in tables.items():
            aws.ec2.Route(
                f"{self.owner.name}-{side}-{name}",
                route_table_id=table,
                destination_cidr_block=str(target.cidr),
                vpc_peering_connection_id=connection,
                region=region,
                opts=self.owner.child(),
            )

    def rules(self, side: str, region: str, network: NetworkOutputs, other: RegionPlan) -> None:
        """What one side's groups let through to and from the zones of the other."""
        groups = network.group_ids
        for zone in other.zones:
            services, databases = str(zone.private), str(zone.isolated)
            for kind, part, use, cidr in (
                (Ingress, f"database-from-{zone.name}", "database", services),
                (Egress, f"service-to-{zone.name}", "service", databases),
            ):
                rule(self.owner, self.args, kind, part, groups[use], region, PORT, side=f"{side}-", cidr=cidr)
