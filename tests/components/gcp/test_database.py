"""The members on Google Cloud, at every phase, with one region to five."""

import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import pulumi
import pytest

from components.contracts import FoundationArgs
from components.gcp import accounts, paths, windows
from components.gcp.foundation import Foundation
from components.gcp.guards import INSTANCE_IGNORES
from components.gcp.replacement import consequences
from engine.recorder import Graph, Registered, record
from tests.components.failover import differences
from tests.components.gcp.failover import DATABASE, INSTANCE, RECORD, USER, members, partitions
from tests.components.gcp.members import REGIONS, cut, graph, register
from tests.components.gcp.stacks import config, recorded
from tests.components.sdk import exists
from topology import load, plan
from topology.catalogue import catalogue

DOMAIN = "meridian-production-gcp.internal."

# What may differ between members of a partition: where each is, what it is called, and how the origin was born.
OWN = {
    *("name", "region", "encryptionKeyName", "masterInstanceName", "settings.userLabels.region"),
    *("settings.ipConfiguration.allocatedIpRange", "settings.backupConfiguration", "settings.maintenanceWindow"),
}


@cache
def stack(phase: int, regions: int = 3) -> Graph:
    return graph(cut(phase=phase, regions=regions))


def beside(of: Graph, member: str, type_: str) -> list[Registered]:
    return [each for each in of.of_type(type_) if each.parent.endswith(f"::{member}")]


@pytest.mark.parametrize(
    ("phase", "regions", "expected"),
    [
        (1, 1, ["REGIONAL"]),
        (1, 3, ["REGIONAL"]),
        (2, 2, ["REGIONAL", "ZONAL"]),
        (2, 3, ["REGIONAL", "ZONAL"]),
        (3, 3, ["REGIONAL", "REGIONAL"]),
        (4, 3, ["REGIONAL"] * 3),
        (4, 5, ["REGIONAL"] * 5),
        (5, 2, ["REGIONAL"] * 2),
        (5, 3, ["REGIONAL"] * 3),
        (5, 5, ["REGIONAL"] * 5),
    ],
)
def test_members(phase: int, regions: int, expected: list[str]) -> None:
    of = stack(phase, regions)
    found = members(of, "main")
    assert list(found) == [REGIONS[0], *sorted(REGIONS[1 : len(expected)])]
    assert sorted(each.inputs["settings"]["availabilityType"] for each in found.values()) == sorted(expected)
    assert found[REGIONS[0]].inputs["settings"]["availabilityType"] == "REGIONAL"
    assert ("americas" in partitions(of)) == (phase == 5)


@pytest.mark.parametrize("phase", range(1, 6))
def test_members_are_alike(phase: int) -> None:
    of = stack(phase, 5 if phase > 3 else 3)
    for partition in partitions(of):
        first, *others = members(of, partition).values()
        for other in others:
            found = set(differences(first.inputs, other.inputs))
            assert found <= (OWN | {"settings.availabilityType"} if phase == 2 else OWN), other.name


def test_the_origin_alone_is_born_as_a_primary_with_backups_and_a_maintenance_window() -> None:
    for phase in range(1, 6):
        of = stack(phase)
        for partition, origin in (("main", "europe-west3"), ("americas", "us-east4")):
            for region, instance in members(of, partition).items():
                first = region == origin
                for key in ("backupConfiguration", "maintenanceWindow"):
                    assert (key in instance.inputs["settings"]) == first, instance.name
                master = instance.inputs.get("masterInstanceName")
                assert master == (None if first else f"meridian-production-gcp-{partition}-{origin}")


def test_nothing_that_is_role_derived_is_an_input() -> None:
    never = {
        "instanceType",
        "replicaNames",
        "replicaConfiguration",
        "replicationCluster",
        "clone",
        "restoreBackupContext",
    }
    for phase in range(1, 6):
        for resource in stack(phase).of_type(INSTANCE):
            assert not never & set(resource.inputs), resource.name
            words = ("writer", "reader", "replica", "primary", "secondary")
            assert not any(word in resource.name or word in resource.inputs["name"] for word in words)


@pytest.mark.parametrize("phase", range(1, 6))
def test_guards(phase: int) -> None:
    of = stack(phase)
    for instance in of.of_type(INSTANCE):
        inputs, settings = instance.inputs, instance.inputs["settings"]
        assert instance.protect
        assert inputs["deletionProtection"] is True
        assert inputs["deletionPolicy"] == "PREVENT"
        assert settings["deletionProtectionEnabled"] is True
        assert settings["retainBackupsOnDelete"] is True
        assert instance.ignore_changes == tuple(INSTANCE_IGNORES)
        assert f"/locations/{inputs['region']}/" in inputs["encryptionKeyName"]
    for resource in (*of.of_type(DATABASE), *of.of_type(USER)):
        assert resource.protect
        assert resource.retain_on_delete
        assert resource.inputs["deletionPolicy"] == "ABANDON"


def test_every_ignored_path_is_an_argument() -> None:
    """Pulumi translates names without a dot only, and one that it cannot find is ignored without a word."""
    for type_ in (INSTANCE, DATABASE, USER):
        for path in stack(1).of_type(type_)[0].ignore_changes:
            assert exists(type_, path), path


