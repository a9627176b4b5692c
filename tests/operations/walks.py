"""Walks of a stack: phase bumps, added and dropped regions, failovers and failbacks, each followed by `up`.

A state is what a refresh would find: the inputs of each resource as the last `up` left them, with what a failover
moved since. `counterexample` prints a walk that loses something as settings that a user could paste, move by move.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from typing import Any

from hypothesis import strategies as st
from ruamel.yaml import YAML

from engine.recorder import Graph, Registered
from operations.changes import Change, lost
from operations.consequences import Known, judged
from operations.recording import record
from tests.components.aws import failover as aws_failover
from tests.components.gcp import failover as gcp_failover
from tests.topology.plans import config
from topology import SettingsError, Target, Topology, check, load, plan

# Few enough that walks meet each other, and a program that ran once for some settings need not run again.
REGIONS: dict[Target, tuple[str, ...]] = {
    "aws": ("eu-west-1", "eu-central-1", "us-east-1", "ap-northeast-1"),
    "gcp": ("europe-west3", "europe-west1", "us-east4", "asia-northeast1"),
    "local": ("eu-central", "us-east", "ap-northeast", "sa-east"),
}
PLACES = ("US", "JP", "BR", "IN")

Settings = dict[str, Any]
Move = tuple[str, Any]


@dataclass(frozen=True, kw_only=True)
class Walk:
    first: Settings
    moves: tuple[Move, ...]

    def __repr__(self) -> str:
        return counterexample(self)


@st.composite
def walks(draw: st.DrawFn, target: Target, most: int = 6) -> Walk:
    names = draw(st.permutations(REGIONS[target]))
    count = draw(st.integers(1, 3))
    first = config(*names[:count], target=target, phase=1)
    first["regions"] = [{"name": name, "slot": slot} for slot, name in enumerate(names[:count])]
    first["partitions"] = [{"name": "far", "slot": 1, "origin": names[count - 1], "serves": [PLACES[0]]}]
    step = st.one_of(
        st.tuples(st.just("climb"), st.integers(1, 4)),
        st.tuples(st.just("add region"), st.sampled_from(names)),
        st.tuples(st.just("fail over"), st.integers(0, 5)),
        st.tuples(st.just("fail back"), st.integers(0, 5)),
        st.tuples(st.just("lower"), st.integers(1, 4)),
        st.tuples(st.just("drop region"), st.sampled_from(names)),
        st.tuples(st.just("retire"), st.sampled_from(names)),
    )
    return Walk(first=first, moves=tuple(draw(st.lists(step, min_size=1, max_size=most))))


def changed(settings: Settings, move: Move, used: int) -> Settings:
    """The settings after a user's edit; failovers are none. `used` is the first slot that nothing ever had."""
    kind, what = move
    after = deepcopy(settings)
    names = [region["name"] for region in settings["regions"]]
    if kind == "climb":
        after["phase"] = min(settings["phase"] + what, 5)
    elif kind == "lower":
        after["phase"] = max(settings["phase"] - what, 1)
    elif kind == "add region" and what not in names:
        after["regions"].append({"name": what, "slot": used})
    elif kind == "drop region":
        after["regions"] = [region for region in after["regions"] if region["name"] != what]
    elif kind == "retire":
        after["retire"] = sorted({*settings.get("retire", ()), what})
    return after


@dataclass
class Stack:
    """A stack that is walked. `losses` finds what an `up` from one graph to another would lose."""

    settings: Settings
    topology: Topology
    slots: int  # the first that nothing ever had
    moved: dict[str, str] = field(default_factory=dict)  # partitions whose writer is elsewhere
    loses: Callable[["Stack", Settings], list[str]] | None = None
    states: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def born(cls, settings: Settings) -> "Stack":
        return cls(settings=settings, topology=planned(settings), slots=len(settings["regions"]))

    def up(self, after: Settings) -> list[str]:
        """What would be lost without having been given up; empty where `up` refuses, and the stack stays as it is."""
        try:
            topology = planned(after)
            check(self.topology, topology, after.get("retire", ()))
        except SettingsError:
            return []
        given = set(after.get("retire", ()))
        found = [
            f"{name} is gone" for name in gone(self.topology, topology) if not is_given(self.topology, name, given)
        ]
        found += moved_ground(self.topology, topology)
        if self.loses is not None:
            found += self.loses(self, after)
        self.settings, self.topology = after, topology
        slots = (region["slot"] + 1 for region in after["regions"])
        self.slots = max(self.slots, *slots)
        return found


def planned(settings: Settings) -> Topology:
    return plan(load(settings, "walk"))


