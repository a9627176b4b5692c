"""What a stack's state looks like when the writer has moved, and what the program would then do to it.

    states = after_failover(graph, "main", "eu-central-1")
    assert verdicts(graph, states) == []

failover.csv says which properties a refresh finds changed, by type: everything at once, a lost region's member not yet
rebuilt, an upgrade, a rotation and an import included. Rows of the kind `output` are no arguments; `recorded_after`
runs the program on them, because an argument may be made from one.

A property that the program does not set counts as emptied where the state has it, as for an argument that is optional
and not computed in the provider's schema. For those that are computed as well this is the darker view.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from components.aws.replacement import consequences
from components.replacement import any_change, path_keys, put_back
from engine import recorder, sdk
from engine.recorder import Graph, RecordingMonitor, Registered

ROWS = Path(__file__).with_name("failover.csv")
CLUSTER = "aws:rds/cluster:Cluster"
INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
GLOBAL = "aws:rds/globalCluster:GlobalCluster"

State = Mapping[str, Any]
Off = frozenset[tuple[str, str]]  # type and entry, in camelCase


@dataclass(frozen=True, kw_only=True)
class Row:
    type: str
    property: str
    kind: str  # input or output
    of: str  # which resources: writer, others (all members but the writer), former (the writer before), every
    value: str
    cause: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Failover:
    """A partition's writer moved from one region to another."""

    graph: Graph
    partition: str
    former: str
    writer: str

    @property
    def clusters(self) -> dict[str, Registered]:
        return members(self.graph, self.partition)

    def arn(self, region: str) -> str:
        return f"arn:aws:rds:{region}:123456789012:cluster:{self.clusters[region].inputs['clusterIdentifier']}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What `up` would do to one argument of one resource: update, replace, promote, detach, or be refused."""

    name: str
    type: str
    argument: str
    effect: str


@cache
def rows() -> tuple[Row, ...]:
    with ROWS.open(encoding="utf-8", newline="") as file:
        return tuple(Row(**row) for row in csv.DictReader(file))


def members(graph: Graph, partition: str) -> dict[str, Registered]:
    """A partition's clusters by region, the origin first: it alone makes the database."""
    found = [each for each in graph.of_type(CLUSTER) if each.inputs["tags"]["partition"] == partition]
    found.sort(key=lambda each: ("masterUsername" not in each.inputs, each.name))
    return {each.inputs["region"]: each for each in found}


def partitions(graph: Graph) -> list[str]:
    return sorted({each.inputs["tags"]["partition"] for each in graph.of_type(CLUSTER)})


def moves(graph: Graph) -> Iterator[tuple[str, str]]:
    """Every partition with every region that its writer can move to: one whose member has instances."""
    served = {each.inputs["clusterIdentifier"] for each in graph.of_type(INSTANCE)}
    for partition in partitions(graph):
        found = members(graph, partition)
        yield from ((partition, region) for region, each in found.items() if len(found) > 1 and each.name in served)


VALUES: Mapping[str, Callable[[Failover, Registered], Any]] = {
    "empty": lambda _event, _resource: "",
    "writer": lambda event, _resource: event.arn(event.writer),
    "origin": lambda event, _resource: event.arn(next(iter(event.clusters))),
    "administrator": lambda _event, _resource: "meridian",
    "database": lambda _event, _resource: "orders",
    "zones": lambda _event, resource: [f"{resource.inputs['region']}{letter}" for letter in "bcd"],
    "zone": lambda _event, resource: f"{resource.inputs['region']}d",
    "newer": lambda _event, _resource: "17.99",
    "snapshot": lambda event, _resource: f"rds:unplanned-global-failover-{event.partition}",
    "window": lambda _event, _resource: "09:10-09:40",
    "flag": lambda event, resource: resource.inputs["region"] == event.writer and resource.name.endswith("-instance-1"),
    "members": lambda event, _resource: [
        {"dbClusterArn": event.arn(region), "isWriter": region == event.writer} for region in event.clusters
    ],
    "same": lambda _event, resource: f"{resource.name}.as-before",
    "shifted": lambda _event, resource: shifted(resource.inputs["actions"]),
    "weights": lambda _event, resource: [
        {**each, "weight": 0 if each["weight"] else 128} for each in resource.inputs["endpointConfigurations"]
    ],
    "scaled": lambda _event, resource: resource.inputs["desiredCount"] + 7,
    "rotated": lambda _event, _resource: "rotated",
    "stages": lambda _event, _resource: ["AWSPREVIOUS"],
}


