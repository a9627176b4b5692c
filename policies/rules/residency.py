"""Data lives only where its class may: the original, its copies, its backups, and what is written about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .resource import UNKNOWN, Resource, is_empty
from .rule import rule, stack_rule
from .settings import Settings

# Where what a type keeps is held. Beside data itself: keys, secrets, logs and topics, which say much about it.
PLACES: Mapping[str, tuple[str, ...]] = {
    "aws:backup/vault:Vault": ("region",),
    "aws:cloudwatch/logGroup:LogGroup": ("region",),
    "aws:ecs/service:Service": ("region",),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("region",),
    "aws:elasticache/serverlessCache:ServerlessCache": ("region",),
    "aws:kms/key:Key": ("region",),
    "aws:kms/replicaKey:ReplicaKey": ("region",),
    "aws:rds/cluster:Cluster": ("region",),
    "aws:rds/clusterInstance:ClusterInstance": ("region",),
    "aws:s3/bucket:Bucket": ("region",),
    "aws:secretsmanager/secret:Secret": ("region", "replicas.region"),
    "aws:sns/topic:Topic": ("region",),
    "aws:sqs/queue:Queue": ("region",),
    "gcp:cloudrunv2/service:Service": ("location",),
    "gcp:kms/keyRing:KeyRing": ("location",),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": ("location",),
    "gcp:memorystore/instance:Instance": ("location",),
    "gcp:pubsub/topic:Topic": ("messageStoragePolicy.allowedPersistenceRegions",),
    "gcp:secretmanager/regionalSecret:RegionalSecret": ("location",),
    "gcp:secretmanager/secret:Secret": ("replication.userManaged.replicas.location",),
    "gcp:sql/databaseInstance:DatabaseInstance": ("region", "settings.backupConfiguration.location"),
    "gcp:storage/bucket:Bucket": ("location", "customPlacementConfig.dataLocations"),
    "gcp:workflows/workflow:Workflow": ("region",),
}
# These may be left out: there is no copy then, or it stays in the region of what it is a copy of. Cloud SQL alone keeps
# backups in the nearest multi-region by default (cloud.google.com/sql/docs/postgres/backup-recovery/backups), so its
# location is asked for where the instance takes backups.
OPTIONAL = frozenset(
    ("replicas.region", "customPlacementConfig.dataLocations", "settings.backupConfiguration.location")
)

# What copies a database's snapshots or its automated backups into another region, and the argument that says where to.
SNAPSHOTS: Mapping[str, str] = {
    "aws:rds/clusterSnapshotCopy:ClusterSnapshotCopy": "destinationRegion",
    "aws:rds/instanceAutomatedBackupsReplication:InstanceAutomatedBackupsReplication": "region",
    "aws:rds/snapshotCopy:SnapshotCopy": "destinationRegion",
}
BUCKET = "gcp:storage/bucket:Bucket"
WORKFLOW = "gcp:workflows/workflow:Workflow"

REGION_OF_ARN = re.compile(r"arn:aws[\w-]*:[\w-]+:(?P<region>[a-z0-9-]+):")


def held_in(resource: Resource) -> Iterator[tuple[str, Any]]:
    """Every place that a resource names, with the path that names it; None where one is needed and not named."""
    for path in PLACES.get(resource.type, ()):
        for found in resource.values(path):
            places = list(found) if isinstance(found, list | tuple) else [found]
            if found is not UNKNOWN and is_empty(found):
                if path not in OPTIONAL or (path.endswith("location") and keeps_backups(resource)):
                    yield path, None
                continue
            yield from ((path, place) for place in places if place is not UNKNOWN)


def keeps_backups(resource: Resource) -> bool:
    enabled = resource.at("settings.backupConfiguration.enabled")
    return enabled is not UNKNOWN and bool(enabled)


def needs_settings(resource: Resource, settings: Settings) -> Iterator[str]:
    if not settings.given and resource.data_class:
        yield f"data-class is {resource.data_class!r}, and the pack was not told where that may live"


def lives_where_allowed(resource: Resource, settings: Settings) -> Iterator[str]:
    if not settings.given:
        return  # said by the rule above, once for each resource
    data_class = resource.data_class or settings.data_class
    allowed = settings.allowed_regions.get(data_class, ())
    for path, place in held_in(resource):
        if place is None:
            yield f"{path} is not given, so the cloud chooses where {data_class} data lives"
        elif str(place).lower() not in allowed:
            yield f"{path} is {place!r}, and {data_class} data may live only in {', '.join(allowed) or 'no region'}"


def member_is_legal(resource: Resource, settings: Settings) -> Iterator[str]:
    """A partition narrows what its data class allows."""
    name = str(resource.labels.get("partition", ""))
    paths = ("region", "settings.backupConfiguration.location") if keeps_backups(resource) else ("region",)
    for path in paths:
        yield from not_held_in(path, resource.at(path), name, settings)


def not_held_in(path: str, place: Any, name: str, settings: Settings) -> Iterator[str]:
    partition = settings.partitions.get(name)
    if partition is not None and place is not UNKNOWN and place and place not in partition.copies:
        yield f"{path} is {place!r}, and {name} may be held only in {', '.join(partition.copies)}"


def held(region: Any, settings: Settings) -> list[str]:
    """The partitions that have a member in a region."""
    found = settings.regions.get(region) if isinstance(region, str) else None
    return sorted(name.removesuffix(f"-{region}") for name in found.members) if found is not None else []


def copies_are_legal(resource: Resource, settings: Settings) -> Iterator[str]:
    """A backup holds every partition that has a member in its region."""
    for destination in resource.values("rules.copyActions.destinationVaultArn"):
        found = REGION_OF_ARN.match(destination) if isinstance(destination, str) else None
        if found is None:
            continue
        for name in held(resource.at("region"), settings):
            partition = settings.partitions.get(name)
            if partition is not None and found["region"] not in partition.copies:
                where = ", ".join(partition.copies)
                yield f"rules.copyActions goes to {found['region']!r}, and {name} may be held only in {where}"


def snapshots_are_legal(resource: Resource, settings: Settings) -> Iterator[str]:
    """Its tags say whose it is; what says nothing may be anybody's."""
    path = SNAPSHOTS[resource.type]
    whose = str(resource.labels.get("partition", ""))
    for name in [whose] if whose in settings.partitions else settings.partitions:
        yield from not_held_in(path, resource.at(path), name, settings)


