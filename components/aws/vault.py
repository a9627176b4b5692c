"""Where a region keeps backups: of its own members, and copies that another region sends."""

import json

import pulumi
import pulumi_aws as aws

from components.aws import names
from components.aws.tags import tags
from components.component import Component
from components.contracts import VaultArgs

# 2 to 50 letters, digits, hyphens and underscores (Backup API: CreateBackupVault).
NAME_LIMIT = 50

# One bound for every `retention.backup_days`, because another bound replaces the lock (replacement.csv), and as the new
# one is put over the old before that is taken away, there would be none afterwards. What keeps a recovery point is its
# own lifecycle, which under a lock nobody shortens.
LEAST_DAYS = 1


class Vault(Component):
    """Outputs: `vault_id`, the vault's name, which is its id on AWS."""

    vault_id: pulumi.Output[str]

    def __init__(self, name: str, args: VaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aws", name, opts)
        region = args.region.name
        physical = names.name(args.topology, region, limit=NAME_LIMIT)
        vault = aws.backup.Vault(
            f"{name}-vault",
            name=physical,
            kms_key_arn=args.key_ids["storage"],  # fixed at creation; copies from elsewhere are encrypted with it too
            force_destroy=False,
            tags=tags(args.topology, physical, region=region),
            region=region,
            opts=self.child(protect=True),
        )
        aws.backup.VaultLockConfiguration(
            f"{name}-lock",
            backup_vault_name=vault.id,
            # Without `changeable_for_days` it is a lock in governance mode, which an administrator can lift; with it,
            # nobody ever can (SDK).
            min_retention_days=LEAST_DAYS,
            region=region,
            opts=self.child(protect=True),
        )
        aws.backup.VaultPolicy(
            f"{name}-policy",
            backup_vault_name=vault.id,
            policy=policy(),
            region=region,
            opts=self.child(),
        )
        self.vault_id = vault.id
        self.expose(vault_id=self.vault_id)


def policy() -> str:
    """Nobody deletes a recovery point by hand or shortens its life; what is past its time AWS Backup still removes,
    because the policy binds callers of its API only
    (docs.aws.amazon.com/aws-backup/latest/devguide/create-a-vault-access-policy.html, which also forbids wildcards in
    actions). Replacing the policy itself is left open: denied to all, `up` could not mend it.
    """
    denied = {
        "Sid": "KeepRecoveryPoints",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"],
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [denied]}, sort_keys=True)
