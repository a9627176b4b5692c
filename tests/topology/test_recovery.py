"""What a plan lives through, how far its users are, and what each figure rests on."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given

from tests.topology.plans import AWS, at, config, configurations
from topology import Phase, Target, Topology, load, plan, steps
from topology.document import DOCS
from topology.effects import effect
from topology.recovery import RANK, Drill, figure, held, means, rows, span, table_markdown
from topology.round_trips import round_trips
from topology.scenarios import scenarios

REGIONS: dict[Target, tuple[str, ...]] = {
    "aws": ("eu-west-1", "eu-central-1", "us-east-1"),
    "gcp": ("europe-west3", "europe-west1", "us-east4"),
    "local": ("eu-central", "us-east", "ap-northeast"),
}
TARGETS = tuple(REGIONS)


def planned(target: Target, phase: int, **more: Any) -> Topology:
    names = REGIONS[target]
    partitions = [{"name": "americas", "slot": 1, "origin": names[-1], "serves": ["US", "CA", "BR"]}]
    return plan(load(config(*names, target=target, phase=phase, **{"partitions": partitions, **more}), "test"))


def cover(topology: Topology) -> dict[str, str]:
    return {each.name: each.cover for each in scenarios(topology)}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("phase", range(1, 6))
def test_every_figure_has_a_basis_and_a_source(target: Target, phase: int) -> None:
    for scenario in scenarios(planned(target, phase)):
        for found in (scenario.rto, scenario.rpo):
            if found is not None:
                assert found.source
                assert (found.seconds is None) == (found.basis == "none")
    assert all(each.reached.source for each in held(planned(target, phase)))


def test_the_page_has_every_figure() -> None:
    assert table_markdown() in (DOCS / "preview.md").read_text(encoding="utf-8")


def test_only_what_was_measured_is_called_so() -> None:
    """Nobody has run a drill on a cloud with this project."""
    assert {row.target for row in rows() if row.basis == "measured"} == {"local"}
    assert {row.basis for row in rows() if row.target != "local"} == {"cited"}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("aws", ["backup", "replica", "standby", "standby", "standby"]),
        ("gcp", ["backup", "replica", "standby", "standby", "standby"]),
        ("local", ["none", "replica", "standby", "standby", "standby"]),
    ],
)
def test_how_a_region_comes_back(target: Target, expected: list[str]) -> None:
    assert [means(planned(target, phase), "region") for phase in range(1, 6)] == expected


def test_quorum_costs_nothing_and_is_said_to() -> None:
    quorum = planned("local", 4, database={"durability": "quorum"})
    assert means(quorum, "region") == "quorum"
    assert figure(quorum, "region", "rpo").seconds == 0
    assert figure(planned("local", 4), "region", "rpo").seconds == 0.02


def test_the_partition_that_is_worst_placed_decides() -> None:
    five = planned("local", 5)
    far = five.partition("americas")
    alone = tuple(replace(each, members=each.members[:1]) if each is far else each for each in five.partitions)
    assert means(five, "region") == "standby"
    assert means(replace(five, partitions=alone), "region") == "none"


def test_managed_rpo_is_the_bound_from_the_third_member_on() -> None:
    aws = {**AWS, "database": {"rpo_seconds": 30}}
    assert figure(planned("aws", 3, aws=aws), "region", "rpo").seconds == 60
    found = figure(planned("aws", 4, aws=aws), "region", "rpo")
    assert (found.seconds, "rpo_seconds" in found.source) == (30, True)


def test_a_drill_goes_before_the_file() -> None:
    topology = planned("aws", 3)
    drill = Drill(
        scenario="lost-region",
        day="2026-11-01",
        phase=Phase.ACTIVE_PASSIVE,
        durability="async",
        event="region",
        objective="rto",
        seconds=95,
    )
    source = "1 drill of this stack (lost-region), from the fault, detection included; on 2026-11-01"
    found = figure(topology, "region", "rto", [drill])
    assert (found.seconds, found.basis, found.source) == (95, "measured", source)
    assert figure(topology, "region", "rpo", [drill]).basis == "cited"
    assert figure(topology, "writer", "rto", [drill]).source != source
    assert held(topology, [drill])[0].reached.seconds == 95
    # Another phase, or another durability, is another promise.
    for other in (replace(drill, phase=Phase.MULTI_REGION_READS), replace(drill, durability="quorum")):
        assert figure(topology, "region", "rto", [other]).basis == "cited"
    more = [drill, replace(drill, seconds=61, day="2026-10-01"), replace(drill, seconds=60, scenario="ours")]
    found = figure(topology, "region", "rto", more)
    assert found.seconds == 95
    assert found.source == (
        "3 drills, median 61.00 s, worst 95.00 s of this stack (lost-region, ours), "
        "from the fault, detection included; the last on 2026-11-01"
    )
    assert "from the fault" not in figure(topology, "region", "rpo", [replace(drill, objective="rpo")]).source


def test_objectives_are_held_against_what_is_reached() -> None:
    asked = {"rto_seconds": 900, "rpo_seconds": 60}
    met = [[each.met for each in held(planned("aws", phase, objectives=asked))] for phase in range(1, 6)]
    assert met == [[False, False], [False, True], [True, True], [True, True], [True, True]]
    assert [each.met for each in held(planned("aws", 1))] == [None, None]
    assert [each.met for each in held(planned("local", 1, objectives=asked))] == [False, False]


def test_what_each_phase_lives_through() -> None:
    region, parted = "loss of a region", "a partition of the network"
    aws = [cover(planned("aws", phase)) for phase in range(1, 6)]
    assert [each[region] for each in aws] == ["partly", "partly", "covered", "covered", "covered"]
    assert [each[parted] for each in aws] == ["covered", "covered", "covered", "partly", "partly"]
    assert {each["loss of a zone"] for each in aws} == {"covered"}
    local = [cover(planned("local", phase)) for phase in range(1, 6)]
    assert [each["loss of the database writer"] for each in local] == [
        "not covered", "partly", "covered", "covered", "covered",
    ]  # fmt: skip
    assert {each["loss of a zone"] for each in local} == {"not covered"}
    assert set(local[0]) == {
        "loss of a zone", "loss of a region", "loss of the database writer", "loss of a cache", "loss of the entry",
        "a bad deploy", "a partition of the network",
    }  # fmt: skip


@given(given=configurations())
def test_climbing_never_covers_a_region_less(given: dict[str, Any]) -> None:
    """Until phase 5, where each new partition has to stand for itself."""
    ranks = [RANK.index(means(at(given, phase), "region")) for phase in range(1, 5)]
    assert ranks == sorted(ranks)
    for phase in Phase:
        assert len(scenarios(at(given, phase))) == 7
        assert round_trips(at(given, phase))


@given(given=configurations())
def test_users_are_never_sent_farther_by_climbing(given: dict[str, Any]) -> None:
    trips = [{trip.continent: trip for trip in round_trips(at(given, phase))} for phase in Phase]
    for low, high in pairwise(trips):
        assert all(high[name].serving_ms <= low[name].serving_ms for name in low)


def test_round_trips_follow_entry_and_writer() -> None:
    home = {trip.continent: trip for trip in round_trips(planned("aws", 3))}
    near = {trip.continent: trip for trip in round_trips(planned("aws", 5))}
    assert {trip.serving for trip in home.values()} == {"eu-west-1"}
    assert near["North America"].serving == near["North America"].writer == "us-east-1"
    assert near["Europe"].writer == "eu-west-1"
    assert near["North America"].serving_ms < home["North America"].serving_ms / 2


@pytest.mark.parametrize("target", TARGETS)
def test_every_step_has_an_effect_with_a_source(target: Target) -> None:
    phases = [None, *(planned(target, phase) for phase in range(1, 6))]
    for old in phases:
        for new in phases[1:]:
            assert new is not None
            for step in steps(old, new):
                found = effect(step, new)
                assert (found.users == "none") or (found.estimate and found.source), step
                assert bool(found.estimate) == bool(found.source)
                if step.removes and step.kind in ("member", "vault", "partition"):
                    assert found.undo, step


def test_effects_by_name() -> None:
    quorum = planned("local", 4, database={"durability": "quorum"})
    wait = next(effect(each, quorum) for each in steps(planned("local", 4), quorum) if each.kind == "durability")
    link = min(quorum.link("eu-central", name).rtt_ms for name in ("us-east", "ap-northeast"))
    assert (wait.users, f"{link:g} ms" in wait.estimate) == ("writes slower", True)
    low = planned("aws", 3)
    down = [effect(each, low) for each in steps(planned("aws", 4), low) if each.kind == "traffic"]
    assert {each.users for each in down} == {"reads slower"}
    limited = {**AWS, "database": {"rpo_seconds": 30}}
    high = planned("aws", 4, aws=limited)
    members = [
        effect(each, high).users for each in steps(planned("aws", 3, aws=limited), high) if each.kind == "member"
    ]
    assert members == ["writes paused"]


def test_times_are_said_as_people_say_them() -> None:
    assert [span(each) for each in (0, 0.02, 60, 90, 480, 3600, 86400)] == [
        "0 s", "0.02 s", "1 min", "90 s", "8 min", "1 h", "1 d",
    ]  # fmt: skip
