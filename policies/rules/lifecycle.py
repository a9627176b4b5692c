"""What is kept is kept long enough, goes when its time is over, and what happened is on record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .members import CLUSTER, INSTANCE, SQL, databases, region_of, waits
from .resource import UNKNOWN, Resource, is_empty, is_list
from .rule import ResourceRule, stack_rule
from .settings import Settings
from .table import GIVEN, NOT_TRUE, TRUE, at_least, fixed, not_one_of, number, one_of, row, table_rule

THEME = "lifecycle"

PLAN = "aws:backup/plan:Plan"
SELECTION = "aws:backup/selection:Selection"
BUCKET = "aws:s3/bucket:Bucket"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
GBUCKET = "gcp:storage/bucket:Bucket"
JOB = "gcp:cloudscheduler/job:Job"
ACL = "aws:wafv2/webAcl:WebAcl"

# From the phase on that keeps a second copy, because there is something to lose. As long as AWS Config asks for
# (docs.aws.amazon.com/config/latest/developerguide/rds-cluster-backup-retention-check.html).
ASYNC_REPLICA, LEAST_DAYS = 2, 7


def takes_backups(instance: Resource) -> bool:
    return instance.at("settings.backupConfiguration.enabled") is True


def backup_days(settings: Settings) -> int:
    return max(settings.backup_days, LEAST_DAYS if settings.phase >= ASYNC_REPLICA else 1)


def backups_are_kept(resource: Resource, settings: Settings) -> Iterator[str]:
    """A bucket deletes an object with the first rule that holds, and the shortest age is the one that counts."""
    rules = resource.at("lifecycleRules")
    if rules is UNKNOWN:
        return
    ages = [
        each["condition"].get("age")
        for each in rules or ()
        if each is not UNKNOWN and each.get("action", {}).get("type") == "Delete"
    ]
    if not ages:
        yield "lifecycleRules never delete anything"
    for age in ages:
        if age is not UNKNOWN and (number(age) or 0) < backup_days(settings):
            yield f"lifecycleRules delete after {age} days, and backups are kept for {backup_days(settings)}"


def logs_expire(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    ruled = {each.parent for each in resources if each.type == LIFECYCLE}
    for each in resources:
        if each.type == BUCKET and each.parent not in ruled:
            yield each, "the bucket has no lifecycle, so nothing in it ever goes"


def members_are_backed_up(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """A selection names clusters by ARN, which ends with the identifier and, before there is one, is not known. A
    cluster without instances can only be copied, not backed up.
    """
    named: dict[str, list[Any]] = {}
    for each in resources:
        if each.type == SELECTION:
            found = each.at("resources")
            named.setdefault(region_of(each), []).extend(found if is_list(found) else [UNKNOWN])
    if not any(each.type == PLAN for each in resources):
        return
    for held in databases(resources).values():
        for region, each in held.items():
            if each.type != CLUSTER or waits(each, settings):
                continue
            arns = named.get(region, [])
            ends = (each.name, each.at("clusterIdentifier"))
            if any(arn is UNKNOWN for arn in arns) or ends[1] is UNKNOWN:
                continue
            if not any(str(arn).rsplit(":", 1)[-1] in ends for arn in arns):
                yield each, f"no backup selection in {region} names the cluster"


def backups_leave_the_region(
    resources: Sequence[Resource], settings: Settings
) -> Iterator[tuple[Resource | None, str]]:
    """Where residency allows a copy in another region, the settings say which."""
    for each in resources:
        region = settings.regions.get(region_of(each))
        if each.type != PLAN or region is None or not region.backup_copy:
            continue
        goals = each.values("rules.copyActions.destinationVaultArn")
        for goal in goals:
            if goal is not UNKNOWN and f":{region.backup_copy}:" not in str(goal or ""):
                yield each, f"rules.copyActions goes to {goal or 'nowhere'}, and must go to {region.backup_copy}"


def databases_are_in_backup(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource | None, str]]:
    """A region that holds members and is planned to keep backups has what makes them."""
    if settings.target not in ("aws", "gcp"):
        return
    makers = {region_of(each) for each in resources if each.type in (PLAN, JOB)}
    for held in databases(resources).values():
        for region, each in held.items():
            if each.type in (CLUSTER, SQL) and region not in makers:
                yield each, f"nothing in {region} makes backups of the databases there"


def lower_holds_no_production(resource: Resource, settings: Settings) -> Iterator[str]:
    if settings.given and not settings.production and resource.data_class in settings.production_classes:
        yield f"data-class is {resource.data_class!r}, and {settings.environment} is no production environment"


def is_copied(plan: Resource) -> bool:
    return not all(map(is_empty, plan.values("rules.copyActions.destinationVaultArn")))


def all_are_counted(visible: Any) -> bool:
    return isinstance(visible, Mapping) and visible.get("cloudwatchMetricsEnabled") is True


DAYS = at_least(lambda settings: settings.log_days, "days")
BACKUP_DAYS = at_least(backup_days, "days")

RULES = (
    table_rule(
        name="lifecycle-logs",
        theme=THEME,
        level="mandatory",
        reason="Logs are needed weeks after something happened, and without a limit they are kept, and paid, for ever.",
        mend="Keep them for `retention.log_days` of the settings.",
        rows=(
            row("aws:cloudwatch/logGroup:LogGroup", "retentionInDays", DAYS),
            row("gcp:logging/projectBucketConfig:ProjectBucketConfig", "retentionDays", DAYS),
            row(LIFECYCLE, "rules.expiration.days", DAYS),
        ),
    ),
    table_rule(
        name="lifecycle-leftovers",
        theme=THEME,
        level="mandatory",
        reason="Old versions and uploads that were never finished cost as much as the rest, and nobody sees them.",
        mend="Let the bucket's lifecycle remove them.",
        rows=(
            row(LIFECYCLE, "rules.status", one_of("Enabled")),
            row(LIFECYCLE, "rules.noncurrentVersionExpiration.noncurrentDays", GIVEN),
            row(LIFECYCLE, "rules.abortIncompleteMultipartUpload.daysAfterInitiation", GIVEN),
        ),
    ),
    stack_rule(
        "lifecycle-bucket",
        logs_expire,
        "A bucket without a lifecycle only grows, and holds what should have been deleted.",
        "Register a BucketLifecycleConfiguration beside it.",
    ),
    table_rule(
        name="lifecycle-backups",
        theme=THEME,
        level="mandatory",
        reason="A fault in the data is often found only weeks later; a backup that is gone by then was none.",
        mend=f"Keep them for `retention.backup_days`, which from phase {ASYNC_REPLICA} on is {LEAST_DAYS} or more.",
        rows=(
            row(PLAN, "rules.lifecycle.deleteAfter", BACKUP_DAYS),
            row(PLAN, "rules.schedule", GIVEN),
            row(PLAN, "rules.copyActions.lifecycle.deleteAfter", BACKUP_DAYS, is_copied),
            # The vault that AWS makes has no lock, no policy and AWS's own key.
            row(PLAN, "rules.targetVaultName", not_one_of(None, "", "Default")),
            row(SELECTION, "resources", GIVEN),
            row(
                "gcp:sql/databaseInstance:DatabaseInstance",
                "settings.backupConfiguration.backupRetentionSettings.retainedBackups",
                BACKUP_DAYS,
                takes_backups,
            ),
            row(JOB, "paused", NOT_TRUE),
            row(JOB, "schedule", GIVEN),
        ),
    ),
    ResourceRule(
        name="lifecycle-backup-bucket",
        theme=THEME,
        level="mandatory",
        reason="The bucket deletes by its own rules, whatever made the backup.",
        mend="Delete after `retention.backup_days` of the settings, and not before.",
        types=frozenset((GBUCKET,)),
        check=backups_are_kept,
    ),
    stack_rule(
        "lifecycle-selected",
        members_are_backed_up,
        "A database that no selection names is in no backup, and nothing says so until it is needed.",
        "Add the cluster's ARN to the selection of its region.",
    ),
    stack_rule(
        "lifecycle-backup-maker",
        databases_are_in_backup,
        "Any member may be the writer tomorrow, and must then be backed up where it is.",
        "Register the backup of that region.",
    ),
    stack_rule(
        "lifecycle-backup-copy",
        backups_leave_the_region,
        "A backup in the region of its database is lost with it.",
        "Copy it to the vault of that region.",
    ),
    ResourceRule(
        name="lifecycle-lower-environment",
        theme=THEME,
        level="mandatory",
        reason="Lower environments are open to more people and are watched less.",
        mend="Fill them with data that was made up, and say so in `ownership.data_class`.",
        check=lower_holds_no_production,
    ),
    table_rule(
        name="lifecycle-records",
        theme=THEME,
        level="mandatory",
        reason="After an incident the records are all there is to learn from.",
        mend="Switch them on.",
        rows=(
            row("aws:lb/loadBalancer:LoadBalancer", "accessLogs.enabled", TRUE),
            row(INSTANCE, "performanceInsightsEnabled", TRUE),
            row(INSTANCE, "monitoringInterval", at_least(lambda _: 1, "seconds")),
            row("aws:ec2/flowLog:FlowLog", "trafficType", one_of("ALL")),
            row(
                CLUSTER,
                "enabledCloudwatchLogsExports",
                fixed("a list with postgresql", lambda value: is_list(value) and "postgresql" in value),
            ),
            row(ACL, "visibilityConfig", fixed("counted in CloudWatch", all_are_counted)),
            row("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration", "logDestinationConfigs", GIVEN),
            row("gcp:compute/backendService:BackendService", "logConfig.enable", TRUE),
            row("gcp:compute/subnetwork:Subnetwork", "logConfig", GIVEN, lambda each: is_empty(each.at("purpose"))),
            row("gcp:compute/routerNat:RouterNat", "logConfig.enable", TRUE),
            row("gcp:logging/projectSink:ProjectSink", "disabled", NOT_TRUE),
        ),
    ),
)
