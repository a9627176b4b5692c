"""Homes: what a partition begins with, and where new customers go."""

from itertools import pairwise
from typing import Any

from hypothesis import given

from tests.topology.plans import configurations, topology
from topology import load, plan
from topology.homes import born, newcomers

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
