"""What cannot be made again is not deleted by one mistake, and the last copy outlives what it is a copy of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .documents import statements
from .resource import UNKNOWN, Resource
from .rule import ResourceRule, StackRule
from .settings import Settings
from .table import FALSE, GIVEN, NOT_TRUE, TRUE, Expect, at_least, number, one_of, row, table_rule

THEME = "protection"

# What is lost with a resource of the type. Its `protect` stands between a mistyped setting and that.
STATEFUL: Mapping[str, str] = {
    "aws:backup/vault:Vault": "the backups in it",
    "aws:backup/vaultLockConfiguration:VaultLockConfiguration": "the lock on the backups",
    "aws:cloudwatch/logGroup:LogGroup": "the logs",
    "aws:kms/key:Key": "everything that it encrypted",
    "aws:rds/cluster:Cluster": "the data of a member",
    "aws:rds/clusterInstance:ClusterInstance": "the server that answers for a member",
    "aws:rds/globalCluster:GlobalCluster": "the replication of a partition",
    "aws:s3/bucket:Bucket": "the objects in it",
    "aws:secretsmanager/secret:Secret": "every version of the secret",
    "gcp:compute/address:Address": "an address that others have on their lists",
    "gcp:compute/globalAddress:GlobalAddress": "an address that others have on their lists",
    "gcp:dns/managedZone:ManagedZone": "the names of the members",
    "gcp:kms/cryptoKey:CryptoKey": "everything that it encrypted",
    "gcp:kms/keyRing:KeyRing": "the keys in it",
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": "the logs",
    "gcp:secretmanager/secret:Secret": "every version of the secret",
    "gcp:sql/database:Database": "the data of a partition",
    "gcp:sql/databaseInstance:DatabaseInstance": "the data of a member",
    "gcp:sql/user:User": "who may log in",
    "gcp:storage/bucket:Bucket": "the backups in it",
    "pulumi-python:dynamic/local:Postgres": "the data of a member",
    "random:index/randomPassword:RandomPassword": "a password that nothing else holds in full",
}

# Seven days is the shortest that both clouds take for keys and secrets, and it is the time to notice.
WINDOW_DAYS = 7
DAY = 86400


def days(count: int) -> Expect:
    return at_least(lambda _: count, "days")


def seconds_of(days_: int) -> Expect:
    return Expect(
        words=lambda _: f"at least {days_ * DAY}s",
        holds=lambda value, _: (number(value) or 0) >= days_ * DAY,
    )


def is_origin(instance: Resource) -> bool:
    """Cloud SQL takes backups of a primary only; `masterInstanceName` makes a replica."""
    return instance.at("masterInstanceName") is None


def is_protected(resource: Resource, _: Settings) -> Iterator[str]:
    if not resource.protect:
        yield f"protect is false, and {STATEFUL[resource.type]} would be lost with it"


def vault_is_held(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    """A vault has a policy of its own: without one, whoever may use AWS Backup may delete the last copy."""
    vaults = [each for each in resources if each.type == "aws:backup/vault:Vault"]
    for vault, kind, what in (
        (vault, kind, what)
        for vault in vaults
        for kind, what in (
            ("aws:backup/vaultPolicy:VaultPolicy", "policy that denies deletion"),
            ("aws:backup/vaultLockConfiguration:VaultLockConfiguration", "lock"),
        )
    ):
        beside = [each for each in resources if each.type == kind and each.parent == vault.parent]
        if not beside:
            yield vault, f"the vault has no {what}"


def vault_denies_deletion(resource: Resource, _: Settings) -> Iterator[str]:
    denied = {
        action
        for each in statements(resource)
        if not each.allows and "*" in each.principals and "*" in each.resources and not each.conditions
        for action in each.actions
    }
    for action in ("backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"):
        if not denied & {action, "backup:*", "*"}:
            yield f"policy does not deny {action} to everyone"


def lock_is_sound(resource: Resource, settings: Settings) -> Iterator[str]:
    """`maxRetentionDays` below the plan's retention makes every backup job fail
    (docs.aws.amazon.com/aws-backup/latest/devguide/vault-lock.html).
    """
    least, most = resource.at("minRetentionDays"), resource.at("maxRetentionDays")
    if least is not UNKNOWN and (number(least) or 0) < 1:
        yield f"minRetentionDays is {least}, and must be at least 1"
    if most is not UNKNOWN and most is not None and (number(most) or 0) < settings.backup_days:
        yield f"maxRetentionDays is {most}, and backups are kept for {settings.backup_days} days"


RULES = (
    ResourceRule(
        name="protection-protect",
        theme=THEME,
        level="mandatory",
        reason="Pulumi deletes or replaces what the program no longer asks for, unless it is protected.",
        mend="Set `protect` on the resource itself; it does not reach it from every parent.",
        types=frozenset(STATEFUL),
        check=is_protected,
    ),
    table_rule(
        name="protection-deletion",
        theme=THEME,
        level="mandatory",
        reason="The cloud's own lock holds where Pulumi's does not: in the console and in scripts.",
        mend="Switch the deletion protection on.",
        rows=(
            row("aws:cloudwatch/logGroup:LogGroup", "deletionProtectionEnabled", TRUE),
            row("aws:lb/loadBalancer:LoadBalancer", "enableDeletionProtection", TRUE),
            row("aws:rds/cluster:Cluster", "deletionProtection", TRUE),
            row("aws:rds/globalCluster:GlobalCluster", "deletionProtection", TRUE),
            row("gcp:cloudrunv2/service:Service", "deletionProtection", TRUE),
            row("gcp:memorystore/instance:Instance", "deletionProtectionEnabled", TRUE),
            row("gcp:secretmanager/secret:Secret", "deletionProtection", TRUE),
            row("gcp:sql/databaseInstance:DatabaseInstance", "deletionProtection", TRUE),
            row("gcp:sql/databaseInstance:DatabaseInstance", "settings.deletionProtectionEnabled", TRUE),
            *(
                row(type_, "deletionPolicy", one_of("PREVENT"))
                for type_ in (
                    "gcp:compute/address:Address",
                    "gcp:compute/globalAddress:GlobalAddress",
                    "gcp:dns/managedZone:ManagedZone",
                    "gcp:kms/cryptoKey:CryptoKey",
                    "gcp:logging/projectBucketConfig:ProjectBucketConfig",
                    "gcp:secretmanager/secret:Secret",
                    "gcp:sql/databaseInstance:DatabaseInstance",
                    "gcp:storage/bucket:Bucket",
                )
            ),
            # What is inside an instance goes with it; ABANDON leaves it where another region has become the writer.
            row("gcp:sql/database:Database", "deletionPolicy", one_of("ABANDON", "PREVENT")),
            row("gcp:sql/user:User", "deletionPolicy", one_of("ABANDON", "PREVENT")),
        ),
    ),
    table_rule(
        name="protection-final-copy",
        theme=THEME,
        level="mandatory",
        reason="When a database or an object does go, the last copy that was kept is the only way back.",
        mend="Keep the last copy.",
        rows=(
            row("aws:rds/cluster:Cluster", "skipFinalSnapshot", FALSE),
            row("aws:rds/cluster:Cluster", "finalSnapshotIdentifier", GIVEN),
            row("aws:rds/cluster:Cluster", "deleteAutomatedBackups", FALSE),
            row("aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status", one_of("Enabled")),
            row("gcp:sql/databaseInstance:DatabaseInstance", "settings.retainBackupsOnDelete", TRUE),
        ),
    ),
    table_rule(
        name="protection-force",
        theme=THEME,
        level="mandatory",
        reason="`forceDestroy` empties what the cloud would otherwise refuse to delete.",
        mend="Leave forceDestroy out.",
        rows=(
            row("aws:backup/vault:Vault", "forceDestroy", NOT_TRUE),
            row("aws:ecs/service:Service", "forceDelete", NOT_TRUE),
            row("aws:rds/globalCluster:GlobalCluster", "forceDestroy", NOT_TRUE),
            row("aws:route53/zone:Zone", "forceDestroy", NOT_TRUE),
            row("aws:s3/bucket:Bucket", "forceDestroy", NOT_TRUE),
            row("gcp:dns/managedZone:ManagedZone", "forceDestroy", NOT_TRUE),
            row("gcp:storage/bucket:Bucket", "forceDestroy", NOT_TRUE),
        ),
    ),
    table_rule(
        name="protection-point-in-time",
        theme=THEME,
        level="mandatory",
        reason="A bad deploy or a bad statement is undone from the database's own continuous backup, on every copy.",
        mend="Raise it to `retention.point_in_time_days` of the settings.",
        rows=(
            row("aws:rds/cluster:Cluster", "backupRetentionPeriod", at_least(lambda s: s.point_in_time_days, "days")),
            row("gcp:sql/databaseInstance:DatabaseInstance", "settings.backupConfiguration.enabled", TRUE, is_origin),
            row(
                "gcp:sql/databaseInstance:DatabaseInstance",
                "settings.backupConfiguration.pointInTimeRecoveryEnabled",
                TRUE,
                is_origin,
            ),
            row(
                "gcp:sql/databaseInstance:DatabaseInstance",
                "settings.backupConfiguration.transactionLogRetentionDays",
                at_least(lambda s: s.point_in_time_days, "days"),
                is_origin,
            ),
        ),
    ),
    table_rule(
        name="protection-window",
        theme=THEME,
        level="mandatory",
        reason="A deleted key or secret can be called back for some days, and a key takes all that it encrypted along.",
        mend=f"Allow at least {WINDOW_DAYS} days.",
        rows=(
            row("aws:kms/key:Key", "deletionWindowInDays", days(WINDOW_DAYS)),
            row("aws:secretsmanager/secret:Secret", "recoveryWindowInDays", days(WINDOW_DAYS)),
            row("gcp:kms/cryptoKey:CryptoKey", "destroyScheduledDuration", seconds_of(WINDOW_DAYS)),
            row("gcp:secretmanager/secret:Secret", "versionDestroyTtl", seconds_of(WINDOW_DAYS)),
            row("gcp:storage/bucket:Bucket", "softDeletePolicy.retentionDurationSeconds", seconds_of(WINDOW_DAYS)),
        ),
    ),
    StackRule(
        name="protection-vault-held",
        theme=THEME,
        level="mandatory",
        reason="Backups that an intruder can delete are no backups.",
        mend="Register the vault's policy and its lock beside it.",
        check=vault_is_held,
    ),
    ResourceRule(
        name="protection-vault-policy",
        theme=THEME,
        level="mandatory",
        reason="A vault's policy is the one place that also binds the account's administrators.",
        mend="Deny it, for the principal *, on the resource *, without a condition.",
        types=frozenset(("aws:backup/vaultPolicy:VaultPolicy",)),
        check=vault_denies_deletion,
    ),
    ResourceRule(
        name="protection-vault-lock",
        theme=THEME,
        level="mandatory",
        reason="A lock refuses to shorten what is kept, and one that is too narrow refuses every new backup.",
        mend="Set minRetentionDays to 1 or more and leave maxRetentionDays out, or above `retention.backup_days`.",
        types=frozenset(("aws:backup/vaultLockConfiguration:VaultLockConfiguration",)),
        check=lock_is_sound,
    ),
)
