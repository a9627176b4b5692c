"""The second invariant on AWS: after a failover `up` has nothing to do, whichever region writes."""

from dataclasses import replace
from functools import cache
from typing import Any

import pulumi_aws as aws
import pytest

from components.aws.guards import CLUSTER_IGNORES, INSTANCE_IGNORES
from engine.recorder import Graph, Registered
from tests.components.aws.failover import (
    CLUSTER,
    GLOBAL,
    INSTANCE,
    Verdict,
    after_failover,
    members,
    moves,
    named,
    recorded_after,
    rows,
    verdicts,
)
from tests.components.aws.members import cut, graph, register
from tests.components.aws.stacks import recorded
from tests.components.aws.test_replacement import arguments_class, exists, names

PHASES = (3, 4, 5)
CLASSES = ("db.serverless", "db.r6g.large")

# What `up` would do without an entry. Those that only update are on the lists all the same: AWS refuses them, or each
# preview would show them.
WITHOUT: dict[tuple[str, str], str] = {
    (CLUSTER, "globalClusterIdentifier"): "refuse",
    (CLUSTER, "replicationSourceIdentifier"): "promote",
    (CLUSTER, "availabilityZones"): "replace",
    (CLUSTER, "masterUsername"): "replace",
    (CLUSTER, "databaseName"): "replace",
    (CLUSTER, "masterPassword"): "refuse",
    (CLUSTER, "engineVersion"): "update",
    (CLUSTER, "snapshotIdentifier"): "update",
    (INSTANCE, "availabilityZone"): "replace",
    (INSTANCE, "engineVersion"): "update",
    (INSTANCE, "preferredBackupWindow"): "update",
    (GLOBAL, "databaseName"): "replace",
    (GLOBAL, "sourceDbClusterIdentifier"): "replace",
}


@cache
def stack(phase: int, class_: str = CLASSES[0]) -> Graph:
    return graph(cut(phase=phase, instance_class=class_, rpo_seconds=60))


def moved(phase: int) -> list[list[Verdict]]:
    before = stack(phase)
    return [verdicts(before, after_failover(before, *move)) for move in moves(before)]


def edited(before: Graph, type_: str, **inputs: Any) -> Graph:
    """The same program with other inputs for a type, None for none."""

    def edit(resource: Registered) -> Registered:
        if resource.type != type_:
            return resource
        values = {**resource.inputs, **inputs}
        return replace(resource, inputs={key: value for key, value in values.items() if value is not None})

    return Graph(resources={urn: edit(resource) for urn, resource in before.resources.items()})


@pytest.mark.parametrize("class_", CLASSES)
@pytest.mark.parametrize("phase", PHASES)
def test_nothing_changes_whichever_region_writes(phase: int, class_: str) -> None:
    before = stack(phase, class_)
    found = list(moves(before))
    assert len(found) == {3: 2, 4: 3, 5: 6}[phase]
    for partition, region in found:
        states = after_failover(before, partition, region)
        assert verdicts(before, states) == [], f"{partition} written in {region}"


@pytest.mark.parametrize("phase", PHASES)
def test_the_state_is_another_one_after_each_failover(phase: int) -> None:
    """The check above has something to find: every member's state differs, and no two failovers leave the same."""
    before = stack(phase)
    for partition, region in moves(before):
        states = after_failover(before, partition, region)
        for place, cluster in members(before, partition).items():
            source = states[cluster.urn]["replicationSourceIdentifier"]
            assert source == "" if place == region else f":{region}:" in source
            assert states[cluster.urn] != cluster.inputs


@pytest.mark.parametrize(("entry", "effect"), WITHOUT.items(), ids=lambda value: str(value))
@pytest.mark.parametrize("phase", PHASES)
def test_every_entry_of_an_ignore_list_is_needed(phase: int, entry: tuple[str, str], effect: str) -> None:
    before = stack(phase)
    effects: set[str] = set()
    for move in moves(before):
        found = verdicts(before, after_failover(before, *move), off=frozenset({entry}))
        assert {(each.type, each.argument) for each in found} == {entry}
        effects |= named(found, entry[1])
    # A member that is out of its global database for a while takes a password, so there it only updates.
    assert effect in effects <= {effect, "update"}


