"""The steps that phase 5 has, on every target: nothing that holds data goes or is made anew, and residency holds."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from operations import pack
from policies.rules import RULES
from policies.rules.members import databases
from policies.rules.rule import violations
from policies.rules.settings import Settings as PackSettings
from tests.operations import walks
from tests.operations.test_walks import previewed
from tests.operations.walks import Settings, Stack, cloud_losses, graph
from tests.topology.plans import config
from topology import Refusal, Target, check
from topology.catalogue import catalogue

TARGETS: tuple[Target, ...] = ("aws", "gcp", "local")


def first(target: Target) -> Settings:
    """Phase 4 in three regions; of `far` there may be copies in the second and the third alone."""
    names = walks.REGIONS[target][:3]
    known = catalogue(target)
    far = {
        "name": "far",
        "slot": 1,
        "origin": names[1],
        "serves": ["US"],
        "residency": {"copies": sorted({known[name].country for name in names[1:]})},
    }
    found = config(*names, target=target, phase=4, partitions=[far])
    found["regions"] = [{"name": name, "slot": slot} for slot, name in enumerate(names)]
    return found


def near(target: Target) -> dict[str, Any]:
    return {"name": "near", "slot": 2, "origin": walks.REGIONS[target][2], "serves": ["JP"]}


def losses(target: Target) -> Callable[[Stack, Settings], list[str]]:
    return previewed if target == "local" else cloud_losses


def up(stack: Stack, **changes: Any) -> list[str]:
    """What an `up` to these settings would lose. It must not be refused."""
    after = {**deepcopy(stack.settings), **changes}
    found = stack.up(after)
    assert stack.settings == after, "the step was refused"
    return found


def held(settings: Settings) -> dict[str, set[str]]:
    """The regions in which the program makes a database of each partition."""
    found = databases([pack.resource(item) for item in graph(settings)])
    return {partition: set(regions) for partition, regions in found.items()}


def refused(stack: Stack) -> list[str]:
    """What the policies refuse of a stack."""
    by = PackSettings.of(pack.configuration(stack.topology))
    found = violations(RULES, [pack.resource(item) for item in graph(stack.settings)], by)
    return [each.message for each in found if each.rule.level == "mandatory"]


@pytest.mark.parametrize("target", TARGETS)
def test_partitions_come_and_change_and_go_and_no_other_data_is_touched(target: Target) -> None:
    names = walks.REGIONS[target][:3]
    stack = Stack.born(first(target))
    stack.loses = losses(target)
    far = stack.settings["partitions"][0]
    assert held(stack.settings) == {"main": set(names)}

    assert up(stack, phase=5) == []
    assert held(stack.settings) == {"main": set(names), "far": set(names[1:])}
    assert refused(stack) == []

    assert up(stack, partitions=[far, near(target)]) == []
    assert held(stack.settings)["near"] == set(names)
    assert held(stack.settings)["far"] == set(names[1:])

    stack.moved = {"far": names[2]}  # a failover changes nothing of what follows
    assert up(stack, partitions=[{**far, "serves": ["US", "CA"]}, near(target)]) == []
    assert up(stack, partitions=[far, {**near(target), "serves": ["JP", "BR"]}]) == []
    stack.moved = {}

    closed = walks.planned({**stack.settings, "partitions": [far]})
    with pytest.raises(Refusal, match=f"retire: .{names[2]}"):
        check(stack.topology, closed, ())
    gone = up(stack, partitions=[far], retire=[names[2]])
    assert gone, "its copies elsewhere are given up with the region that it began in"
    assert all("near" in each for each in gone), gone
    assert held(stack.settings) == {"main": set(names), "far": set(names[1:])}


@pytest.mark.parametrize("target", TARGETS)
def test_an_origin_that_is_retired_takes_no_copy_elsewhere_along(target: Target) -> None:
    """After a failover the region that a partition began in may go, but only with the partition."""
    names = walks.REGIONS[target][:3]
    stack = Stack.born({**first(target), "phase": 5, "partitions": [near(target)]})
    stack.loses = losses(target)
    kept = [region for region in stack.settings["regions"] if region["name"] != names[2]]
    without: Settings = {**stack.settings, "regions": kept}
    stack.up({**without, "retire": [names[2]]})
    assert stack.settings["regions"] != kept, "`near` names a region as its origin that is not listed"
    elsewhere = walks.planned({**without, "partitions": [{**near(target), "origin": names[1]}]})
    with pytest.raises(Refusal, match="near has the origin"):
        check(stack.topology, elsewhere, (names[2],))


@pytest.mark.parametrize("target", TARGETS)
def test_a_copy_that_residency_takes_away_goes_only_when_its_region_is_named(target: Target) -> None:
    names = walks.REGIONS[target][:3]
    known = catalogue(target)
    stack = Stack.born({**first(target), "phase": 5, "partitions": [near(target)]})
    stack.loses = losses(target)
    narrow = [{**near(target), "residency": {"copies": [known[names[0]].country, known[names[2]].country]}}]
    narrower = walks.planned({**stack.settings, "partitions": narrow})
    with pytest.raises(Refusal, match=f"residency: near may not be copied to {names[1]} any more"):
        check(stack.topology, narrower, ())
    assert up(stack, partitions=narrow, retire=[names[1]]) == []
    assert held(stack.settings) == {"main": set(names), "near": {names[0], names[2]}}
    assert refused(stack) == []
