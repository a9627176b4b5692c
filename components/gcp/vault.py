"""Where a region keeps dumps that another region sends, and its own where residency allows none elsewhere.

A bucket and not a vault of Backup and DR. A plan of that service turns an instance's own backups off and has every
later update of the instance refused (terraform-google-sql-db #813, terraform-provider-google #24932), knows no
customer-managed keys for Cloud SQL (cloud.google.com/sql/docs/postgres/backup-recovery/backup-options), and is bound to
one instance, where a replica can have no backups: it would have to move with the writer.
"""

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import VaultArgs
from components.gcp import names, paths
from components.gcp.labels import labels

# 63 characters without dots, unique in the world (Cloud Storage: bucket names).
NAME_LIMIT = 63

DAY = 24 * 3600

# How long a deleted object can be called back, in days (SDK: soft_delete_policy).
LEAST_DAYS, MOST_DAYS = 7, 90


class Vault(Component):
    """Outputs: `vault_id`, the bucket's name."""

    vault_id: pulumi.Output[str]

    def __init__(self, name: str, args: VaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        topology, region = args.topology, args.region.name
        assert topology.retention is not None, "checked with the settings"
        days = topology.retention.backup_days
        bucket = gcp.storage.Bucket(
            f"{name}-bucket",
            name=names.name(topology, region, paths.project(topology), limit=NAME_LIMIT),
            project=args.ground,
            location=region,
            storage_class="STANDARD",
            # Its own region's: a dump is read where it lies, whatever has become of the region that it came from.
            encryption=gcp.storage.BucketEncryptionArgs(default_kms_key_name=args.key_ids["storage"]),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            # What anybody deletes can be called back for as long as it would have been kept. No retention policy: an
            # export asks for leave to delete (terraform-google-sql-db #599), and what it deletes is nowhere written.
            soft_delete_policy=gcp.storage.BucketSoftDeletePolicyArgs(
                retention_duration_seconds=min(MOST_DAYS, max(LEAST_DAYS, days)) * DAY
            ),
            lifecycle_rules=[
                gcp.storage.BucketLifecycleRuleArgs(
                    action=gcp.storage.BucketLifecycleRuleActionArgs(type="Delete"),
                    condition=gcp.storage.BucketLifecycleRuleConditionArgs(age=days),
                )
            ],
            force_destroy=False,
            deletion_policy="PREVENT",
            labels=labels(topology, region=region),
            opts=self.child(protect=True),
        )
        self.vault_id = bucket.name
        self.expose(vault_id=self.vault_id)
