"""The one global network, and its way to the databases that Google runs for it.

One network and not one per region: what is behind a peering cannot be reached through another peering, so a region's
service could not reach another region's database (cloud.google.com/vpc/docs/vpc-peering).
"""

from collections.abc import Callable

import pulumi
import pulumi_gcp as gcp

from components.gcp import paths, ranges
from components.gcp.labels import labels
from topology import Topology

Options = Callable[..., pulumi.ResourceOptions]

PRODUCER = "servicenetworking.googleapis.com"


class Vpc:
    """`network`, `connection` (to the databases' network) and `zone` (of the write endpoints)."""

    def __init__(self, name: str, topology: Topology, options: Options) -> None:
        self.name, self.topology, self.options = name, topology, options
        self.project = paths.project(topology)
        self.network = gcp.compute.Network(
            f"{name}-network",
            name=paths.network_name(topology),
            project=self.project,
            auto_create_subnetworks=False,
            # The policy ends with a denial, so a rule that somebody adds to the network is never even asked.
            network_firewall_policy_enforcement_order="BEFORE_CLASSIC_FIREWALL",
            opts=options(),
        )
        self.connection = self.connect()
        self.zone = gcp.dns.ManagedZone(
            f"{name}-internal",
            name=paths.zone(topology),
            project=self.project,
            dns_name=f"{paths.domain(topology)}.",
            visibility="private",
            private_visibility_config=gcp.dns.ManagedZonePrivateVisibilityConfigArgs(
                networks=[gcp.dns.ManagedZonePrivateVisibilityConfigNetworkArgs(network_url=self.network.id)]
            ),
            labels=labels(topology),
            deletion_policy="PREVENT",
            opts=options(protect=True),
        )

    def connect(self) -> gcp.servicenetworking.Connection:
        """With the ranges of all planned regions from day one: a phase then changes nothing here, and what has its
        addresses from a range stays in it whatever is added (SDK: reserved_peering_ranges).
        """
        by_slot = sorted(self.topology.regions, key=lambda region: region.slot)
        reserved = [
            gcp.compute.GlobalAddress(
                f"{self.name}-{region.name}-services",
                name=paths.services_range(self.topology, region.name),
                project=self.project,
                address_type="INTERNAL",
                purpose="VPC_PEERING",
                address=str(ranges.services(region).network_address),
                prefix_length=ranges.services(region).prefixlen,
                network=self.network.id,
                labels=labels(self.topology, region=region.name),
                deletion_policy="PREVENT",
                opts=self.options(protect=True),
            )
            for region in by_slot
        ]
        return gcp.servicenetworking.Connection(
            f"{self.name}-services",
            network=self.network.id,
            service=PRODUCER,
            reserved_peering_ranges=[address.name for address in reserved],
            opts=self.options(),
        )
