"""Who holds a partition: its members' databases among the resources, and where anything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .resource import UNKNOWN, Resource, is_empty
from .settings import Settings

CLUSTER = "aws:rds/cluster:Cluster"
INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
GLOBAL = "aws:rds/globalCluster:GlobalCluster"
SQL = "gcp:sql/databaseInstance:DatabaseInstance"
POSTGRES = "pulumi-python:dynamic/local:Postgres"

# From here on every member is sized to take over.
ACTIVE_PASSIVE = 3

# One resource of these is one member.
DATABASES = frozenset((CLUSTER, SQL, POSTGRES))

# By kind, what a region serves with.
CACHES = frozenset(
    (
        "aws:elasticache/replicationGroup:ReplicationGroup",
        "aws:elasticache/serverlessCache:ServerlessCache",
        "gcp:memorystore/instance:Instance",
        "pulumi-python:dynamic/local:Valkey",
    )
)
KEYS = frozenset(("aws:kms/key:Key", "gcp:kms/keyRing:KeyRing", "pulumi-python:dynamic/local:Certificate"))
SERVICES = frozenset(
    (
        "aws:ecs/service:Service",
        "gcp:cloudrunv2/service:Service",
        "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager",
        "pulumi-python:dynamic/local:OrderService",
    )
)
# Locally `meridian status` is what watches.
ALARMS = frozenset(("aws:cloudwatch/metricAlarm:MetricAlarm", "gcp:monitoring/alertPolicy:AlertPolicy"))


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def region_of(resource: Resource) -> str:
    """Empty for what is global or says nothing. Some of Google's resources are global and say in a label whose they
    are.
    """
    return text(resource.at("region")) or text(resource.at("location")) or text(resource.labels.get("region"))


def partition_of(resource: Resource) -> str:
    return text(resource.labels.get("partition")) or text(resource.at("partition"))


def databases(resources: Sequence[Resource]) -> Mapping[str, Mapping[str, Resource]]:
    """The members' databases, by partition and region."""
    found: dict[str, dict[str, Resource]] = {}
    for each in resources:
        if each.type in DATABASES and (partition := partition_of(each)):
            found.setdefault(partition, {})[region_of(each)] = each
    return found


def regions_with(resources: Sequence[Resource], types: frozenset[str]) -> frozenset[str]:
    return frozenset(region_of(each) for each in resources if each.type in types)


def is_source(database: Resource) -> bool:
    """Whether it takes its data from no other, and would be a writer of its own. On AWS members differ in nothing but
    the global cluster that they are in, so what is in none is alone.
    """
    if database.type == POSTGRES:
        return database.at("origin") is True
    argument = "globalClusterIdentifier" if database.type == CLUSTER else "masterInstanceName"
    value = database.at(argument)
    return value is not UNKNOWN and is_empty(value)


def waits(resource: Resource, settings: Settings) -> bool:
    """Whether it only keeps a copy: before phase 3 all but the origin are as small as the target allows."""
    partition = settings.partitions.get(partition_of(resource))
    return settings.phase < ACTIVE_PASSIVE and partition is not None and region_of(resource) != partition.origin
