"""A network's subnets, known by zone id, and where each tier's traffic goes.

public      load balancers and NAT gateways; to and from the internet
private     services; out to the internet through NAT, and to the other regions
isolated    databases and caches; to the other regions and nowhere else
"""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from components.aws.labels import labels
from components.component import Component
from components.contracts import NetworkArgs

TIERS = ("public", "private", "isolated")
EVERYWHERE = "0.0.0.0/0"


class Subnets:
    """Every zone's private subnet has a route table of its own, however many NAT gateways there are: the setting then
    changes where a route leads, and no table.
    """

    ids: dict[str, Sequence[pulumi.Output[str]]]
    route_table_ids: dict[str, pulumi.Output[str]]

    def __init__(self, owner: Component, args: NetworkArgs, network_id: pulumi.Input[str]) -> None:
        self.owner, self.topology, self.region, self.network_id = owner, args.topology, args.region.name, network_id
        assert args.topology.aws is not None, "checked with the settings"
        zones = args.region.zones
        subnets = {
            tier: {zone.name: self.subnet(tier, zone.name, str(getattr(zone, tier))) for zone in zones}
            for tier in TIERS
        }
        self.ids = {tier: [subnet.id for subnet in found.values()] for tier, found in subnets.items()}
        self.gateway = aws.ec2.InternetGateway(
            f"{owner.name}-internet",
            vpc_id=network_id,
            tags=self.tags("internet"),
            region=self.region,
            opts=owner.child(),
        )
        public = self.route_table("public", subnets["public"])
        self.route("public", public, gateway_id=self.gateway.id)
        isolated = self.route_table("isolated", subnets["isolated"])
        private = {
            zone: self.route_table(f"private-{zone}", {zone: subnet}) for zone, subnet in subnets["private"].items()
        }
        self.route_table_ids = {"isolated": isolated.id}
        self.route_table_ids |= {f"private-{zone}": table.id for zone, table in private.items()}
        # Before a region has a service nothing in it calls anybody, and a gateway is paid for by the hour.
        if args.region.has_service:
            for zone, nat in self.nat(args.topology.aws.nat, subnets["public"]).items():
                self.route(f"private-{zone}", private[zone], nat_gateway_id=nat)

    def tags(self, part: str) -> dict[str, str]:
        return labels(self.topology, self.region, part)

    def subnet(self, tier: str, zone: str, cidr: str) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            f"{self.owner.name}-{tier}-{zone}",
            vpc_id=self.network_id,
            # The id, which is the same place in every account; a zone's name is not.
            availability_zone_id=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags=self.tags(f"{tier}-{zone}"),
            region=self.region,
            opts=self.owner.child(),
        )

    def route_table(self, part: str, subnets: Mapping[str, aws.ec2.Subnet]) -> aws.ec2.RouteTable:
        table = aws.ec2.RouteTable(
            f"{self.owner.name}-{part}",
            vpc_id=self.network_id,
            tags=self.tags(part),
            region=self.region,
            opts=self.owner.child(),
        )
        for zone, subnet in subnets.items():
            tier = part.split("-")[0]
            aws.ec2.RouteTableAssociation(
                f"{self.owner.name}-{tier}-{zone}-routes",
                route_table_id=table.id,
                subnet_id=subnet.id,
                region=self.region,
                opts=self.owner.child(),
            )
        return table

    def route(
        self,
        part: str,
        table: aws.ec2.RouteTable,
        *,
        gateway_id: pulumi.Input[str] | None = None,
        nat_gateway_id: pulumi.Input[str] | None = None,
    ) -> None:
        aws.ec2.Route(
            f"{self.owner.name}-{part}-out",
            route_table_id=table.id,
            destination_cidr_block=EVERYWHERE,
            gateway_id=gateway_id,
            nat_gateway_id=nat_gateway_id,
            region=self.region,
            opts=self.owner.child(),
        )

    def nat(self, mode: str, public: Mapping[str, aws.ec2.Subnet]) -> dict[str, pulumi.Output[str]]:
        """The NAT gateway that each zone's private subnet leaves through."""
        if mode == "regional":
            # AWS spreads it over the zones that have something in them, and gives it addresses and routes of its own
            # (docs.aws.amazon.com/vpc/latest/userguide/nat-gateways-regional.html).
            regional = aws.ec2.NatGateway(
                f"{self.owner.name}-nat",
                availability_mode="regional",
                vpc_id=self.network_id,
                tags=self.tags("nat"),
                region=self.region,
                opts=self.owner.child(depends_on=[self.gateway]),
            )
            return dict.fromkeys(public, regional.id)
        first = next(iter(public))
        if mode == "single":
            return dict.fromkeys(public, self.zonal(first, public[first]).id)
        return {zone: self.zonal(zone, subnet).id for zone, subnet in public.items()}

    def zonal(self, zone: str, subnet: aws.ec2.Subnet) -> aws.ec2.NatGateway:
        part = f"nat-{zone}"
        address = aws.ec2.Eip(
            f"{self.owner.name}-{part}-address",
            domain="vpc",
            tags=self.tags(part),
            region=self.region,
            opts=self.owner.child(depends_on=[self.gateway]),
        )
        return aws.ec2.NatGateway(
            f"{self.owner.name}-{part}",
            allocation_id=address.id,  # its allocation's (provider: internal/service/ec2)
            subnet_id=subnet.id,
            tags=self.tags(part),
            region=self.region,
            opts=self.owner.child(depends_on=[self.gateway]),
        )
