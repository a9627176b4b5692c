"""What a change of an argument does to a resource of Google Cloud: replace it, promote it, restore over it, or fail.

The rows of replacement.csv were taken from the provider's Go source: ForceNew, CustomizeDiff, the resources' update
functions, and what Pulumi calls the arguments. `api` is what Google's discovery documents say of the same property:
immutable, silent, or absent when they have no such property. An argument stands for everything below it.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from components.replacement import Rule, Table, UnknownTypeError

# Every input of this SDK was looked up by name in the schemas of that provider,
# hashicorp/terraform-provider-google-beta of 2026-08-21: 8.0.0 as merged, before its release. The inputs this SDK has
# beyond it and that may replace have rows of their own, whose source says so: secretType, secretDataWoVersion,
# functionalType. The others are blueGreenDeployment and encryptionConfidentialMode of sql.DatabaseInstance,
# dynamicForwarding.forwardProxy and tlsSettings.identity of compute.BackendService, sshEnabled and
# template.workloadIdentityConfig of cloudrunv2.Service, and some of compute.URLMap and compute.SecurityPolicy, where
# nothing but project, name and type replace. Pulumi itself adds no replacement to any of these types; it deletes some
# before it creates their successors (pulumi-gcp: provider/resources.go at ed6078a).
SDK_VERSION = "10.2.0"
PROVIDER_VERSION = "93c65b2"

EFFECTS = {
    "replace": "replaces it",
    "replace-if": "replaces it",
    "promote": "promotes the replica: both sides then accept writes",
    "demote": "tells it that it is a replica now",
    "overwrite": "restores a backup over its data",
    "orphan": "makes a second one and forgets the first",
    "unprotect": "takes away what holds up its deletion",
    "refuse": "is refused by the provider or by Google, halfway through the update",
}

# What is lost when a resource of this type is deleted. A cache is none: it is never a system of record.
STATEFUL: Mapping[str, str] = MappingProxyType(
    {
        "gcp:backupdisasterrecovery/backupVault:BackupVault": "its backups",
        "gcp:compute/address:Address": "the address, which others may have let in",
        "gcp:compute/globalAddress:GlobalAddress": "the address that names point at, or the range of its databases",
        "gcp:dns/managedZone:ManagedZone": "its records, and the name servers it is delegated to",
        "gcp:kms/cryptoKey:CryptoKey": "everything encrypted under it, for ever",
        "gcp:kms/keyRing:KeyRing": "the keys in it: a ring is never deleted, only forgotten",
        "gcp:logging/projectBucketConfig:ProjectBucketConfig": "its log entries",
        "gcp:secretmanager/regionalSecret:RegionalSecret": "its versions",
        "gcp:secretmanager/secret:Secret": "its versions and its replicas",
        "gcp:sql/database:Database": "its tables",
        "gcp:sql/databaseInstance:DatabaseInstance": "its data, and its name for a week",
        "gcp:sql/user:User": "the grants that the database knows it by",
        "gcp:storage/bucket:Bucket": "its objects",
        "random:index/randomPassword:RandomPassword": "the password that a database was made with",
    }
)

_TABLE = Table(
    path=Path(__file__).with_name("replacement.csv"),
    provider_version=PROVIDER_VERSION,
    effects_known=EFFECTS,
    stateful=STATEFUL,
    column="api",
    words=("immutable", "silent", "absent"),
)
table, parse, effects, consequences = _TABLE.rules, _TABLE.parse, _TABLE.effects, _TABLE.consequences

__all__ = [
    "EFFECTS",
    "PROVIDER_VERSION",
    "SDK_VERSION",
    "STATEFUL",
    "Rule",
    "UnknownTypeError",
    "consequences",
    "effects",
    "parse",
    "table",
]
