"""What each phase builds, and what no phase may change."""

import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.plans import AMERICAS, THREE, at, configurations, settings, topology
from topology import Phase, Serving, plan, table_markdown
from topology.residency import Residency, lies_in

FULL, READS, STANDBY, NONE = Serving.FULL, Serving.READS, Serving.STANDBY, Serving.NONE


@pytest.mark.parametrize(
    ("phase", "serving", "caches", "members"),
    [
        (1, (FULL, NONE, NONE), 1, ["main-eu-central"]),
        (2, (FULL, NONE, NONE), 1, ["main-eu-central", "main-us-east"]),
        (3, (FULL, STANDBY, NONE), 2, ["main-eu-central", "main-us-east"]),
        (4, (FULL, READS, READS), 3, ["main-eu-central", "main-us-east", "main-ap-northeast"]),
        (
            5,
            (FULL, FULL, FULL),
            3,
            [
                "main-eu-central",
                "americas-us-east",
                "main-us-east",
                "main-ap-northeast",
                "americas-eu-central",
                "americas-ap-northeast",
            ],
        ),
    ],
)
def test_each_phase(phase: int, serving: tuple[Serving, ...], caches: int, members: list[str]) -> None:
    planned = topology(phase)
    assert tuple(region.serving for region in planned.regions) == serving
    assert sum(region.has_cache for region in planned.regions) == caches
    assert [member.name for member in planned.members] == members
    assert [member.name for member in planned.members if member.is_origin] == [
        partition.members[0] for partition in planned.partitions
    ]


@pytest.mark.parametrize(("target", "least"), [("aws", 0), ("gcp", 1), ("local", 1)])
def test_the_first_replica_is_as_small_as_the_target_allows(target: str, least: int) -> None:
    regions = {"aws": ("eu-west-1", "us-east-1"), "gcp": ("europe-west1", "us-east4"), "local": THREE[:2]}[target]
    replica = topology(2, *regions, target=target).members[1]
    assert (replica.size, replica.instances, replica.multi_zone) == ("minimal", least, False)
    members = topology(3, *regions, target=target).members
    assert len({(member.size, member.instances, member.multi_zone) for member in members}) == 1
    assert members[0].multi_zone == (target != "local")


def test_the_standby_keeps_a_fraction_warm_and_comes_last_in_every_preference() -> None:
    planned = topology(3, service={"standby_capacity": 0.1})
    assert [region.capacity for region in planned.regions] == [1.0, 0.1, 0.0]
    assert set(planned.entry.preference.values()) == {("eu-central", "us-east")}


def test_users_go_to_the_nearest_region_from_phase_4_on() -> None:
    preference = topology(4, "eu-central", "us-east", "ap-northeast", "eu-west").entry.preference
    assert preference["eu-west"] == ("eu-west", "eu-central", "us-east", "ap-northeast")
    assert preference["ap-northeast"][:2] == ("ap-northeast", "us-east")


def test_turning_delays_off_keeps_the_preference() -> None:
    planned = topology(4, local={"latency": False})
    assert {link.one_way_ms for link in planned.links} == {0.0}
    assert planned.entry.preference == topology(4).entry.preference


def test_home_comes_first_wherever_it_is_listed() -> None:
    planned = topology(2, *THREE, home="ap-northeast")
    assert [region.name for region in planned.regions] == ["ap-northeast", "eu-central", "us-east"]
    assert planned.partitions[0].origin == "ap-northeast"
    assert planned.partitions[0].members == ("main-ap-northeast", "main-eu-central")


def test_quorum_takes_effect_from_phase_4_on() -> None:
    durable = [topology(phase, database={"durability": "quorum"}).partitions[0].durability for phase in Phase]
    assert durable == ["async", "async", "async", "quorum", "quorum"]


def test_a_partition_may_choose_its_own_durability() -> None:
    planned = topology(5, partitions=[{**AMERICAS, "durability": "quorum"}])
    assert [partition.durability for partition in planned.partitions] == ["async", "quorum"]


def test_the_second_region_is_the_first_that_may_take_over() -> None:
    planned = topology(3, "eu-central", "us-east", "eu-west", residency={"primary": ["EU"], "copies": ["EU", "US"]})
    assert planned.partitions[0].members == ("main-eu-central", "main-eu-west")


