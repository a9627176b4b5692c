"""A deployment never detaches, promotes or re-points a member: failover belongs to operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from .members import ACTIVE_PASSIVE, CLUSTER, GLOBAL, INSTANCE, POSTGRES, SQL, databases, partition_of, text
from .resource import UNKNOWN, Resource, is_list
from .rule import ResourceRule, StackRule
from .settings import Settings
from .table import ABSENT, GIVEN, NOT_TRUE, TRUE, fixed, number, one_of, row, shown, table_rule

THEME = "replication"

RECORD = "gcp:dns/recordSet:RecordSet"
URL_MAP = "gcp:compute/uRLMap:URLMap"

# What a failover, an upgrade or a rotation sets. A deployment that wrote the program's value back would undo it: detach
# the member, replace it, or send users to the former writer.
IGNORED: Mapping[str, tuple[str, ...]] = {
    CLUSTER: (
        "databaseName",
        "engineVersion",
        "globalClusterIdentifier",
        "masterUsername",
        "replicationSourceIdentifier",
        "snapshotIdentifier",
    ),
    GLOBAL: ("databaseName", "sourceDbClusterIdentifier"),
    INSTANCE: ("availabilityZone", "engineVersion"),
    SQL: (
        "instanceType",
        "masterInstanceName",
        "replicaConfiguration",
        "replicaNames",
        "replicationCluster",
        "settings.backupConfiguration",
        "settings.diskSize",
    ),
    "gcp:sql/database:Database": ("instance",),
    "gcp:sql/user:User": ("instance",),
    POSTGRES: ("source",),
    RECORD: ("rrdatas",),
    URL_MAP: ("defaultService",),
    "aws:lb/listenerRule:ListenerRule": ("actions",),
    "aws:secretsmanager/secretVersion:SecretVersion": ("secretString",),
    "gcp:secretmanager/secretVersion:SecretVersion": ("secretData",),
}

# What has to be equal in all members of a partition, since any of them may be the writer tomorrow.
EQUAL: Mapping[str, tuple[str, ...]] = {
    CLUSTER: (
        "databaseInsightsMode",
        "dbClusterInstanceClass",
        "enableGlobalWriteForwarding",
        "enabledCloudwatchLogsExports",
        "iamDatabaseAuthenticationEnabled",
        "port",
        "serverlessv2ScalingConfiguration.maxCapacity",
        "serverlessv2ScalingConfiguration.minCapacity",
        "storageType",
    ),
    INSTANCE: ("instanceClass",),
    "aws:rds/clusterParameterGroup:ClusterParameterGroup": ("family", "parameters"),
    "aws:rds/parameterGroup:ParameterGroup": ("family", "parameters"),
    SQL: (
        "databaseVersion",
        "settings.availabilityType",
        "settings.databaseFlags",
        "settings.dataCacheConfig.dataCacheEnabled",
        "settings.diskType",
        "settings.edition",
        "settings.tier",
    ),
    POSTGRES: ("size",),
}


def follows_writer(resource: Resource, settings: Settings) -> bool:
    """Whether a failover moves it. Of the records that is a partition's own name, of the URL maps the one of users."""
    if resource.type == RECORD:
        return text(resource.at("name")).split(".")[0] in settings.partitions
    if resource.type == URL_MAP:
        return resource.at("defaultService") is not None
    return True


def leaves_to_operations(resource: Resource, settings: Settings) -> Iterator[str]:
    if not follows_writer(resource, settings):
        return
    for argument in IGNORED[resource.type]:
        if not any(argument == each or argument.startswith(f"{each}.") for each in resource.ignore_changes):
            yield f"{argument} is not in ignore_changes"