@pytest.mark.parametrize("phase", range(1, 6))
def test_every_argument_is_one_of_the_sdk(phase: int) -> None:
    """Also below the top: an SDK class refuses what it does not know, a misspelt key of a mapping nobody does."""
    for instance in stack(phase).of_type(INSTANCE):
        for path in differences({}, instance.inputs):
            assert exists(INSTANCE, path)
        for path in instance.inputs["settings"]:
            assert exists(INSTANCE, f"settings.{path}"), path


def test_an_instance_is_reached_privately_from_the_range_of_its_region() -> None:
    for instance in stack(5, 5).of_type(INSTANCE):
        found = instance.inputs["settings"]["ipConfiguration"]
        assert found == {
            "ipv4Enabled": False,
            "privateNetwork": "projects/example-production/global/networks/meridian-production-gcp-network",
            "allocatedIpRange": f"meridian-production-gcp-{instance.inputs['region']}-services",
            "sslMode": "ENCRYPTED_ONLY",
        }
        settings = instance.inputs["settings"]
        assert settings["edition"] == "ENTERPRISE_PLUS"
        assert {"name": "cloudsql.iam_authentication", "value": "on"} in settings["databaseFlags"]
        assert settings["insightsConfig"]["queryInsightsEnabled"] is True


def test_an_instance_waits_for_the_connection_and_a_copy_for_the_origin() -> None:
    of = stack(4)
    for region, instance in members(of, "main").items():
        waited = {urn.rsplit("::", 1)[1] for urn in instance.dependencies}
        assert "meridian-foundation-services" in waited
        others = {name for name in waited if name.endswith("-instance")}
        assert others == (set() if region == "europe-west3" else {"main-europe-west3-instance"})


def test_backups_stay_in_the_region_and_outlast_the_logs() -> None:
    for point, days, kept in ((35, 35, 36), (7, 90, 90), (35, 365, 365), (1, 1, 2)):
        planned = cut(phase=1)
        assert planned.retention is not None
        retention = replace(planned.retention, point_in_time_days=point, backup_days=days)
        (instance,) = graph(replace(planned, retention=retention)).of_type(INSTANCE)
        found = instance.inputs["settings"]["backupConfiguration"]
        assert found["enabled"] is found["pointInTimeRecoveryEnabled"] is True
        assert found["location"] == instance.inputs["region"]
        assert found["transactionLogRetentionDays"] == point
        assert found["backupRetentionSettings"] == {"retainedBackups": kept, "retentionUnit": "COUNT"}
        assert point < kept


@pytest.mark.parametrize("phase", range(1, 6))
def test_databases_and_users_are_the_origins(phase: int) -> None:
    of = stack(phase)
    for partition in partitions(of):
        for region, instance in members(of, partition).items():
            member = f"{partition}-{region}"
            first = region == ("us-east4" if partition == "americas" else "europe-west3")
            assert [each.inputs["name"] for each in beside(of, member, DATABASE)] == (["orders"] if first else [])
            users = beside(of, member, USER)
            assert len(users) == (4 if first else 0)  # the administrator, and every planned region's service
            assert all(each.inputs["instance"] == instance.inputs["name"] for each in users)


def test_users_of_all_planned_regions_are_there_before_the_regions_are_used() -> None:
    """So that no later phase has to make one at an origin that is a replica by then."""
    planned = cut(phase=1)
    users = {each.name: each.inputs for each in stack(1).of_type(USER)}
    for region in REGIONS[:3]:
        found = users[f"main-europe-west3-user-{region}"]
        assert found["type"] == "CLOUD_IAM_SERVICE_ACCOUNT"
        assert f"{found['name']}.gserviceaccount.com" == accounts.email(planned, region)
        assert "password" not in found
    administrator = users["main-europe-west3-user-meridian"]
    assert (administrator["name"], administrator["password"]) == ("meridian", "password of main")
    for low, high in itertools.combinations(range(1, 6), 2):
        made = {each.urn for each in stack(high).of_type(USER) if each.name.startswith("main-")}
        assert made == {each.urn for each in stack(low).of_type(USER)}


@pytest.mark.parametrize("phase", range(1, 6))
def test_writes_go_to_the_origin_at_first_by_the_name_that_the_foundation_gives_out(phase: int) -> None:
    planned, of = cut(phase=phase), stack(phase)
    given: dict[str, Any] = {}

    def program() -> None:
        made = Foundation("f", FoundationArgs(topology=planned))
        for partition, endpoint in made.write_endpoints.items():
            endpoint.apply(lambda value, partition=partition: given.update({partition: value}))

    recorded(program)
    found = {each.inputs["name"]: each for each in of.of_type(RECORD) if "write-endpoint" in each.name}
    assert {f"{endpoint.removesuffix(':5432')}." for endpoint in given.values()} == set(found)
    for partition, origin in (("main", "europe-west3"), ("americas", "us-east4"))[: len(given)]:
        record_ = found[f"{partition}.{DOMAIN}"]
        assert record_.inputs["type"] == "CNAME"
        assert record_.inputs["rrdatas"] == [f"{partition}-{origin}.members.{DOMAIN}"]
        assert record_.inputs["managedZone"] == paths.zone(planned)
        assert record_.protect
        assert record_.retain_on_delete
        assert record_.ignore_changes == ("rrdatas",)


