"""The second invariant on Google Cloud: after a failover `up` has nothing to do, whichever region writes."""

from dataclasses import replace
from functools import cache
from typing import Any

import pulumi_gcp as gcp
import pytest

from components.gcp.guards import DATABASE_IGNORES, INSTANCE_IGNORES, USER_IGNORES, WRITE_ENDPOINT_IGNORES
from engine.recorder import Graph, Registered
from tests.components.failover import Verdict, named
from tests.components.gcp.failover import CLOUD, DATABASE, INSTANCE, RECORD, USER, members, moves
from tests.components.gcp.members import cut, graph, register
from tests.components.gcp.stacks import recorded
from tests.components.sdk import exists

PHASES = (2, 3, 4, 5)

# What `up` would do without an entry, to one member or to another. Those that only update are on the lists all the
# same: each would take back what operations or Cloud SQL did.
WITHOUT: dict[tuple[str, str], set[str]] = {
    (INSTANCE, "masterInstanceName"): {"replace-if"},
    (INSTANCE, "instanceType"): {"update"},
    (INSTANCE, "replicaNames"): {"update"},
    (INSTANCE, "replicaConfiguration"): {"replace", "replace-if"},
    (INSTANCE, "replicationCluster"): {"update"},
    (INSTANCE, "settings.backupConfiguration"): {"refuse"},
    (INSTANCE, "settings.maintenanceWindow"): {"refuse"},
    (INSTANCE, "settings.diskSize"): {"update"},
    (DATABASE, "instance"): {"replace"},
    (USER, "instance"): {"replace"},
    (USER, "password"): {"update"},
    (RECORD, "rrdatas"): {"update"},
}


@cache
def stack(phase: int) -> Graph:
    return graph(cut(phase=phase))


def edited(before: Graph, type_: str, **inputs: Any) -> Graph:
    """The same program with other inputs for a type."""

    def edit(resource: Registered) -> Registered:
        return replace(resource, inputs={**resource.inputs, **inputs}) if resource.type == type_ else resource

    return Graph(resources={urn: edit(resource) for urn, resource in before.resources.items()})


def without(before: Graph, partition: str, region: str, *entry: str) -> list[Verdict]:
    off = frozenset({(entry[0], entry[1])})
    return CLOUD.verdicts(before, CLOUD.after_failover(before, partition, region), off=off)


@pytest.mark.parametrize("phase", PHASES)
def test_nothing_changes_whichever_region_writes(phase: int) -> None:
    before = stack(phase)
    found = list(moves(before))
    assert len(found) == {2: 2, 3: 2, 4: 3, 5: 6}[phase]
    for partition, region in found:
        states = CLOUD.after_failover(before, partition, region)
        assert CLOUD.verdicts(before, states) == [], f"{partition} written in {region}"


@pytest.mark.parametrize("phase", PHASES)
def test_the_state_is_another_one_after_each_failover(phase: int) -> None:
    """The check above has something to find: every member's state differs, and no two failovers leave the same."""
    before = stack(phase)
    for partition, region in moves(before):
        states = CLOUD.after_failover(before, partition, region)
        found = members(before, partition)
        for place, instance in found.items():
            master = states[instance.urn]["masterInstanceName"]
            assert master == ("" if place == region else found[region].inputs["name"])
            assert states[instance.urn] != instance.inputs


@pytest.mark.parametrize("entry", WITHOUT, ids=":".join)
@pytest.mark.parametrize("phase", PHASES)
def test_every_entry_of_an_ignore_list_is_needed(phase: int, entry: tuple[str, str]) -> None:
    before = stack(phase)
    effects: set[str] = set()
    for move in moves(before):
        found = without(before, *move, *entry)
        assert {each.type for each in found} <= {entry[0]}
        assert all(f"{each.argument}.".startswith(f"{entry[1]}.") for each in found)
        effects |= named(found, entry[1])
    assert WITHOUT[entry] <= effects <= WITHOUT[entry] | {"update"}


def test_every_entry_is_tried() -> None:
    listed = {(INSTANCE, entry) for entry in INSTANCE_IGNORES} | {(DATABASE, entry) for entry in DATABASE_IGNORES}
    listed |= {(USER, entry) for entry in USER_IGNORES} | {(RECORD, entry) for entry in WRITE_ENDPOINT_IGNORES}
    assert set(WITHOUT) == listed
    before = stack(5)
    for type_ in (INSTANCE, DATABASE, USER):
        for resource in before.of_type(type_):
            assert set(resource.ignore_changes) == {entry for known, entry in listed if known == type_}, resource.name


