"""Which IPv4 range each region and each subnet has.

A region's range follows from its slot alone, and a zone's subnets from the zone's position in the catalogue's fixed
list, so adding or dropping a region or a zone renumbers nothing. Of a region's range:

    first half       a private subnet for each of 4 zones   (an eighth of the range each)
    third quarter    an isolated subnet for each zone        (a sixteenth each)
    seventh eighth   a public subnet for each zone           (a thirty-second each)
    last eighth      kept free for ranges that a cloud carves itself (private services access, service connections)
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from itertools import combinations

from topology.model import ZonePlan

ZONES = 4
REGION_PREFIX = 16

# 10.64.0.0 to 10.127.255.255: room for 64 regions; clear of 10.0.0.0/16, which most existing networks start
# with, and of 10.128.0.0/9, which Google's auto-mode networks take (cloud.google.com/vpc/docs/subnets).
SUPERNET = IPv4Network("10.64.0.0/10")

# An AWS VPC holds at most a /16 (docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html); below a /20 the
# private subnets would be smaller than a /23, too few addresses for the tasks of a zone and their replacements.
LARGEST, SMALLEST = 16, 20

# RFC 1918 and RFC 6598.
PRIVATE_RANGES = tuple(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))


def is_private(network: IPv4Network) -> bool:
    return any(network.subnet_of(private) for private in PRIVATE_RANGES)


def capacity(supernet: IPv4Network) -> int:
    """How many regions' ranges a supernet has room for."""
    return 2 ** (REGION_PREFIX - supernet.prefixlen) if supernet.prefixlen <= REGION_PREFIX else 0


def range_of_slot(supernet: IPv4Network, slot: int) -> IPv4Network:
    """The slot's /16; the caller has made sure that the slot is below `capacity(supernet)`."""
    return IPv4Network((int(supernet.network_address) + (slot << (32 - REGION_PREFIX)), REGION_PREFIX))


def part(cidr: IPv4Network, *, start: int, size: int, position: int) -> IPv4Network:
    """The subnet of `size` 32nds of the range that lies `start` 32nds and `position` such subnets into it."""
    first = int(cidr.network_address) + (start + position * size) * (cidr.num_addresses // 32)
    return IPv4Network((first, cidr.prefixlen + 6 - size.bit_length()))


def zone_plans(cidr: IPv4Network, all_zones: Sequence[str], zones: Sequence[str]) -> tuple[ZonePlan, ...]:
    """The subnets of the zones in use; `all_zones` is the catalogue's fixed list, which gives the positions."""
    return tuple(
        ZonePlan(
            name=zone,
            private=part(cidr, start=0, size=4, position=position),
            isolated=part(cidr, start=16, size=2, position=position),
            public=part(cidr, start=24, size=1, position=position),
        )
        for position, zone in enumerate(all_zones[:ZONES])
        if zone in zones
    )


def overlaps(ranges: Mapping[str, IPv4Network]) -> tuple[str, ...]:
    """One sentence per pair of regions whose ranges overlap."""
    return tuple(
        f"regions: the range {ranges[one]} of {one} overlaps the range {ranges[other]} of {other}. "
        f"Give one of them another `slot`, or a `cidr` that no other region's range touches."
        for one, other in combinations(ranges, 2)
        if ranges[one].overlaps(ranges[other])
    )
