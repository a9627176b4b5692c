"""Everything says whose it is and what it holds: cost, incident and residency all start from there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .members import text
from .resource import UNKNOWN, Resource, is_empty
from .rule import ResourceRule
from .settings import Settings
from .table import TRUE, row, table_rule

THEME = "tagging"

# Types that take tags or labels, by the argument.
TAGS = frozenset(
    f"aws:{each}"
    for each in (
        "acm/certificate:Certificate",
        "backup/plan:Plan",
        "backup/vault:Vault",
        "cloudwatch/logGroup:LogGroup",
        "cloudwatch/metricAlarm:MetricAlarm",
        "ec2/eip:Eip",
        "ec2/natGateway:NatGateway",
        "ec2/securityGroup:SecurityGroup",
        "ec2/subnet:Subnet",
        "ec2/vpc:Vpc",
        "ec2/vpcEndpoint:VpcEndpoint",
        "ecs/cluster:Cluster",
        "ecs/service:Service",
        "ecs/taskDefinition:TaskDefinition",
        "elasticache/replicationGroup:ReplicationGroup",
        "elasticache/serverlessCache:ServerlessCache",
        "globalaccelerator/accelerator:Accelerator",
        "iam/role:Role",
        "kms/key:Key",
        "lb/loadBalancer:LoadBalancer",
        "lb/targetGroup:TargetGroup",
        "rds/cluster:Cluster",
        "rds/clusterInstance:ClusterInstance",
        "rds/globalCluster:GlobalCluster",
        "route53/healthCheck:HealthCheck",
        "s3/bucket:Bucket",
        "secretsmanager/secret:Secret",
        "sns/topic:Topic",
        "sqs/queue:Queue",
        "wafv2/webAcl:WebAcl",
    )
)
LABELS = frozenset(
    f"gcp:{each}"
    for each in (
        "certificatemanager/certificate:Certificate",
        "cloudrunv2/service:Service",
        "compute/address:Address",
        "compute/globalAddress:GlobalAddress",
        "compute/globalForwardingRule:GlobalForwardingRule",
        "dns/managedZone:ManagedZone",
        "kms/cryptoKey:CryptoKey",
        "memorystore/instance:Instance",
        "monitoring/alertPolicy:AlertPolicy",
        "pubsub/topic:Topic",
        "secretmanager/secret:Secret",
        "sql/databaseInstance:DatabaseInstance",
        "storage/bucket:Bucket",
        "workflows/workflow:Workflow",
    )
)
USER_LABELS = {
    "gcp:sql/databaseInstance:DatabaseInstance": "settings.userLabels",
    "gcp:monitoring/alertPolicy:AlertPolicy": "userLabels",
}
# Of these words the settings say what they have to be.
SAID = {"environment": "environment", "data-class": "data_class"}


def argument(resource: Resource) -> str:
    return "tags" if resource.type in TAGS else USER_LABELS.get(resource.type, "labels")


def as_label(word: str) -> str:
    """As Google takes it (cloud.google.com/resource-manager/docs/labels-overview)."""
    return re.sub(r"[^a-z0-9_-]", "-", word.lower())[:63]


def has_what_is_required(resource: Resource, settings: Settings) -> Iterator[str]:
    path = argument(resource)
    if resource.at(path) is UNKNOWN:
        return
    found = resource.labels
    missing = [key for key in settings.required_tags if is_empty(found.get(key))]
    if missing:
        yield f"{path} has no {', '.join(missing)}"


def says_what_is_so(resource: Resource, settings: Settings) -> Iterator[str]:
    for key, setting in SAID.items():
        wanted: str = getattr(settings, setting)
        value = resource.labels.get(key)
        if value is UNKNOWN or not wanted or is_empty(value) or as_label(str(value)) == as_label(wanted):
            continue
        yield f"{key} is {value!r}, and the settings say {wanted}"
    region = resource.labels.get("region")
    here = text(resource.at("region")) or text(resource.at("location"))
    if region is not UNKNOWN and region and here and here in settings.regions and region != here:
        yield f"region is {region!r}, and the resource is in {here}"


RULES = (
    ResourceRule(
        name="tagging-required",
        theme=THEME,
        level="mandatory",
        reason="What belongs to nobody is found by nobody: not in a bill, not in an incident, not by these rules.",
        mend="Pass the topology's tags or labels on to the resource.",
        types=TAGS | LABELS,
        check=has_what_is_required,
    ),
    ResourceRule(
        name="tagging-truth",
        theme=THEME,
        level="mandatory",
        reason="A tag that says something else than the settings leads residency, cost and access astray.",
        mend="Take the value from the settings.",
        types=TAGS | LABELS,
        check=says_what_is_so,
    ),
    table_rule(
        name="tagging-snapshots",
        theme=THEME,
        level="mandatory",
        reason="A snapshot is a copy of the data, and without tags nobody knows of which.",
        mend="Let the database copy its tags to its snapshots.",
        rows=(
            row("aws:rds/cluster:Cluster", "copyTagsToSnapshot", TRUE),
            row("aws:rds/clusterInstance:ClusterInstance", "copyTagsToSnapshot", TRUE),
        ),
    ),
)