def test_without_the_master_the_new_writer_is_replaced_by_an_empty_copy() -> None:
    for writer in ("europe-west1", "us-east4"):
        found = without(stack(4), "main", writer, INSTANCE, "masterInstanceName")
        assert f"main-{writer}-instance" in {each.name for each in found if each.effect == "replace-if"}


def test_without_the_backups_a_former_writer_is_asked_for_what_a_replica_refuses() -> None:
    found = without(stack(3), "main", "europe-west1", INSTANCE, "settings.backupConfiguration")
    assert {each.name for each in found if each.effect == "refuse"} == {"main-europe-west3-instance"}


def test_an_input_that_says_who_is_writer_is_found() -> None:
    """Which is why none is there: a program that says a member is a primary promotes it when it is one no more."""
    before = stack(3)
    states = CLOUD.after_failover(before, "main", "europe-west1")
    off = frozenset({(INSTANCE, "instanceType")})
    primary = edited(before, INSTANCE, instanceType="CLOUD_SQL_INSTANCE")
    assert CLOUD.verdicts(primary, states) == []
    found = CLOUD.verdicts(primary, states, off=off)
    assert {(each.name, each.effect) for each in found} == {("main-europe-west3-instance", "promote")}
    replica = edited(before, INSTANCE, instanceType="READ_REPLICA_INSTANCE")
    found = CLOUD.verdicts(replica, states, off=off)
    assert {(each.name, each.effect) for each in found} == {("main-europe-west1-instance", "demote")}


def test_a_designation_that_names_the_wrong_replica_is_found() -> None:
    before = stack(3)
    states = CLOUD.after_failover(before, "main", "europe-west1")
    stale = edited(before, INSTANCE, replicationCluster={"failoverDrReplicaName": "main-europe-west1"})
    assert CLOUD.verdicts(stale, states) == []
    found = CLOUD.verdicts(stale, states, off=frozenset({(INSTANCE, "replicationCluster")}))
    assert "refuse" in {each.effect for each in found if each.name == "main-europe-west3-instance"}


@pytest.mark.parametrize("phase", PHASES[:-1])
def test_a_member_that_is_added_after_a_failover_changes_no_other(phase: int) -> None:
    """The next phase, on the state that a failover left."""
    before, after = stack(phase), stack(phase + 1)
    for move in moves(before):
        found = CLOUD.verdicts(after, CLOUD.after_failover(before, *move))
        assert {(each.argument, each.effect) for each in found} <= {("settings.availabilityType", "update")}


@pytest.mark.parametrize("phase", PHASES)
def test_no_input_is_made_from_what_a_failover_changes(phase: int) -> None:
    """The same program, answered as after each failover: it asks for the same, whoever writes."""
    planned, before = cut(phase=phase), stack(phase)

    asked = {
        (partition, region): {
            urn: resource.inputs
            for urn, resource in CLOUD.recorded_after(
                lambda: graph(planned), before, partition, region
            ).resources.items()
        }
        for partition, region in moves(before)
    }
    for (partition, region), inputs in asked.items():
        home = next(iter(members(before, partition)))
        assert inputs == asked[partition, home], f"{partition} written in {region}"


def test_an_input_made_from_such_an_output_is_found() -> None:
    """The check above, on a program that passes on whom a member follows."""
    planned, before = cut(phase=3), stack(3)

    def program() -> None:
        master = register(planned)["main-europe-west1"].instance.master_instance_name
        gcp.dns.RecordSet("master", name="m.", managed_zone="z", type="TXT", rrdatas=[master.apply(str)], ttl=5)

    told = {
        region: CLOUD.recorded_after(lambda: recorded(program), before, "main", region)
        .named("master")
        .inputs["rrdatas"]
        for region in ("europe-west3", "europe-west1")
    }
    assert told["europe-west1"] == [""]
    assert told["europe-west3"] == ["meridian-production-gcp-main-europe-west3"]


def test_the_table_is_true_to_the_sdk() -> None:
    """An `input` is an argument; an `output` is none, so nobody can ignore it, and nobody needs to."""
    for row in CLOUD.rows:
        assert exists(row.type, row.property) == (row.kind == "input"), f"{row.type} {row.property}"
        assert row.source
        assert row.cause in ("failover", "upgrade", "operations", "import")
        assert row.kind in ("input", "output")
        assert row.value in CLOUD.values
