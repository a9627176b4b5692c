"""Google's own word on the same properties, from the discovery documents that google-api-python-client ships.

The documents are read as files: importing the client costs half a second, and nothing of its code is needed.
"""

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# The document and the schema, and the properties whose name is another one than the argument's.
TWINS: dict[str, tuple[str, str, dict[str, str]]] = {
    "gcp:backupdisasterrecovery/backupPlan:BackupPlan": ("backupdr.v1", "BackupPlan", {}),
    "gcp:backupdisasterrecovery/backupPlanAssociation:BackupPlanAssociation": (
        "backupdr.v1",
        "BackupPlanAssociation",
        {},
    ),
    "gcp:backupdisasterrecovery/backupVault:BackupVault": ("backupdr.v1", "BackupVault", {}),
    "gcp:certificatemanager/certificate:Certificate": ("certificatemanager.v1", "Certificate", {}),
    "gcp:certificatemanager/certificateMap:CertificateMap": ("certificatemanager.v1", "CertificateMap", {}),
    "gcp:certificatemanager/certificateMapEntry:CertificateMapEntry": (
        "certificatemanager.v1",
        "CertificateMapEntry",
        {},
    ),
    "gcp:certificatemanager/dnsAuthorization:DnsAuthorization": ("certificatemanager.v1", "DnsAuthorization", {}),
    "gcp:cloudrunv2/service:Service": ("run.v2", "GoogleCloudRunV2Service", {}),
    "gcp:cloudscheduler/job:Job": ("cloudscheduler.v1", "Job", {}),
    "gcp:compute/address:Address": ("compute.v1", "Address", {}),
    "gcp:compute/backendService:BackendService": ("compute.v1", "BackendService", {}),
    "gcp:compute/firewall:Firewall": ("compute.v1", "Firewall", {}),
    "gcp:compute/globalAddress:GlobalAddress": ("compute.v1", "Address", {}),
    "gcp:compute/globalForwardingRule:GlobalForwardingRule": (
        "compute.v1",
        "ForwardingRule",
        {"ipAddress": "IPAddress", "ipProtocol": "IPProtocol"},
    ),
    "gcp:compute/healthCheck:HealthCheck": ("compute.v1", "HealthCheck", {}),
    "gcp:compute/instanceTemplate:InstanceTemplate": ("compute.v1", "InstanceTemplate", {}),
    "gcp:compute/network:Network": ("compute.v1", "Network", {}),
    "gcp:compute/networkFirewallPolicy:NetworkFirewallPolicy": ("compute.v1", "FirewallPolicy", {}),
    "gcp:compute/networkFirewallPolicyAssociation:NetworkFirewallPolicyAssociation": (
        "compute.v1",
        "FirewallPolicyAssociation",
        {},
    ),
    "gcp:compute/networkFirewallPolicyRule:NetworkFirewallPolicyRule": ("compute.v1", "FirewallPolicyRule", {}),
    "gcp:compute/regionAutoscaler:RegionAutoscaler": ("compute.v1", "Autoscaler", {}),
    "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager": ("compute.v1", "InstanceGroupManager", {}),
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": ("compute.v1", "InstanceTemplate", {}),
    "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup": ("compute.v1", "NetworkEndpointGroup", {}),
    "gcp:compute/router:Router": ("compute.v1", "Router", {}),
    "gcp:compute/routerNat:RouterNat": ("compute.v1", "RouterNat", {}),
    "gcp:compute/sSLPolicy:SSLPolicy": ("compute.v1", "SslPolicy", {}),
    "gcp:compute/securityPolicy:SecurityPolicy": ("compute.v1", "SecurityPolicy", {}),
    "gcp:compute/subnetwork:Subnetwork": ("compute.v1", "Subnetwork", {}),
    "gcp:compute/targetHttpProxy:TargetHttpProxy": ("compute.v1", "TargetHttpProxy", {}),
    "gcp:compute/targetHttpsProxy:TargetHttpsProxy": ("compute.v1", "TargetHttpsProxy", {}),
    "gcp:compute/uRLMap:URLMap": ("compute.v1", "UrlMap", {}),
    "gcp:dns/managedZone:ManagedZone": ("dns.v1", "ManagedZone", {}),
    "gcp:dns/recordSet:RecordSet": ("dns.v1", "ResourceRecordSet", {}),
    "gcp:kms/cryptoKey:CryptoKey": ("cloudkms.v1", "CryptoKey", {}),
    "gcp:kms/keyRing:KeyRing": ("cloudkms.v1", "KeyRing", {}),
    "gcp:logging/metric:Metric": ("logging.v2", "LogMetric", {}),
    "gcp:logging/projectBucketConfig:ProjectBucketConfig": ("logging.v2", "LogBucket", {}),
    "gcp:logging/projectSink:ProjectSink": ("logging.v2", "LogSink", {}),
    "gcp:monitoring/alertPolicy:AlertPolicy": ("monitoring.v3", "AlertPolicy", {}),
    "gcp:monitoring/notificationChannel:NotificationChannel": ("monitoring.v3", "NotificationChannel", {}),
    "gcp:monitoring/uptimeCheckConfig:UptimeCheckConfig": ("monitoring.v3", "UptimeCheckConfig", {}),
    "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy": (
        "networkconnectivity.v1",
        "ServiceConnectionPolicy",
        {},
    ),
    "gcp:secretmanager/regionalSecret:RegionalSecret": ("secretmanager.v1", "Secret", {}),
    "gcp:secretmanager/secret:Secret": ("secretmanager.v1", "Secret", {}),
    "gcp:serviceaccount/account:Account": ("iam.v1", "ServiceAccount", {}),
    "gcp:servicenetworking/connection:Connection": ("servicenetworking.v1", "Connection", {}),
    "gcp:sql/database:Database": ("sqladmin.v1", "Database", {}),
    "gcp:sql/databaseInstance:DatabaseInstance": (
        "sqladmin.v1",
        "DatabaseInstance",
        {"encryptionKeyName": "diskEncryptionConfiguration/kmsKeyName"},
    ),
    "gcp:sql/user:User": ("sqladmin.v1", "User", {}),
    "gcp:storage/bucket:Bucket": ("storage.v1", "Bucket", {}),
    "gcp:workflows/workflow:Workflow": ("workflows.v1", "Workflow", {}),
}

