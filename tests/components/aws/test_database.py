"""The members on AWS, at every phase, in both modes, with one region to five."""

import itertools
from dataclasses import replace
from functools import cache

import pulumi
import pytest

from components.aws import windows
from components.aws.guards import CLUSTER_IGNORES
from components.aws.replacement import consequences
from engine.recorder import Graph, Registered, record
from tests.components.aws.arguments import check_graph
from tests.components.aws.failover import CLUSTER, INSTANCE
from tests.components.aws.members import REGIONS, cut, graph, register
from tests.components.aws.stacks import config
from topology import load, plan
from topology.catalogue import catalogue

CLASSES = ("db.serverless", "db.r6g.large")
CLUSTER_GROUP = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
INSTANCE_GROUP = "aws:rds/parameterGroup:ParameterGroup"
LOGS = "aws:cloudwatch/logGroup:LogGroup"

# What may differ between members of a partition: where each is, what it is called, and what the origin alone makes.
OWN = {
    *("clusterIdentifier", "dbClusterParameterGroupName", "dbSubnetGroupName", "finalSnapshotIdentifier", "kmsKeyId"),
    *("performanceInsightsKmsKeyId", "preferredBackupWindow", "preferredMaintenanceWindow", "region", "tags"),
    *("vpcSecurityGroupIds", "dbParameterGroupName", "identifier", "monitoringRoleArn"),
}
AMERICAS = {"slot": 1, "origin": "us-east-1", "serves": ["US"]}
ORIGIN = {"databaseName", "masterUsername", "masterPassword"}


@cache
def stack(phase: int, regions: int = 3, class_: str = CLASSES[0], rpo: int | None = None) -> Graph:
    return graph(cut(phase=phase, regions=regions, instance_class=class_, rpo_seconds=rpo))


def clusters(of: Graph, partition: str = "main") -> list[Registered]:
    found = [each for each in of.of_type(CLUSTER) if each.inputs["tags"]["partition"] == partition]
    return sorted(found, key=lambda each: REGIONS.index(each.inputs["region"]))


def instances(of: Graph, cluster: Registered) -> list[Registered]:
    return [each for each in of.of_type(INSTANCE) if each.inputs["clusterIdentifier"] == cluster.name]


def parameters(of: Graph, type_: str = CLUSTER_GROUP) -> dict[str, dict[str, str]]:
    return {
        each.parent.rsplit("::", 1)[1]: {entry["name"]: entry["value"] for entry in each.inputs["parameters"]}
        for each in of.of_type(type_)
    }


@pytest.mark.parametrize("class_", CLASSES)
@pytest.mark.parametrize(
    ("phase", "regions", "expected"),
    [
        (1, 1, [2]),
        (1, 3, [2]),
        (2, 2, [2, 0]),
        (2, 3, [2, 0]),
        (3, 3, [2, 2]),
        (4, 3, [2, 2, 2]),
        (4, 5, [2, 2, 2, 2, 2]),
        (5, 5, [2, 2, 2, 2, 2]),
    ],
)
def test_members_and_their_instances(phase: int, regions: int, expected: list[int], class_: str) -> None:
    of = stack(phase, regions, class_)
    assert [len(instances(of, cluster)) for cluster in clusters(of)] == expected
    assert [each.inputs["region"] for each in clusters(of)] == list(REGIONS[: len(expected)])
    assert bool(clusters(of, "americas")) == (phase == 5)


@pytest.mark.parametrize("class_", CLASSES)
@pytest.mark.parametrize("phase", range(1, 6))
def test_aws_takes_every_argument(phase: int, class_: str) -> None:
    assert check_graph(stack(phase, 5 if phase > 3 else 3, class_, 60)) == []


@pytest.mark.parametrize("class_", CLASSES)
@pytest.mark.parametrize("phase", range(1, 6))
def test_members_are_alike(phase: int, class_: str) -> None:
    of = stack(phase, 5 if phase > 3 else 3, class_, 60)
    for partition in {each.inputs["tags"]["partition"] for each in of.of_type(CLUSTER)}:
        alike = [{k: v for k, v in each.inputs.items() if k not in OWN | ORIGIN} for each in clusters(of, partition)]
        assert all(inputs == alike[0] for inputs in alike)
    drop = OWN | {"clusterIdentifier"}
    servers = [{k: v for k, v in each.inputs.items() if k not in drop} for each in of.of_type(INSTANCE)]
    assert all(inputs == servers[0] for inputs in servers)
    for type_ in (CLUSTER_GROUP, INSTANCE_GROUP):
        found = parameters(of, type_)
        assert len(found) == len(of.of_type(CLUSTER))
        assert all(values == next(iter(found.values())) for values in found.values())