def test_without_the_replication_source_every_member_but_the_writer_is_promoted() -> None:
    before = stack(4)
    off = frozenset({(CLUSTER, "replicationSourceIdentifier")})
    found = verdicts(before, after_failover(before, "main", "us-east-1"), off=off)
    assert {each.name for each in found} == {"main-eu-west-1-cluster", "main-eu-central-1-cluster"}


def test_every_entry_is_tried() -> None:
    def camel(entry: str) -> str:
        first, *rest = entry.split("_")
        return first + "".join(word.capitalize() for word in rest)

    listed = {(CLUSTER, camel(entry)) for entry in CLUSTER_IGNORES}
    listed |= {(INSTANCE, camel(entry)) for entry in INSTANCE_IGNORES}
    before = stack(5)
    listed |= {(GLOBAL, entry) for each in before.of_type(GLOBAL) for entry in each.ignore_changes}
    assert set(WITHOUT) == listed


def test_a_program_that_leaves_out_the_global_cluster_would_detach_its_members() -> None:
    """Which is what the entry is for where the origin was made before its global cluster."""
    before = stack(3)
    states = after_failover(before, "main", "eu-central-1")
    without = edited(before, CLUSTER, globalClusterIdentifier=None)
    assert verdicts(without, states) == []
    found = verdicts(without, states, off=frozenset({(CLUSTER, "globalClusterIdentifier")}))
    assert named(found, "globalClusterIdentifier") == {"detach"}


def test_an_input_that_names_the_writer_is_found() -> None:
    before = stack(3)
    states = after_failover(before, "main", "eu-central-1")
    off = frozenset({(CLUSTER, "replicationSourceIdentifier")})
    writer = edited(before, CLUSTER, replicationSourceIdentifier="arn:aws:rds:eu-west-1:123456789012:cluster:main")
    assert named(verdicts(writer, states, off=off), "replicationSourceIdentifier") == {"refuse"}
    region = edited(before, CLUSTER, sourceRegion="eu-central-1")
    assert named(verdicts(region, states), "sourceRegion") == {"replace"}


@pytest.mark.parametrize("phase", PHASES)
def test_no_input_is_made_from_what_a_failover_changes(phase: int) -> None:
    """The same program, answered as after each failover: it asks for the same, whoever writes."""
    planned, before = cut(phase=phase, rpo_seconds=60), stack(phase)
    asked = {
        (partition, region): {
            urn: resource.inputs
            for urn, resource in recorded_after(lambda: graph(planned), before, partition, region).resources.items()
        }
        for partition, region in moves(before)
    }
    for (partition, region), inputs in asked.items():
        home = next(iter(members(before, partition)))
        assert inputs == asked[partition, home], f"{partition} written in {region}"


def test_an_input_made_from_such_an_output_is_found() -> None:
    """The check above, on a program that passes the writer's flag on."""
    planned, before = cut(phase=3), stack(3)

    def program() -> None:
        source = register(planned)["main-eu-central-1"].cluster.replication_source_identifier
        aws.ssm.Parameter("writer", type="String", value=source.apply(str), region="eu-west-1")

    told = {
        region: recorded_after(lambda: recorded(program), before, "main", region).named("writer").inputs["value"]
        for region in ("eu-west-1", "eu-central-1")
    }
    assert told["eu-central-1"] == ""
    assert ":eu-west-1:" in told["eu-west-1"]


def test_the_table_is_true_to_the_sdk() -> None:
    """An `input` is an argument; an `output` is none, so nobody can ignore it, and nobody needs to."""
    for row in rows():
        assert exists(row.type, row.property) == (row.kind == "input"), f"{row.type} {row.property}"
        assert row.source
        assert row.cause in ("failover", "upgrade", "operations", "import")
        assert row.kind in ("input", "output")
        assert names(arguments_class(row.type))
