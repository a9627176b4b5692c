"""The way out of a region's private subnet: a router, and NAT from an address that others may let in."""

import pulumi_gcp as gcp

from components.component import Component
from components.contracts import NetworkArgs
from components.gcp import names, paths
from components.gcp.labels import labels

# Connections that an instance may have to one destination at a time; it begins with the fewest and is given more while
# it needs them. One address has 64512 of them (cloud.google.com/nat/docs/ports-and-addresses).
PORTS, MOST_PORTS = 64, 4096


def gateway_name(args: NetworkArgs) -> str:
    return names.name(args.topology, args.region.name, "nat", limit=paths.LIMIT)


class Nat:
    def __init__(self, owner: Component, args: NetworkArgs, subnet: gcp.compute.Subnetwork) -> None:
        region, name = args.region.name, gateway_name(args)
        address = gcp.compute.Address(
            f"{owner.name}-nat-address",
            name=name,
            project=args.ground,
            region=region,
            address_type="EXTERNAL",
            # NAT uses one tier for all its addresses, and a project's default may be another.
            network_tier="PREMIUM",
            labels=labels(args.topology, region=region),
            deletion_policy="PREVENT",
            opts=owner.child(protect=True),
        )
        router = gcp.compute.Router(
            f"{owner.name}-router",
            name=names.name(args.topology, region, "router", limit=paths.LIMIT),
            project=args.ground,
            region=region,
            network=args.transit,
            opts=owner.child(),
        )
        gcp.compute.RouterNat(
            f"{owner.name}-nat",
            name=name,
            project=args.ground,
            region=region,
            router=router.name,
            nat_ip_allocate_option="MANUAL_ONLY",
            nat_ips=[address.id],  # a partial URL is enough (provider: expandNestedComputeRouterNatNatIps)
            # Not the isolated subnet, where nothing calls anybody.
            source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
            subnetworks=[
                gcp.compute.RouterNatSubnetworkArgs(name=subnet.id, source_ip_ranges_to_nats=["ALL_IP_RANGES"])
            ],
            enable_dynamic_port_allocation=True,
            min_ports_per_vm=PORTS,
            max_ports_per_vm=MOST_PORTS,
            log_config=gcp.compute.RouterNatLogConfigArgs(enable=True, filter="ERRORS_ONLY"),
            opts=owner.child(),
        )
