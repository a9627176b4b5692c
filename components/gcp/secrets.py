"""A region's own copies of what its operators and its service must know.

One secret per region and use, in that region alone: where a secret is kept can never be changed, so one that spanned
the regions would be replaced by the phase that adds one (replacement.csv: replication). Not a RegionalSecret, which
has an endpoint and a form of name of its own that not everything that reads secrets knows (k8s-config-connector #6651).
"""

from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import SecretsArgs
from components.gcp import names
from components.gcp.labels import labels

ADMINISTRATOR = "meridian"

# 255 characters (Secret Manager API: secrets.create).
NAME_LIMIT = 255

# How long a destroyed version can be called back: 30 days.
RECOVERY = f"{30 * 24 * 3600}s"

# A rotation adds further versions by API and disables this one.
VERSION_IGNORES = [
    # Unignored, another first password would replace the version, and its successor would be the newest
    # (replacement.csv).
    "secret_data",
    # Unignored, the old password would be enabled again. A rotation must not destroy the version either: the provider
    # takes a destroyed one for gone and would write it anew (resource_secret_manager_secret_version.go, decoder).
    "enabled",
]


class Secrets(Component):
    """Outputs: `secret_ids` (full names; `database-<partition>` of every partition, and `directory`). None for the
    cache: it is entered with the service account's own token, so there is no password to keep and `cache_password` is
    empty (cloud.google.com/memorystore/docs/valkey/about-iam-auth).
    """

    secret_ids: dict[str, pulumi.Output[str]]
    cache_password: pulumi.Output[str]

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        self.args, self.region = args, args.region.name
        self.cache_password = pulumi.Output.from_input("")
        self.secret_ids = {
            f"database-{partition}": self.secret(
                f"database-{partition}",
                (partition, "database"),
                {"username": ADMINISTRATOR, "password": password},
                partition=partition,
            )
            for partition, password in args.credentials.items()
        }
        self.secret_ids["directory"] = self.secret("directory", ("directory",), {"key": args.directory_key})
        self.expose(secret_ids=self.secret_ids)

    def secret(
        self,
        use: str,
        parts: tuple[str, ...],
        holds: Mapping[str, pulumi.Input[str]],
        *,
        partition: str | None = None,
    ) -> pulumi.Output[str]:
        topology = self.args.topology
        secret = gcp.secretmanager.Secret(
            f"{self.name}-{use}",
            secret_id=names.name(topology, self.region, *parts, limit=NAME_LIMIT),
            project=self.args.ground,
            replication=gcp.secretmanager.SecretReplicationArgs(
                user_managed=gcp.secretmanager.SecretReplicationUserManagedArgs(
                    replicas=[
                        gcp.secretmanager.SecretReplicationUserManagedReplicaArgs(
                            location=self.region,
                            customer_managed_encryption=gcp.secretmanager.SecretReplicationUserManagedReplicaCustomerManagedEncryptionArgs(
                                kms_key_name=self.args.key_ids["secrets"]
                            ),
                        )
                    ]
                )
            ),
            version_destroy_ttl=RECOVERY,
            labels=labels(topology, region=self.region, partition=partition),
            deletion_protection=True,
            deletion_policy="PREVENT",
            opts=self.child(protect=True),
        )
        gcp.secretmanager.SecretVersion(
            f"{self.name}-{use}-first",
            secret=secret.id,
            project=self.args.ground,
            secret_data=pulumi.Output.json_dumps(holds, sort_keys=True),
            opts=self.child(ignore_changes=VERSION_IGNORES),
        )
        return secret.id
