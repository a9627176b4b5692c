"""A region's own keys, one per use: what one of them opens is in one region and of one kind.

A ring can never be deleted, and a deleted key takes with it all that was encrypted under it (SDK: KeyRing, CryptoKey).
So a stack that is built anew under its old name finds the ring there, and has to import it.
"""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_gcp as gcp

from components.component import Component
from components.contracts import KeysArgs
from components.gcp import names
from components.gcp.labels import labels
from components.gcp.ordering import after

# Rings and keys: 63 characters (Cloud KMS API: keyRings.create).
NAME_LIMIT = 63

# 90 days, as Google advises (cloud.google.com/kms/docs/key-rotation). Versions before the newest stay and open what
# they encrypted.
ROTATION = f"{90 * 24 * 3600}s"

# 30 days in which a version that somebody destroys can be called back. A change replaces the key (replacement.csv).
DESTRUCTION = f"{30 * 24 * 3600}s"

ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"

# The domains of the service agents that may use each key: service-<project number>@<domain>.iam.gserviceaccount.com
# (cloud.google.com/iam/docs/service-agents). The storage key encrypts the vault, for which Cloud Storage's own agent
# opens it (gs-project-accounts, cloud.google.com/storage/docs/encryption/using-customer-managed-keys), and what runs:
# Cloud Run's images (serverless-robot-prod) and the machines' disks (compute-system).
#
# The foundation asks for the agents that only come when they are asked for. Compute Engine's comes with its API. Cloud
# Storage's is made by asking the API for its name (SDK: storage.get_project_service_account), which no resource does,
# and a question to the API in every preview is none that this program asks: so whoever sets up the project does it
# once, as docs/gcp/keys.md says.
#
# Nobody may use the key for logs yet: which agent Logging opens keys with has to be asked of the project's own settings
# (Logging API: Settings, kmsServiceAccountId). A log bucket takes a key later in place, but never gives it up (SDK:
# ProjectBucketConfig, cmek_settings).
AGENTS: Mapping[str, Sequence[str]] = {
    "database": ("gcp-sa-cloud-sql",),
    "cache": ("gcp-sa-memorystore",),
    "storage": ("gs-project-accounts", "serverless-robot-prod", "compute-system"),
    "logs": (),
    "secrets": ("gcp-sa-secretmanager",),
}


class Keys(Component):
    """Outputs: `key_ids`, the keys' full names by use: database, cache, storage, logs, secrets. Given out only once
    those who encrypt with them are let in, which Google takes up to some minutes to notice.
    """

    key_ids: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: KeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("gcp", name, opts)
        self.topology, self.region = args.topology, args.region.name
        self.ring = gcp.kms.KeyRing(
            f"{name}-ring",
            name=names.name(args.topology, self.region, limit=NAME_LIMIT),
            location=self.region,
            project=args.ground,
            opts=self.child(protect=True),
        )
        self.key_ids = {use: self.key(use) for use in AGENTS}
        self.expose(key_ids=self.key_ids)

    def key(self, use: str) -> pulumi.Output[str]:
        key = gcp.kms.CryptoKey(
            f"{self.name}-{use}",
            name=use,
            key_ring=self.ring.id,
            rotation_period=ROTATION,
            destroy_scheduled_duration=DESTRUCTION,
            labels=labels(self.topology, region=self.region),
            deletion_policy="PREVENT",
            opts=self.child(protect=True),
        )
        return after(key.id, *(self.grant(use, key, domain) for domain in AGENTS[use]))

    def grant(self, use: str, key: gcp.kms.CryptoKey, domain: str) -> gcp.kms.CryptoKeyIAMMember:
        """One member of one role, so that it takes nothing away from whom somebody else lets in."""
        assert self.topology.gcp is not None, "checked with the settings"
        agent = f"service-{self.topology.gcp.project_number}@{domain}.iam.gserviceaccount.com"
        return gcp.kms.CryptoKeyIAMMember(
            f"{self.name}-{use}-{domain}",
            crypto_key_id=key.id,
            role=ROLE,
            member=f"serviceAccount:{agent}",
            opts=self.child(),
        )
