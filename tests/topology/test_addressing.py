"""Address ranges: inside the supernet, apart from each other, and the same whatever else is planned."""

from ipaddress import IPv4Network
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.plans import config, problems, region_lists, topology, without
from topology import Target, Topology
from topology.addressing import SUPERNET, ZONES, capacity, range_of_slot, zone_plans

ZONE_NAMES = ("a", "b", "c", "d")


def subnets(planned: Topology) -> list[IPv4Network]:
    return [
        subnet
        for region in planned.regions
        for zone in region.zones
        for subnet in (zone.public, zone.private, zone.isolated)
    ]


@given(region_lists(least=1))
def test_ranges_lie_apart_and_inside_the_supernet(drawn: tuple[Target, list[str]]) -> None:
    target, names = drawn
    planned = topology(1, *names, target=target)
    ranges = [region.cidr for region in planned.regions]
    assert all(cidr.subnet_of(SUPERNET) for cidr in ranges)
    assert not any(one.overlaps(other) for one, other in combinations(ranges, 2))
    assert not any(one.overlaps(other) for one, other in combinations(subnets(planned), 2))
    for region in planned.regions:
        assert all(s.subnet_of(region.cidr) for z in region.zones for s in (z.public, z.private, z.isolated))


@given(region_lists(), st.data())
def test_adding_or_dropping_a_region_renumbers_nothing(drawn: tuple[Target, list[str]], data: st.DataObject) -> None:
    target, names = drawn
    gone = data.draw(st.sampled_from(names))
    before = topology(1, *names, target=target)
    after = topology(1, *without(names, gone), target=target)
    shuffled = topology(1, *data.draw(st.permutations(names)), target=target)
    for other in (after, shuffled):
        for region in other.regions:
            assert (region.slot, region.cidr, region.zones) == (
                before.region(region.name).slot,
                before.region(region.name).cidr,
                before.region(region.name).zones,
            )


@given(st.integers(16, 20), st.sets(st.sampled_from(ZONE_NAMES), min_size=1))
def test_a_zone_keeps_its_subnets_whichever_others_are_used(prefix: int, used: set[str]) -> None:
    cidr = IPv4Network(("10.16.0.0", prefix))
    everything = {zone.name: zone for zone in zone_plans(cidr, ZONE_NAMES, ZONE_NAMES)}
    assert len(everything) == ZONES
    assert {zone.name: zone for zone in zone_plans(cidr, ZONE_NAMES, tuple(used))} == {
        name: everything[name] for name in used
    }
    *_, last_eighth = cidr.subnets(prefixlen_diff=3)
    for zone in everything.values():
        assert not any(s.overlaps(last_eighth) for s in (zone.public, zone.private, zone.isolated))
        assert zone.private.prefixlen <= 23
        assert zone.public.prefixlen <= 25


def test_a_region_may_bring_its_own_range() -> None:
    regions = [
        {"name": "eu-central"},
        {"name": "us-east", "cidr": "192.168.0.0/18", "zones": ["us-east-c", "us-east-a"]},
    ]
    region = topology(1, regions=regions).region("us-east")
    assert str(region.cidr) == "192.168.0.0/18"
    assert [zone.name for zone in region.zones] == ["us-east-a", "us-east-c"]


@pytest.mark.parametrize(
    ("supernet", "room"), [("10.0.0.0/8", 256), ("10.64.0.0/10", 64), ("10.1.0.0/16", 1), ("10.0.0.0/17", 0)]
)
def test_room_in_a_supernet(supernet: str, room: int) -> None:
    assert capacity(IPv4Network(supernet)) == room
    if room:
        assert list(IPv4Network(supernet).subnets(new_prefix=16))[-1] == range_of_slot(IPv4Network(supernet), room - 1)


def test_too_small_a_supernet_is_refused() -> None:
    said = problems(config(network={"supernet": "10.0.0.0/15"}))
    assert said == (
        "regions[2]: 10.0.0.0/15 has room for the slots 0 to 1, and ap-northeast has slot 2. "
        "Give it a free `slot` below 2, or a larger `network.supernet`.",
    )


def test_overlapping_ranges_are_refused() -> None:
    regions = [{"name": "eu-central"}, {"name": "us-east", "cidr": "10.64.128.0/20"}]
    (said,) = problems(config(regions=regions))
    assert "10.64.0.0/16 of eu-central overlaps the range 10.64.128.0/20 of us-east" in said
