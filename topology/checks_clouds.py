"""Faults between settings that only a cloud knows: what it needs, and what it cannot do."""

import re
from collections.abc import Iterator

from topology.schema import Settings

ASYNCHRONOUS = {
    "aws": "Aurora Global Database replicates between regions asynchronously. Choose async; to bound what a region's "
    "loss costs, set `aws.database.rpo_seconds`, and commits wait while every other region is further behind.",
    "gcp": "Cloud SQL replicates between regions asynchronously. Choose async.",
}


# Resources are named `<app>-<stack>-…`, so that two stacks share an account or a project. RDS, ElastiCache, S3, Cloud
# SQL and others take no capitals and no other signs, and RDS no two hyphens in a row (docs.aws.amazon.com/AmazonRDS
# /latest/APIReference/API_CreateDBCluster.html, DBClusterIdentifier; cloud.google.com/sql/docs/postgres
# /instance-settings, Instance ID).
PARTS = "[a-z0-9]+"
NAME_RULE = "lower-case letters, digits and single hyphens, no hyphen first or last"

# What a load balancer's name must not begin with (docs.aws.amazon.com/elasticloadbalancing/latest/APIReference
# /API_CreateLoadBalancer.html), and a bucket's (docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html).
RESERVED = ("internal-", "sthree-", "amzn-s3-demo-")


def missing(key: str, target: str, what: str, example: str) -> str:
    return f"{key}: is missing. The target {target} needs {what}. Write it, such as {example}."


def outside(hostname: str, zone: str, kind: str, key: str) -> Iterator[str]:
    """A hostname that is not in the zone whose records the stack writes."""
    if hostname != zone and not hostname.endswith(f".{zone}"):
        yield (
            f'hostname: "{hostname}" is not in the {kind} "{zone}" of `{key}`, so nothing would answer '
            f"for it. Allowed: {zone}, or a name that ends with .{zone}. Change the one or the other."
        )


def check_stack(settings: Settings) -> Iterator[str]:
    stack = settings.environment
    sound = "-".join(re.findall(PARTS, stack.lower())) or "production"
    if settings.target != "local" and stack != sound:
        yield (
            f'stack: "{stack}" is part of every name on the target {settings.target}, and some services there would '
            f"refuse it. Allowed: {NAME_RULE}. Rename Pulumi.{stack}.yaml, such as to Pulumi.{sound}.yaml."
        )


def check_app(settings: Settings) -> Iterator[str]:
    app = settings.app
    if settings.target != "local" and "--" in app:
        yield (
            f'app: "{app}" is part of every name on the target {settings.target}, and some services there would '
            f"refuse it. Allowed: {NAME_RULE}. Write {'-'.join(re.findall(PARTS, app))}, or another name."
        )
    if settings.target == "aws":
        for start in RESERVED:
            if f"{app}-{settings.environment}-".startswith(start):
                yield (
                    f'app: "{app}" would make names that begin with {start}, which AWS keeps for itself. '
                    f"Choose another name."
                )


def check_image(settings: Settings) -> Iterator[str]:
    if settings.target != "local" and settings.service.image is None:
        yield missing(
            "service.image",
            settings.target,
            "the container image that the service runs",
            "ghcr.io/example/orders:1.4.2",
        )


def check_ownership(settings: Settings) -> Iterator[str]:
    if settings.target == "local":
        return
    for key, value, what, example in (
        ("owner", settings.ownership.owner, "the team that answers for the stack", "payments-platform"),
        ("cost_center", settings.ownership.cost_center, "what the stack is billed to", "cc-4711"),
    ):
        if value is None:
            yield missing(f"ownership.{key}", settings.target, what, example)


def check_capacity(settings: Settings) -> Iterator[str]:
    least, most = settings.service.minimum, settings.service.maximum
    if settings.target != "local" and most < least:
        yield (
            f"service.maximum: {most} is below `service.minimum`, which is {least}. "
            f"Allowed: {least} or more. Raise the one, or lower the other."
        )


def check_durability(settings: Settings) -> Iterator[str]:
    reason = ASYNCHRONOUS.get(settings.target)
    if reason is not None and settings.database.durability == "quorum":
        yield f'database.durability: "quorum" is not allowed on the target {settings.target}: {reason}'


def check_partition_durability(settings: Settings) -> Iterator[str]:
    reason = ASYNCHRONOUS.get(settings.target)
    for position, partition in enumerate(settings.partitions):
        if reason is not None and partition.durability == "quorum":
            yield (
                f'partitions[{position}].durability: "quorum" is not allowed on the target {settings.target}: {reason}'
            )
