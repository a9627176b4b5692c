"""Homes: what a partition begins with, and where new customers go."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from components.local.servers.home_ranges import with_range
from service.partitions import PartitionMap
from tests.topology.plans import configurations, topology
from topology import Topology, load, plan
from topology.catalogue import catalogue
from topology.homes import born, newcomers, serving

CONTINENT = {"name": "continent", "slot": 1, "origin": "eu-central", "serves": ["EU"]}
COUNTRY = {"name": "country", "slot": 2, "origin": "eu-north", "serves": ["SE"]}


def test_partitions_begin_with_ranges_that_do_not_meet() -> None:
    ranges = [born(slot) for slot in range(16)]
    assert all(first < last for first, last in ranges)
    assert all(one[1] <= other[0] for one, other in pairwise(ranges))


@given(configurations())
def test_a_new_customer_belongs_to_the_partition_that_serves_the_place(given_: dict[str, Any]) -> None:
    made = plan(load({**given_, "phase": "5"}, "test"))
    found = newcomers(made)
    assert found.keys() == {region.name for region in made.regions}
    for region in made.regions:
        (partition,) = (each for each in made.partitions if found[region.name].startswith(born(each.slot)[0]))
        serves = [
            each.name for each in made.partitions if {region.facts.country, region.facts.jurisdiction} & {*each.serves}
        ]
        assert partition.name in (serves or ["main"])


def test_a_country_goes_before_the_jurisdiction_that_it_lies_in() -> None:
    regions = ("us-east", "eu-central", "eu-north")
    for partitions in ([CONTINENT, COUNTRY], [COUNTRY, CONTINENT]):
        found = newcomers(topology(5, *regions, partitions=partitions))
        assert found == {"us-east": "00/us-east/", "eu-central": "01/eu-central/", "eu-north": "02/eu-north/"}


def test_below_phase_five_everybody_belongs_to_main() -> None:
    assert set(newcomers(topology(4)).values()) == {f"00/{region.name}/" for region in topology(4).regions}


def first_map(made: Topology) -> PartitionMap:
    """The map that a stack has before anybody moved a customer, as the service reads it."""
    ranges = (("", "main"),)
    for partition in made.partitions[1:]:
        ranges = with_range(ranges, *born(partition.slot), partition.name)
    return PartitionMap.parse(
        json.dumps(
            {
                "version": 1,
                "partitions": {each.name: {"writer": each.origin} for each in made.partitions},
                "ranges": ranges,
                "newcomers": newcomers(made),
            }
        ).encode()
    )


@given(configurations(), st.sampled_from(["4", "5"]), st.binary(min_size=1, max_size=16))
def test_every_home_is_in_one_partition_and_a_new_customers_in_that_of_their_place(
    given_: dict[str, Any], phase: str, digest: bytes
) -> None:
    """The map covers every home, whoever is asked about; `PartitionMap.parse` refuses one that does not."""
    made = plan(load({**given_, "phase": phase}, "test"))
    found = first_map(made)
    for region in made.regions:
        home = found.first_home(region.name, digest)
        assert found.partition_of(home) == serving(made.partitions, region.facts).name
        # Whoever was first seen before phase 5 has a home of `main`, wherever their place belongs to now.
        assert found.partition_of(f"00/{region.name}/{digest[0]:02x}") == "main"
    for slot in range(100):
        owners = [each.name for each in made.partitions if each.slot == slot]
        assert [found.partition_of(f"{slot:02d}/anywhere/{digest[0]:02x}")] == (owners or ["main"])
    assert found.partition_of("eu-central") == "main", "homes of an earlier version begin with a letter"


@given(configurations())
def test_every_place_of_the_catalogue_belongs_to_exactly_one_partition(given_: dict[str, Any]) -> None:
    made = plan(load({**given_, "phase": "5"}, "test"))
    assert len({partition.slot for partition in made.partitions}) == len(made.partitions)
    served = [place for partition in made.partitions for place in partition.serves]
    assert len(set(served)) == len(served)
    for region in catalogue(made.target).values():
        for partitions in (made.partitions, (made.partitions[0], *reversed(made.partitions[1:]))):
            assert serving(partitions, region) is serving(made.partitions, region), "whatever the order of the list"