def dumps_are_legal(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """On Google Cloud a region's workflow names the bucket that it dumps the region's members into."""
    places = {each.at("name"): each.at("location") for each in resources if each.type == BUCKET and is_named(each)}
    for each in resources:
        source = each.at("sourceContents") if each.type == WORKFLOW else None
        for bucket, place in places.items():
            if isinstance(source, str) and f"gs://{bucket}/" in source:
                for name in held(each.at("region"), settings):
                    for what in not_held_in("location", str(place).lower(), name, settings):
                        yield each, f"it dumps into {bucket}, whose {what}"


def is_named(bucket: Resource) -> bool:
    return isinstance(bucket.at("name"), str) and isinstance(bucket.at("location"), str)


def replication_is_named(resource: Resource, _: Settings) -> Iterator[str]:
    if not is_empty(resource.at("replication.auto")):
        yield "replication.auto is given, so Google chooses where copies of the secret live"


RULES = (
    rule(
        "residency-configured",
        needs_settings,
        (),
        "Without the stack's settings nobody knows where its data may live, and silence would look like consent.",
        "Write the configuration with `./meridian policies --stack NAME --file policies.json` and name it in "
        "`--policy-pack-config`; `./meridian preview` and `./meridian up` do so by themselves.",
    ),
    rule(
        "residency-region",
        lives_where_allowed,
        PLACES,
        "What holds data, a key to it or a record of it lies only where the data's class may live.",
        "Put it in a region that is allowed, or plan that region in `regions` and allow it in `residency`.",
    ),
    rule(
        "residency-partition",
        member_is_legal,
        (
            "aws:rds/cluster:Cluster",
            "aws:rds/clusterInstance:ClusterInstance",
            "gcp:sql/databaseInstance:DatabaseInstance",
        ),
        "A partition's members lie only where its own residency allows a copy.",
        "Drop the member, or widen `residency.copies` of the partition.",
    ),
    rule(
        "residency-backup-copy",
        copies_are_legal,
        ("aws:backup/plan:Plan",),
        "A backup's copy is a copy of the data and obeys the same rule.",
        "Copy to a region that `residency.copies` allows.",
    ),
    rule(
        "residency-snapshot",
        snapshots_are_legal,
        SNAPSHOTS,
        "A snapshot or an automated backup in another region is a copy of the data there.",
        "Copy to a region that `residency.copies` of the partition allows, and tag the copy with its partition.",
    ),
    stack_rule(
        "residency-dump",
        dumps_are_legal,
        "A dump is a copy of the data, and lies where its bucket does.",
        "Dump into a bucket of a region that `residency.copies` of the partition allows.",
    ),
    rule(
        "residency-secret-replicas",
        replication_is_named,
        ("gcp:secretmanager/secret:Secret",),
        "A secret with automatic replication may be copied to any region of the provider.",
        "Name the replicas in `replication.userManaged`.",
    ),
)