def shifted(actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the answer is a fixed one, the other one."""
    other = {"200": "503", "202": "200", "503": "200"}
    return [
        {**each, "fixedResponse": {**fixed, "statusCode": other.get(fixed["statusCode"], fixed["statusCode"])}}
        if (fixed := each.get("fixedResponse"))
        else each
        for each in actions
    ]


def concerns(row: Row, event: Failover, resource: Registered) -> bool:
    """Rows of a member's types are about the partition's own, the others about all."""
    if row.type != resource.type:
        return False
    if row.type in (CLUSTER, INSTANCE, GLOBAL) and resource.inputs["tags"]["partition"] != event.partition:
        return False
    region = resource.inputs.get("region")  # global services have none
    return {
        "every": True,
        "writer": region == event.writer,
        "others": region != event.writer,
        "former": region == event.former,
    }[row.of]


def found_after(graph: Graph, partition: str, new_writer_region: str, kind: str) -> dict[str, dict[str, Any]]:
    regions = list(members(graph, partition))
    former = next(region for region in regions if region != new_writer_region)
    event = Failover(graph=graph, partition=partition, former=former, writer=new_writer_region)
    return {
        resource.urn: {
            row.property: VALUES[row.value](event, resource)
            for row in rows()
            if row.kind == kind and concerns(row, event, resource)
        }
        for resource in graph
    }


def after_failover(graph: Graph, partition: str, new_writer_region: str) -> dict[str, State]:
    """The arguments of every resource as the refreshed state has them, by URN."""
    changed = found_after(graph, partition, new_writer_region, "input")
    return {urn: {**graph.resources[urn].inputs, **values} for urn, values in changed.items() if values}


def verdicts(graph: Graph, states: Mapping[str, State], *, off: Off = frozenset()) -> list[Verdict]:
    """What the program that `graph` is of would do to those states. `off` takes entries off ignore lists."""
    return [verdict for urn, state in sorted(states.items()) for verdict in judge(graph.resources[urn], state, off)]


def judge(resource: Registered, state: State, off: Off) -> Iterator[Verdict]:
    ignored = [entry for entry in resource.ignore_changes if (resource.type, entry) not in off]
    news: Any = dict(resource.inputs)
    for entry in ignored:
        news = put_back(state, news, path_keys(entry))
    effects = {each.argument: each.effect for each in consequences(resource.type, state, news)}
    changed = {key for key in {*state, *news} if any_change(state.get(key), news.get(key))}
    for argument in sorted(changed | set(effects)):
        effect = effects.get(argument, "update")
        yield Verdict(name=resource.name, type=resource.type, argument=argument, effect=effect)


def recorded_after(program: Callable[[], Graph], before: Graph, partition: str, new_writer_region: str) -> Graph:
    """The program once more, each resource answering with what it is after the failover, its outputs included."""
    kinds = [found_after(before, partition, new_writer_region, kind) for kind in ("input", "output")]

    class Monitor(RecordingMonitor):
        def RegisterResource(self, request: Any) -> Any:
            response = super().RegisterResource(request)
            answers = {key: value for kind in kinds for key, value in kind.get(response.urn, {}).items()}
            response.object.MergeFrom(sdk.to_struct(answers))
            return response

    with patch.object(recorder, "RecordingMonitor", Monitor):
        return program()


def named(found: Iterable[Verdict], argument: str) -> set[str]:
    return {each.effect for each in found if each.argument == argument}