# Grants, versions and switches that no document describes as a thing of its own, and Memorystore, whose document the
# client does not ship.
WITHOUT_TWIN = {
    "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember",
    "gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember",
    "gcp:compute/networkPeeringRoutesConfig:NetworkPeeringRoutesConfig",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember",
    "gcp:memorystore/instance:Instance",
    "gcp:projects/iAMAuditConfig:IAMAuditConfig",
    "gcp:projects/iAMMember:IAMMember",
    "gcp:projects/service:Service",
    "gcp:projects/serviceIdentity:ServiceIdentity",
    "gcp:secretmanager/regionalSecretIamMember:RegionalSecretIamMember",
    "gcp:secretmanager/regionalSecretVersion:RegionalSecretVersion",
    "gcp:secretmanager/secretIamMember:SecretIamMember",
    "gcp:secretmanager/secretVersion:SecretVersion",
    "gcp:serviceaccount/iAMMember:IAMMember",
    "gcp:storage/bucketIAMMember:BucketIAMMember",
    "pulumi:providers:gcp",
    "random:index/randomId:RandomId",
    "random:index/randomPassword:RandomPassword",
}

# There is no field for it: the documents say it in the description, and not always in these words.
_IMMUTABLE = re.compile(
    r"\bimmutable\b|\bcannot be (?:changed|updated)\b|\bonly (?:be set )?at (?:resource )?creation\b"
    r"|\bonly be specified during creation\b",
    re.IGNORECASE,
)


def documents() -> Path | None:
    spec = find_spec("googleapiclient")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "discovery_cache" / "documents"


@cache
def schemas(document: str) -> dict[str, Any]:
    folder = documents()
    assert folder is not None
    return json.loads((folder / f"{document}.json").read_text(encoding="utf-8"))["schemas"]


def twin(type_: str, argument: str) -> list[dict[str, Any]] | None:
    """The property and those around it, outermost first."""
    document, name, renamed = TWINS[type_]
    schema: dict[str, Any] = schemas(document)[name]
    found: list[dict[str, Any]] = []
    for key in renamed.get(argument, argument.replace(".", "/")).split("/"):
        known = schema.get("properties", {})
        # Pulumi gives lists a plural that the API does not always have.
        spelling = next((each for each in (key, key.removesuffix("s"), f"{key}s") if each in known), None)
        if spelling is None:
            return None
        found.append(known[spelling])
        reference = known[spelling].get("$ref") or known[spelling].get("items", {}).get("$ref")
        schema = schemas(document)[reference] if reference else known[spelling]
    return found


def word(type_: str, argument: str) -> str:
    """`immutable` also when the property around it is; `silent` when no description says so."""
    found = twin(type_, argument) if type_ in TWINS else None
    if found is None:
        return "absent"
    return "immutable" if any(_IMMUTABLE.search(each.get("description", "")) for each in found) else "silent"