def test_the_origin_alone_makes_the_administrator_and_the_database() -> None:
    for phase in range(1, 6):
        of = stack(phase)
        for partition, origin in (("main", "eu-west-1"), ("americas", "us-east-1")):
            for cluster in clusters(of, partition):
                expected = ORIGIN if cluster.inputs["region"] == origin else set()
                assert ORIGIN & set(cluster.inputs) == expected, cluster.name
                if expected:
                    assert cluster.inputs["masterUsername"] == "meridian"
                    assert cluster.inputs["databaseName"] == "orders"


def test_nothing_that_is_role_derived_is_an_input() -> None:
    never = {"replicationSourceIdentifier", "sourceRegion", "availabilityZones", "availabilityZone", "clusterMembers"}
    never |= {"manageMasterUserPassword", "snapshotIdentifier", "writer"}
    for phase in range(1, 6):
        for resource in (*stack(phase).of_type(CLUSTER), *stack(phase).of_type(INSTANCE)):
            assert not never & set(resource.inputs), resource.name
            assert not any(word in resource.name for word in ("writer", "reader", "replica", "primary", "secondary"))


def test_a_copy_waits_for_the_origins_instances_and_for_nothing_else_elsewhere() -> None:
    of = stack(4)
    for cluster in clusters(of):
        waited = {urn.rsplit("::", 1)[1] for urn in cluster.dependencies}
        region = cluster.inputs["region"]
        if region == "eu-west-1":
            assert not any("eu-central-1" in name or "us-east-1" in name for name in waited)
            continue
        assert {"main-eu-west-1-instance-1", "main-eu-west-1-instance-2"} <= waited
        elsewhere = {name for name in waited if region not in name and not name.startswith("main-eu-west-1-")}
        assert elsewhere == {"meridian-foundation-main"}


def test_log_groups_are_there_before_what_is_written_to_them() -> None:
    of = stack(3)
    for cluster in clusters(of):
        exported = cluster.inputs["enabledCloudwatchLogsExports"]
        wanted = {f"/aws/rds/cluster/{cluster.inputs['clusterIdentifier']}/{export}" for export in exported}
        groups = [each for each in of.of_type(LOGS) if each.inputs["name"] in wanted]
        assert len(groups) == len(exported) > 0
        for group in groups:
            assert group.urn in cluster.dependencies
            assert group.protect
            assert group.inputs["retentionInDays"] == 90
            assert group.inputs["kmsKeyId"] == f"arn:aws:kms:{group.inputs['region']}:123456789012:key/logs"


@pytest.mark.parametrize("class_", CLASSES)
@pytest.mark.parametrize("phase", range(1, 6))
def test_guards(phase: int, class_: str) -> None:
    of = stack(phase, 3, class_)
    for cluster in of.of_type(CLUSTER):
        assert cluster.protect
        assert cluster.inputs["deletionProtection"] is True
        assert cluster.inputs["skipFinalSnapshot"] is False
        assert cluster.inputs["deleteAutomatedBackups"] is False
        assert cluster.inputs["storageEncrypted"] is True
        assert cluster.inputs["iamDatabaseAuthenticationEnabled"] is True
        assert len(cluster.ignore_changes) == len(CLUSTER_IGNORES)
        assert cluster.inputs["kmsKeyId"].split(":")[3] == cluster.inputs["region"]
    for instance in of.of_type(INSTANCE):
        assert instance.protect
        assert instance.inputs["publiclyAccessible"] is False
        assert instance.inputs["autoMinorVersionUpgrade"] is False


def test_serverless_members_are_of_equal_size_and_provisioned_ones_have_none() -> None:
    sizes = [each.inputs["serverlessv2ScalingConfiguration"] for each in clusters(stack(2))]
    assert sizes == [{"minCapacity": 8, "maxCapacity": 64}] * 2
    provisioned = stack(3, class_="db.r6g.large")
    assert all("serverlessv2ScalingConfiguration" not in each.inputs for each in clusters(provisioned))
    assert {each.inputs["instanceClass"] for each in provisioned.of_type(INSTANCE)} == {"db.r6g.large"}


def test_writes_are_forwarded_from_phase_4_on_by_every_member() -> None:
    for phase in range(1, 6):
        asked = [each.inputs["enableGlobalWriteForwarding"] for each in stack(phase).of_type(CLUSTER)]
        assert asked == [phase >= 4] * len(asked)