def test_a_region_that_may_hold_no_copy_stays_unused_until_a_partition_allows_it() -> None:
    rules: dict[str, Any] = {"residency": {"copies": ["EU", "US"]}, "partitions": [{**AMERICAS, "residency": {}}]}
    assert not topology(4, *THREE, **rules).region("ap-northeast").in_use
    assert topology(5, *THREE, **rules).region("ap-northeast").members == ("americas-ap-northeast",)


def test_a_country_is_a_rule_too() -> None:
    germany = Residency(primary=("DE",), copies=None)
    regions = {region.name: region.facts for region in topology(1, "eu-central", "eu-west").regions}
    assert germany.allows_writer(regions["eu-central"])
    assert not germany.allows_writer(regions["eu-west"])


@given(configurations(), st.sampled_from(list(Phase)))
def test_origins_are_legal_and_copies_too(given_config: dict[str, Any], phase: Phase) -> None:
    planned = at(given_config, phase)
    for partition in planned.partitions:
        origin = planned.region(partition.origin).facts
        assert lies_in(origin, partition.primary_jurisdictions)
        for name in partition.members:
            assert lies_in(planned.region(planned.member(name).region).facts, partition.copy_jurisdictions)
        assert sum(planned.member(name).is_origin for name in partition.members) == 1
        slots = [planned.region(planned.member(name).region).slot for name in partition.members]
        assert slots[1:] == sorted(slots[1:])
        assert phase is Phase.SINGLE_REGION or len(partition.members) > 1


@given(configurations())
def test_climbing_only_adds(given_config: dict[str, Any]) -> None:
    order = list(Serving)
    for low, high in combinations([at(given_config, phase) for phase in Phase], 2):
        assert [(r.name, r.slot, r.cidr, r.zones) for r in low.regions] == [
            (r.name, r.slot, r.cidr, r.zones) for r in high.regions
        ]
        for before, after in zip(low.regions, high.regions, strict=True):
            assert before.in_use <= after.in_use
            assert before.has_cache <= after.has_cache
            assert before.capacity <= after.capacity
            assert order.index(before.serving) <= order.index(after.serving)
            assert set(before.members) <= set(after.members)
        for partition in low.partitions:
            later = high.partition(partition.name)
            assert (later.slot, later.origin) == (partition.slot, partition.origin)
            assert set(partition.members) <= set(later.members)
        for member in low.members:
            later = high.member(member.name)
            assert (later.partition, later.region, later.is_origin) == (
                member.partition,
                member.region,
                member.is_origin,
            )
            assert later.instances >= member.instances
            assert (member.size, later.size) != ("full", "minimal")
        assert (low.entry.name, low.entry.hostname, low.home) == (high.entry.name, high.entry.hostname, high.home)
        assert low.links == high.links


@given(configurations(), st.sampled_from(list(Phase)))
def test_everything_in_a_plan_is_there(given_config: dict[str, Any], phase: Phase) -> None:
    planned = at(given_config, phase)
    names = [region.name for region in planned.regions]
    assert len({member.name for member in planned.members}) == len(planned.members)
    assert {(link.source, link.target) for link in planned.links} == {(a, b) for a in names for b in names if a != b}
    assert set(planned.entry.preference) == set(names)
    serving = {region.name for region in planned.regions if region.has_service}
    assert all(set(order) == serving for order in planned.entry.preference.values())
    assert {name for region in planned.regions for name in region.members} == {m.name for m in planned.members}
    for region in planned.regions:
        assert region.in_use == bool(region.members)
        assert region.in_use or not (region.has_service or region.has_cache or region.capacity)


def test_the_same_settings_give_the_same_plan() -> None:
    assert plan(settings(phase=4)) == plan(settings(phase=4))


def test_the_ladder_as_a_table() -> None:
    rows = [line.strip("| ").split(" | ") for line in table_markdown().splitlines()]
    assert rows[0][-5:] == [f"{phase.value} {phase.label}" for phase in Phase]
    assert {len(row) for row in rows[2:]} == {len(Phase) + 1}
    cells = {row[0]: row[1:] for row in rows[2:]}
    assert cells["regions in use"] == ["home", "home and the second", "home and the second", "all", "all"]
    assert cells["durability of writes"][:3] == ["multi-zone", "async", "async"]
    for before, after in pairwise(cells["what it buys"]):
        assert before != after


def test_planning_knows_neither_pulumi_nor_a_cloud() -> None:
    script = "import sys, topology, topology.document; print([m for m in sys.modules if m.startswith('pulumi')])"
    project = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