def test_a_member_answers_under_its_own_name() -> None:
    of = stack(5)
    addresses = {each.inputs["name"] for each in of.of_type(RECORD) if each.inputs["type"] == "A"}
    for member, outputs in of.outputs.items():
        host, port = outputs["endpoint"].split(":")
        assert f"{host}." in addresses
        assert port == "5432"
        _, region, name = outputs["id"].split(":")
        assert outputs["access"] == outputs["id"]
        assert members(of, member.partition("-")[0])[region].inputs["name"] == name


@pytest.mark.parametrize(("low", "high"), list(itertools.combinations(range(1, 6), 2)))
@pytest.mark.parametrize("regions", [2, 3, 5])
def test_climbing_only_adds(low: int, high: int, regions: int) -> None:
    before, after = stack(low, regions), stack(high, regions)
    for urn, resource in before.resources.items():
        if not resource.type.startswith(("gcp:sql", "gcp:dns")):
            continue
        now = after.resources[urn]
        assert now.ignore_changes == resource.ignore_changes
        assert consequences(resource.type, resource.inputs, now.inputs) == (), resource.name
        changed = set(differences(resource.inputs, now.inputs))
        assert changed <= ({"settings.availabilityType"} if low == 2 else set()), resource.name


def test_in_phase_3_the_second_member_gets_its_second_zone_in_place() -> None:
    before, after = (members(stack(phase), "main")["europe-west1"].inputs for phase in (2, 3))
    assert list(differences(before, after)) == ["settings.availabilityType"]
    assert (before["settings"]["availabilityType"], after["settings"]["availabilityType"]) == ("ZONAL", "REGIONAL")
    assert consequences(INSTANCE, before, after) == ()
    assert before["settings"]["tier"] == after["settings"]["tier"]


def test_another_order_of_regions_changes_no_member() -> None:
    first, second = (graph(cut(phase=4, listed=listed)) for listed in (REGIONS, (REGIONS[0], *REGIONS[2:0:-1])))
    for instance in first.of_type(INSTANCE):
        assert second.resources[instance.urn].inputs == instance.inputs


def test_the_longest_names_fit_and_stay_apart() -> None:
    americas = {"slot": 1, "origin": "us-east4", "serves": ["US"]}
    settings = config(phase=5, app="a" * 20, partitions=[{**americas, "name": "p" * 20}])
    planned = plan(load(settings, "production-" + "x" * 60))
    of = graph(planned)
    found = [each.inputs["name"] for each in of.of_type(INSTANCE)]
    assert len(set(found)) == len(found) >= 6
    assert all(len(name) <= 63 and name[-1] != "-" for name in found)
    for each in [each for each in of.of_type(RECORD) if "-foundation-" not in each.name]:
        assert all(0 < len(label) <= 63 for label in each.inputs["name"].rstrip(".").split(".")), each.name
    assert planned.gcp is not None
    longest = replace(planned, gcp=replace(planned.gcp, project="p" * 30))
    users = {accounts.database_user(longest, region.name) for region in longest.regions}
    assert len(users) == len(longest.regions)
    assert all(len(user) <= 63 for user in users)  # PostgreSQL: NAMEDATALEN
    assert all(6 <= len(accounts.account_id(longest, region.name)) <= 30 for region in longest.regions)


def test_a_preview_knows_every_name_and_the_order() -> None:
    """Of a new stack, where no id is known."""
    planned = cut(phase=3)
    of = record(lambda: pulumi.export("members", len(register(planned))), stack="production-gcp", dry_run=True)
    copy = of.named("main-europe-west1-instance")
    assert any(urn.endswith("::main-europe-west3-instance") for urn in copy.dependencies)
    assert copy.inputs["settings"]["ipConfiguration"]["privateNetwork"] == paths.network(planned)


@pytest.mark.parametrize("name", sorted(catalogue("gcp")))
def test_windows_are_at_night_and_apart(name: str) -> None:
    found = replace(cut(phase=1).region("europe-west3"), facts=catalogue("gcp")[name])
    hours = [int(windows.backup(found)[:2]), windows.maintenance(found)[1], int(windows.export(found).split()[1])]
    assert all(0 <= hour <= 23 for hour in hours)
    assert [(later - earlier) % 24 for earlier, later in itertools.pairwise(hours)] == [2, 2]
    local = (hours[0] + found.facts.longitude / 15) % 24
    assert 0.4 < local < 1.6


def test_no_two_regions_of_a_stack_are_maintained_on_one_day() -> None:
    days = [windows.maintenance(region)[0] for region in cut(phase=4, regions=5).regions]
    assert len(set(days)) == len(days) == 5
    assert all(1 <= day <= 7 for day in days)
    (instance,) = stack(1).of_type(INSTANCE)
    assert instance.inputs["settings"]["maintenanceWindow"] == {"day": days[0], "hour": 2, "updateTrack": "stable"}