def members_are_equal(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """Before phase 3 the second member only keeps a copy, and may be as small as the target allows."""
    if settings.phase < ACTIVE_PASSIVE:
        return
    first: dict[tuple[str, str, str], tuple[Any, Resource]] = {}
    for each in resources:
        if each.type not in EQUAL or not (partition := partition_of(each)):
            continue
        for path in EQUAL[each.type]:
            value = plain(each.at(path))
            if value is UNKNOWN:
                continue
            other, whose = first.setdefault((partition, each.type, path), (value, each))
            if value != other:
                yield each, f"{path} is {shown(value)}, and {whose.name} has {shown(other)}"


def plain(value: Any) -> Any:
    """Without order, and without what the cloud adds to a pair of name and value."""
    if not is_list(value):
        return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if any(each is UNKNOWN or (isinstance(each, Mapping) and has_unknown(each)) for each in value):
        return UNKNOWN
    pairs = [f"{each.get('name')}={each.get('value')}" if isinstance(each, Mapping) else str(each) for each in value]
    return ", ".join(sorted(pairs))


def has_unknown(pair: Mapping[str, Any]) -> bool:
    return any(value is UNKNOWN for value in pair.values())


def members_have_one_source(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    """All members of a partition name the same global cluster."""
    for partition, held in databases(resources).items():
        named = {
            value: each
            for each in held.values()
            if each.type == CLUSTER and isinstance(value := each.at("globalClusterIdentifier"), str) and value
        }
        for value, each in list(named.items())[1:]:
            first = next(iter(named.values()))
            yield each, f"globalClusterIdentifier is {value!r}, and {first.name} of {partition} is in another"


def resource_rule(name: str, check: Callable[..., Iterator[str]], types: Any, reason: str, mend: str) -> ResourceRule:
    return ResourceRule(
        name=name, theme=THEME, level="mandatory", reason=reason, mend=mend, check=check, types=frozenset(types)
    )


RULES = (
    resource_rule(
        "replication-ignored",
        leaves_to_operations,
        IGNORED,
        "After a failover the program knows nothing of the new writer, and a deployment would write the old one back.",
        "Add it to ignore_changes.",
    ),
    table_rule(
        name="replication-source",
        theme=THEME,
        level="mandatory",
        reason="These arguments restore, re-point or cut a member off; what they start cannot be taken back.",
        mend="Leave it out, and use `./meridian failover`, `failback` or the cloud's own restore.",
        rows=(
            row(CLUSTER, "replicationSourceIdentifier", ABSENT),
            row(CLUSTER, "snapshotIdentifier", ABSENT),
            row(CLUSTER, "restoreToPointInTime", ABSENT),
            row(CLUSTER, "s3Import", ABSENT),
            row(CLUSTER, "sourceRegion", ABSENT),
            row(CLUSTER, "allowMajorVersionUpgrade", NOT_TRUE),
            row(CLUSTER, "engineMode", fixed("provisioned or left out", lambda value: value in (None, "provisioned"))),
            row(GLOBAL, "sourceDbClusterIdentifier", ABSENT),
            row(SQL, "clone", ABSENT),
            row(SQL, "restoreBackupContext", ABSENT),
            row(SQL, "instanceType", ABSENT),
            row(SQL, "replicaConfiguration", ABSENT),
            row(SQL, "settings.activationPolicy", fixed("ALWAYS or left out", lambda value: value in (None, "ALWAYS"))),
            row(SQL, "settings.diskAutoresize", TRUE),
        ),
    ),
    table_rule(
        name="replication-able",
        theme=THEME,
        level="mandatory",
        reason="A member that cannot be switched over to, or that has the cloud's default parameters, is no writer.",
        mend="Name the partition's own parameters; on Google Cloud choose Enterprise Plus.",
        rows=(
            row(CLUSTER, "dbClusterParameterGroupName", GIVEN),
            row(INSTANCE, "dbParameterGroupName", GIVEN),
            # Only Enterprise Plus has switchover and a replica that takes over under its own name
            # (cloud.google.com/sql/docs/postgres/use-advanced-disaster-recovery).
            row(SQL, "settings.edition", one_of("ENTERPRISE_PLUS")),
        ),
    ),
    StackRule(
        name="replication-equal",
        theme=THEME,
        level="mandatory",
        reason="Any member may be the writer tomorrow, and a smaller or different one would be a worse writer.",
        mend="Give all members of the partition the same value.",
        check=members_are_equal,
    ),
    StackRule(
        name="replication-one-source",
        theme=THEME,
        level="mandatory",
        reason="Members that do not copy from one another are two databases that go apart.",
        mend="Put all members of a partition into its own global cluster.",
        check=members_have_one_source,
    ),
)
