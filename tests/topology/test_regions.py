"""The catalogue and the distances: what the plan takes for facts."""

from itertools import combinations

import pytest

from tests.topology.plans import TARGETS
from topology import Target
from topology.addressing import SUPERNET, ZONES, capacity
from topology.catalogue import SLOTS, catalogue
from topology.distances import detour, kilometres, link, measurements, straight_ms
from topology.naming import entry_name, member_name, physical_name, resource_name

CONTINENTS = {"Europe", "North America", "South America", "Asia", "Oceania", "Africa"}


@pytest.mark.parametrize("target", TARGETS)
def test_each_region_is_sound(target: Target) -> None:
    regions = catalogue(target)
    slots = [region.slot for region in regions.values()]
    assert len(set(slots)) == len(slots)
    assert max(slots) < min(SLOTS[target], capacity(SUPERNET))
    zones = [zone for region in regions.values() for zone in region.zones]
    assert len(set(zones)) == len(zones)
    for region in regions.values():
        assert 2 <= len(region.zones) <= ZONES
        assert region.continent in CONTINENTS
        assert -90 <= region.latitude <= 90
        assert -180 <= region.longitude <= 180
        assert region.jurisdiction in (region.country, "EU")


def test_the_local_regions_keep_their_slots() -> None:
    assert {name: region.slot for name, region in catalogue("local").items()} == {
        "eu-central": 0,
        "us-east": 1,
        "ap-northeast": 2,
        "eu-west": 3,
        "us-west": 4,
        "ap-southeast": 5,
        "sa-east": 6,
        "ap-south": 7,
        "af-south": 8,
        "ca-central": 9,
        "ap-southeast-2": 10,
        "eu-north": 11,
    }


def test_zone_ids_are_amazons() -> None:
    assert catalogue("aws")["eu-west-1"].zones == ("euw1-az1", "euw1-az2", "euw1-az3")
    assert catalogue("gcp")["us-central1"].zones == ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f")


def test_every_pair_of_amazons_regions_is_measured() -> None:
    assert len(measurements()) == len(list(combinations(catalogue("aws"), 2)))
    assert measurements()[frozenset(("eu-central-1", "us-east-1"))] == 93


@pytest.mark.parametrize("target", TARGETS)
def test_no_link_is_faster_than_light_in_glass(target: Target) -> None:
    for one, other in combinations(catalogue(target).values(), 2):
        there, back = link(one, other), link(other, one)
        assert there.rtt_ms == back.rtt_ms
        assert there.rtt_ms >= straight_ms(one, other)
        assert there.rtt_ms == 2 * there.one_way_ms
        assert there.provenance.startswith("estimated" if there.estimated else "measured")


def test_estimates_come_from_distance_times_the_measured_detour() -> None:
    regions = catalogue("gcp")
    netherlands, iowa = regions["europe-west4"], regions["us-central1"]
    path = link(netherlands, iowa)
    assert path.estimated
    assert path.rtt_ms == pytest.approx(straight_ms(netherlands, iowa) * detour(), abs=0.5)
    assert kilometres(regions["europe-west3"], regions["us-east4"]) == pytest.approx(6500, rel=0.02)
    # Two regions of one measured place have no measurement between them.
    assert link(regions["europe-west8"], regions["europe-west12"]).estimated


def test_the_local_target_has_measured_distances_only() -> None:
    assert not [path for a, b in combinations(catalogue("local").values(), 2) if (path := link(a, b)).estimated]


def test_names_carry_the_region_and_no_role() -> None:
    assert member_name("main", "eu-west-1") == "main-eu-west-1"
    assert resource_name("shop", "eu-west-1", "network") == "shop-eu-west-1-network"
    assert entry_name("shop") == "shop-entry"


def test_long_physical_names_are_cut_and_stay_apart() -> None:
    assert physical_name("shop", "eu-west-1", limit=32) == "shop-eu-west-1"
    one = physical_name("a" * 30, "eu-west-1", limit=32)
    other = physical_name("a" * 30, "eu-west-2", limit=32)
    assert len(one) == len(other) == 32
    assert one != other
    assert one == physical_name("a" * 30, "eu-west-1", limit=32)
    assert "--" not in physical_name("abc", "d" * 40, limit=13)
    with pytest.raises(ValueError):
        physical_name("a", limit=9)
