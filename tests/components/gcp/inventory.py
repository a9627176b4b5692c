"""What production on Google Cloud is, phase by phase.

python -m tests.components.gcp.inventory        writes inventory/phase-N.yaml anew
"""

from pathlib import Path

from tests.components.inventory import Inventory

CHOSEN: dict[str, tuple[str, ...]] = {
    "gcp:compute/subnetwork:Subnetwork": ("region", "ipCidrRange"),
    "gcp:compute/globalAddress:GlobalAddress": ("addressType", "address", "prefixLength"),
    "gcp:compute/address:Address": ("region", "addressType"),
    "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy": ("location", "serviceClass"),
    "gcp:kms/keyRing:KeyRing": ("location",),
    "gcp:kms/cryptoKey:CryptoKey": ("keyRing", "rotationPeriod"),
    "gcp:secretmanager/secret:Secret": ("replication.userManaged.replicas.location",),
    "gcp:sql/databaseInstance:DatabaseInstance": (
        "region",
        "databaseVersion",
        "masterInstanceName",
        "settings.edition",
        "settings.tier",
        "settings.availabilityType",
        "settings.backupConfiguration.location",
        "deletionPolicy",
    ),
    "gcp:memorystore/instance:Instance": ("location", "engineVersion", "shardCount", "replicaCount"),
    "gcp:cloudrunv2/service:Service": (
        "location",
        "ingress",
        "scaling.minInstanceCount",
        "template.scaling.maxInstanceCount",
    ),
    "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup": ("region", "networkEndpointType"),
    "gcp:compute/backendService:BackendService": ("loadBalancingScheme", "backends.group"),
    "gcp:compute/globalForwardingRule:GlobalForwardingRule": ("loadBalancingScheme", "portRange"),
    "gcp:dns/recordSet:RecordSet": ("name", "type"),
    "gcp:storage/bucket:Bucket": ("location", "softDeletePolicy.retentionDurationSeconds"),
    "gcp:cloudscheduler/job:Job": ("region", "schedule"),
    "gcp:monitoring/alertPolicy:AlertPolicy": ("displayName",),
}

INVENTORY = Inventory(
    stack="production-gcp",
    module="tests.components.gcp.inventory",
    folder=Path(__file__).with_name("inventory"),
    chosen=CHOSEN,
)

if __name__ == "__main__":
    INVENTORY.write()
