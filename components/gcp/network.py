"""A region's part of the one network: a private and an isolated subnet, which span its zones, and the way out.

private     services; out to the internet through NAT, and to the other regions
isolated    the endpoints of the cache

There is no public subnet, because load balancers are Google's own, and no path to other regions has to be laid: `links`
and `peers` are not used. Databases are in a network of Google's, in the range that the foundation reserved for them.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import NetworkArgs
from components.gcp import names, paths, ranges
from components.gcp.flow_logs import FlowLogs, log_config
from components.gcp.labels import labels
from components.gcp.nat import Nat, gateway_name
from components.gcp.ordering import after


class Network(Component):
    """Outputs: `network_id` (the private subnet's full name, given out once the cache's endpoints may be made),
    `subnet_ids` (one private and one isolated, and no public one). `group_ids` and `route_table_ids` are empty: the
    firewall and the routes are the foundation's.
    """

    network_id: pulumi.Output[str]
    subnet_ids: Mapping[str, Sequence[pulumi.Output[str]]]
    group_ids: Mapping[str, pulumi.Output[str]]
    route_table_ids: Mapping[str, pulumi.Output[str]]

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        self.args, self.region = args, args.region.name
        private = self.subnet("private", ranges.private(args.region))
        isolated = self.subnet("isolated", ranges.isolated(args.region))
        # Memorystore makes its endpoints by itself, where and because this allows it
        # (cloud.google.com/memorystore/docs/valkey/networking).
        policy = gcp.networkconnectivity.ServiceConnectionPolicy(
            f"{name}-cache-policy",
            name=names.name(args.topology, self.region, "cache", limit=paths.LIMIT),
            project=args.ground,
            location=self.region,
            service_class="gcp-memorystore",
            network=args.transit,
            psc_config=gcp.networkconnectivity.ServiceConnectionPolicyPscConfigArgs(subnetworks=[isolated.id]),
            labels=labels(args.topology, region=self.region),
            opts=self.child(),
        )
        # Before a region has a service nothing in it calls anybody, and a gateway is paid for by the hour.
        if args.region.has_service:
            Nat(self, args, private)
        FlowLogs(self, args, [self.subnet_name(tier) for tier in ("private", "isolated")], gateway_name(args))
        self.network_id = after(private.id, policy)
        self.subnet_ids = {"public": [], "private": [private.id], "isolated": [after(isolated.id, policy)]}
        self.group_ids, self.route_table_ids = {}, {}
        self.expose(
            network_id=self.network_id,
            subnet_ids=self.subnet_ids,
            group_ids=self.group_ids,
            route_table_ids=self.route_table_ids,
        )

    def subnet_name(self, tier: str) -> str:
        return names.name(self.args.topology, self.region, tier, limit=paths.LIMIT)

    def subnet(self, tier: str, cidr: IPv4Network) -> gcp.compute.Subnetwork:
        return gcp.compute.Subnetwork(
            f"{self.name}-{tier}",
            name=self.subnet_name(tier),
            project=self.args.ground,
            region=self.region,
            network=self.args.transit,
            ip_cidr_range=str(cidr),
            # Google's own services are reached without leaving its network, and without NAT.
            private_ip_google_access=True,
            log_config=log_config(),
            opts=self.child(),
        )