def test_tls_and_what_needs_a_restart_are_there_from_the_first_phase() -> None:
    for values in parameters(stack(1)).values():
        assert values == {
            "rds.force_ssl": "1",
            "rds.logical_replication": "1",
            "shared_preload_libraries": "pg_stat_statements",
        }
    for group in stack(1).of_type(CLUSTER_GROUP):
        methods = {entry["name"]: entry["applyMethod"] for entry in group.inputs["parameters"]}
        assert methods["rds.force_ssl"] == "immediate"
        assert methods["rds.logical_replication"] == "pending-reboot"


@pytest.mark.parametrize(
    ("phase", "regions", "expected"), [(1, 3, False), (3, 3, False), (4, 2, False), (4, 3, True), (5, 5, True)]
)
def test_commits_wait_only_where_a_lost_region_leaves_another_copy(phase: int, regions: int, expected: bool) -> None:
    for values in parameters(stack(phase, regions, CLASSES[0], 60)).values():
        assert values.get("rds.global_db_rpo") == ("60" if expected else None)
    assert all("rds.global_db_rpo" not in values for values in parameters(stack(phase, regions)).values())


@pytest.mark.parametrize("class_", CLASSES)
@pytest.mark.parametrize(("low", "high"), list(itertools.combinations(range(1, 6), 2)))
def test_climbing_only_adds(low: int, high: int, class_: str) -> None:
    before, after = stack(low, 3, class_, 60), stack(high, 3, class_, 60)
    for urn, resource in before.resources.items():
        now = after.resources[urn]
        assert now.ignore_changes == resource.ignore_changes
        if not resource.type.startswith("aws:rds"):
            continue
        assert consequences(resource.type, resource.inputs, now.inputs) == (), resource.name
        changed = {key for key in {*resource.inputs, *now.inputs} if resource.inputs.get(key) != now.inputs.get(key)}
        assert changed <= {"enableGlobalWriteForwarding", "parameters"}, resource.name


def test_the_longest_names_fit_and_stay_apart() -> None:
    settings = config(phase=5, app="a" * 20, partitions=[{**AMERICAS, "name": "p" * 20}])
    of = graph(plan(load(settings, "production-" + "x" * 60)))
    limits = [
        (CLUSTER, "clusterIdentifier", 63),
        (CLUSTER, "finalSnapshotIdentifier", 63),
        (INSTANCE, "identifier", 63),
        (CLUSTER_GROUP, "name", 255),
        (INSTANCE_GROUP, "name", 255),
    ]
    for type_, key, limit in limits:
        found = [each.inputs[key] for each in of.of_type(type_)]
        assert len(set(found)) == len(found) >= 6
        assert all(len(name) <= limit and "--" not in name and name[-1] != "-" for name in found)


def test_another_version_makes_other_parameter_groups() -> None:
    """A group's family replaces it, and the one in use must not be in its successor's way."""
    old, new = (graph(cut(phase=1, engine_version=version)) for version in ("16.8", "17.7"))
    for type_ in (CLUSTER_GROUP, INSTANCE_GROUP):
        (was,), (now,) = old.of_type(type_), new.of_type(type_)
        assert was.inputs["family"] != now.inputs["family"]
        assert was.inputs["name"] != now.inputs["name"]


def test_an_unknown_source_still_gives_the_order() -> None:
    """In a preview of a new stack, where no id is known."""
    planned = cut(phase=3)
    of = record(lambda: pulumi.export("members", len(register(planned))), stack="production-aws", dry_run=True)
    copy = of.named("main-eu-central-1-cluster")
    assert any(urn.endswith("::main-eu-west-1-instance-1") for urn in copy.dependencies)
    assert check_graph(of) == []


def minutes(window: str) -> tuple[int, int]:
    start, end = (clock[-5:].split(":") for clock in window.split("-"))
    return int(start[0]) * 60 + int(start[1]), int(end[0]) * 60 + int(end[1])


@pytest.mark.parametrize("name", sorted(catalogue("aws")))
def test_windows_are_at_night_and_apart(name: str) -> None:
    found = replace(cut(phase=1).region("eu-west-1"), facts=catalogue("aws")[name])
    backup, maintenance = minutes(windows.backup(found)), minutes(windows.maintenance(found))
    for start, end in (backup, maintenance):
        assert end - start >= 30
    hours = [backup[0] // 60, maintenance[0] // 60, int(windows.snapshot(found).split()[1])]
    assert [(later - earlier) % 24 for earlier, later in itertools.pairwise(hours)] == [2, 2]
    local = (hours[0] + found.facts.longitude / 15) % 24
    assert 0.4 < local < 1.6


def test_no_two_regions_of_a_stack_are_maintained_on_one_day() -> None:
    days = [each.inputs["preferredMaintenanceWindow"][:3] for each in clusters(stack(4, 5))]
    assert len(set(days)) == len(days) == 5