def gone(before: Topology, after: Topology) -> set[str]:
    return {member.name for member in before.members} - {member.name for member in after.members}


def is_given(before: Topology, name: str, given: set[str]) -> bool:
    member = before.member(name)
    return bool({member.region, before.partition(member.partition).origin} & given)


def moved_ground(before: Topology, after: Topology) -> Iterator[str]:
    """What would replace everything that stands on it."""
    left = {region.name: region for region in after.regions}
    for region in before.regions_in_use:
        now = left.get(region.name)
        if now is not None and (region.slot, region.cidr) != (now.slot, now.cidr):
            yield f"{region.name} has another range"
    for partition in before.partitions:
        if any(each.name == partition.name and each.origin != partition.origin for each in after.partitions):
            yield f"{partition.name} has another origin"


def losses(walk: Walk, loses: Callable[[Stack, Settings], list[str]] | None = None) -> list[str]:
    """Everything that a walk loses, move by move."""
    stack = Stack.born(walk.first)
    stack.loses = loses
    found = stack.up(walk.first)
    for number, move in enumerate(walk.moves, 1):
        if move[0] in ("fail over", "fail back"):
            fail(stack, move)
        after = changed(stack.settings, move, stack.slots)
        found += [f"move {number}, {move[0]} {move[1]}: {what}" for what in stack.up(after)]
    return found


def fail(stack: Stack, move: Move) -> None:
    """Move a partition's writer; back means to its origin."""
    served = [
        (partition.name, member.region)
        for partition in stack.topology.partitions
        for member in map(stack.topology.member, partition.members)
        if member.instances and stack.topology.region(member.region).has_service
    ]
    partition, region = served[move[1] % len(served)]
    if move[0] == "fail back":
        region = stack.topology.partition(partition).origin
    stack.moved[partition] = region


# On a cloud: what its tables make of the difference between the state and what the program registers


@cache
def graph_of(text: str) -> Graph:
    return record(json.loads(text), stack="walk")


def graph(settings: Settings) -> Graph:
    return graph_of(json.dumps(settings, sort_keys=True))


def refreshed(target: str, of: Graph, partition: str, region: str) -> Mapping[str, Mapping[str, Any]]:
    """What a refresh finds changed after a failover, by URN."""
    module: Any = aws_failover if target == "aws" else gcp_failover.CLOUD
    members = aws_failover.members(of, partition) if target == "aws" else gcp_failover.members(of, partition)
    if len(members) < 2 or region not in members:
        return {}
    return module.after_failover(of, partition, region)


def cloud_losses(stack: Stack, after: Settings) -> list[str]:
    """What `up` would replace, delete, promote or detach that nobody gave up."""
    target = stack.topology.target
    before, now = graph(stack.settings), graph(after)
    states = {resource.urn: resource.inputs for resource in before}
    for partition, region in stack.moved.items():
        if any(each.name == partition for each in stack.topology.partitions):
            states |= refreshed(target, before, partition, region)
    changes = [change_of(resource, now.resources.get(resource.urn)) for resource in before if resource.custom]
    olds = {resource.urn: known(resource, states[resource.urn]) for resource in before if resource.custom}
    news = {resource.urn: known(resource, resource.inputs) for resource in now if resource.custom}
    given = after.get("retire", ())
    return [
        f"{change.name} ({change.type}): {change.op}; {'; '.join(change.consequences)}"
        for change in lost(judged(changes, olds, news))
        if not any(region in change.name for region in given)
    ]


def change_of(was: Registered, now: Registered | None) -> Change:
    op = "delete" if now is None else "update"
    return Change(op=op, urn=was.urn, type=was.type, name=was.name, protected=was.protect)


def known(resource: Registered, inputs: Mapping[str, Any]) -> Known:
    return Known(type=resource.type, inputs=inputs, id=resource.name, ignored=resource.ignore_changes)


# As a user would see it


def counterexample(walk: Walk) -> str:
    """The walk as a settings file and what is done to it."""
    stack = Stack.born(walk.first)
    lines = [pasted(walk.first)]
    for number, move in enumerate(walk.moves, 1):
        lines.append(f"# move {number}: {move[0]} {move[1]}")
        after = changed(stack.settings, move, stack.slots)
        before = stack.settings
        stack.up(after)
        if stack.settings != before:
            lines.append(pasted({key: stack.settings[key] for key in after if after[key] != before.get(key)}))
        elif after != before:
            lines.append("# refused")
    return "\n" + "\n".join(lines)


def pasted(settings: Settings) -> str:
    stream = StringIO()
    YAML().dump({"config": {f"meridian:{key}": value for key, value in settings.items()}}, stream)
    return stream.getvalue()
