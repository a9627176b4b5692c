"""For each rule, changes to a real stack that it catches: the stack, the phase, and what is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from policies.rules.resource import Resource
from tests.policies.graphs import changed, without

Change: TypeAlias = Callable[[Sequence[Resource]], tuple[Resource, ...]]


class Case(NamedTuple):
    rule: str
    stack: str
    change: Change
    says: str  # a part of the message: the value that is wrong
    phase: int = 3


def to(type_: str, path: str, value: Any, *, name: str = "") -> Change:
    return lambda found: changed(found, type_, path, value, name=name)


def unprotected(type_: str) -> Change:
    return lambda found: changed(found, type_, protect=False)


def gone(type_: str, name: str = "") -> Change:
    return lambda found: without(found, type_, name)


def document(*, action: str = "s3:GetObject", principal: Any = None, **more: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", "Sid": "Planted", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Principal": principal}]})


AWS, GCP = "production-aws", "production-gcp"
CLUSTER = "aws:rds/cluster:Cluster"
INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
GLOBAL = "aws:rds/globalCluster:GlobalCluster"
LISTENER = "aws:lb/listener:Listener"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
VAULT = "aws:backup/vault:Vault"
LOCK = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
TASKS = "aws:ecs/service:Service"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
SECRET = "aws:secretsmanager/secret:Secret"
KEY = "aws:kms/key:Key"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
SQL = "gcp:sql/databaseInstance:DatabaseInstance"
RUN = "gcp:cloudrunv2/service:Service"
VALKEY = "gcp:memorystore/instance:Instance"
BUCKET = "gcp:storage/bucket:Bucket"
GSECRET = "gcp:secretmanager/secret:Secret"
GKEY = "gcp:kms/cryptoKey:CryptoKey"
ABROAD = "arn:aws:kms:us-west-2:123456789012:key/abroad"
G_ABROAD = "projects/example-production/locations/us-west1/keyRings/abroad/cryptoKeys/abroad"

RESIDENCY = (
    Case("residency-region", AWS, to(CLUSTER, "region", "ap-southeast-1"), "'ap-southeast-1'"),
    Case("residency-region", AWS, to(LOGS, "region", "us-west-2", name="service-logs"), "'us-west-2'"),
    Case("residency-region", AWS, to(SECRET, "replicas", [{"region": "us-west-2"}]), "'us-west-2'"),
    Case("residency-region", AWS, to("aws:sns/topic:Topic", "region", "us-west-2"), "'us-west-2'"),
    Case("residency-region", AWS, to(VAULT, "region", None), "region is not given"),
    Case("residency-region", GCP, to(BUCKET, "location", "US"), "'US'"),
    Case("residency-region", GCP, to(SQL, "settings.backupConfiguration.location", "us"), "'us'"),
    Case(
        "residency-region",
        GCP,
        to(SQL, "settings.backupConfiguration.location", None, name="main-europe-west3-instance"),
        "backupConfiguration.location is not given",
    ),
    Case(
        "residency-region",
        GCP,
        to(GSECRET, "replication.userManaged.replicas.0.location", "asia-east1"),
        "'asia-east1'",
    ),
    Case(
        "residency-region",
        GCP,
        to("gcp:logging/projectBucketConfig:ProjectBucketConfig", "location", "global"),
        "'global'",
    ),
    Case("residency-secret-replicas", GCP, to(GSECRET, "replication", {"auto": {"x": 1}}), "replication.auto"),
)

ENCRYPTION = (
    Case("encryption-at-rest", AWS, to(CLUSTER, "storageEncrypted", False), "storageEncrypted is false"),
    Case("encryption-at-rest", AWS, to(GLOBAL, "storageEncrypted", None), "storageEncrypted is not given"),
    Case(
        "encryption-at-rest",
        AWS,
        to(
            "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
            "rules.0.applyServerSideEncryptionByDefault.sseAlgorithm",
            "none",
        ),
        "'none'",
    ),
    *(
        Case("encryption-own-key", AWS, to(type_, path, value), says)
        for type_, path, value, says in (
            (CLUSTER, "kmsKeyId", None, "kmsKeyId is not given"),
            (INSTANCE, "performanceInsightsKmsKeyId", None, "performanceInsightsKmsKeyId"),
            (LOGS, "kmsKeyId", "", "kmsKeyId is ''"),
            (SECRET, "kmsKeyId", "alias/aws/secretsmanager", "'alias/aws/secretsmanager'"),
            ("aws:sns/topic:Topic", "kmsMasterKeyId", None, "kmsMasterKeyId"),
            (VAULT, "kmsKeyArn", None, "kmsKeyArn"),
            ("aws:elasticache/serverlessCache:ServerlessCache", "kmsKeyId", None, "kmsKeyId"),
        )
    ),
    *(
        Case("encryption-own-key", GCP, to(type_, path, None), f"{path.split('.')[-1]} is not given")
        for type_, path in (
            (SQL, "encryptionKeyName"),
            (VALKEY, "kmsKey"),
            (BUCKET, "encryption.defaultKmsKeyName"),
            (RUN, "template.encryptionKey"),
        )
    ),
    Case("encryption-regional-key", AWS, to(CLUSTER, "kmsKeyId", ABROAD), "us-west-2"),
    Case("encryption-regional-key", AWS, to(KEY, "multiRegion", True), "multiRegion is true"),
    Case("encryption-regional-key", GCP, to(SQL, "encryptionKeyName", G_ABROAD), "us-west1"),
    Case(
        "encryption-regional-key",
        GCP,
        to(GSECRET, "replication.userManaged.replicas.0.customerManagedEncryption.kmsKeyName", G_ABROAD),
        "us-west1",
    ),
    Case("encryption-authority", AWS, to(INSTANCE, "caCertIdentifier", "rds-ca-2019"), "'rds-ca-2019'"),
    Case("encryption-rotation", AWS, to(KEY, "enableKeyRotation", False), "enableKeyRotation is false"),
    Case("encryption-rotation", GCP, to(GKEY, "rotationPeriod", None), "rotationPeriod is not given"),
    Case("encryption-rotation", GCP, to(GKEY, "rotationPeriod", "94608000s"), "'94608000s'"),
    Case("encryption-in-transit", AWS, to(LISTENER, "protocol", "HTTP", name="https"), "protocol is 'HTTP'"),
    Case(
        "encryption-in-transit",
        AWS,
        to(LISTENER, "defaultActions", [{"type": "forward", "targetGroupArn": "x"}], name="http"),
        "protocol is 'HTTP'",
    ),
    Case(
        "encryption-in-transit",
        AWS,
        to(LISTENER, "sslPolicy", "ELBSecurityPolicy-TLS13-1-0-2021-06", name="https"),
        "TLS13-1-0",
    ),
    Case("encryption-in-transit", AWS, to(LISTENER, "sslPolicy", None, name="https"), "sslPolicy is not given"),
    Case("encryption-in-transit", AWS, to("aws:route53/healthCheck:HealthCheck", "type", "HTTP"), "'HTTP'"),
    Case(
        "encryption-in-transit",
        AWS,
        to("aws:sns/topicSubscription:TopicSubscription", "protocol", "http"),
        "protocol is 'http'",
    ),
    Case(
        "encryption-in-transit",
        GCP,
        to(SQL, "settings.ipConfiguration.sslMode", "ALLOW_UNENCRYPTED_AND_ENCRYPTED"),
        "ALLOW_UNENCRYPTED",
    ),
    Case("encryption-in-transit", GCP, to(VALKEY, "transitEncryptionMode", "TRANSIT_ENCRYPTION_DISABLED"), "DISABLED"),
    Case("encryption-in-transit", GCP, to("gcp:compute/sSLPolicy:SSLPolicy", "minTlsVersion", "TLS_1_0"), "'TLS_1_0'"),
    Case(
        "encryption-entry-redirect",
        GCP,
        to("gcp:compute/targetHttpProxy:TargetHttpProxy", "urlMap", "meridian-entry-map"),
        "'meridian-entry-map'",
    ),
    Case(
        "encryption-database-parameter",
        AWS,
        to("aws:rds/clusterParameterGroup:ClusterParameterGroup", "parameters.0.value", "0"),
        "rds.force_ssl is 0",
    ),
    Case(
        "encryption-database-parameter",
        AWS,
        to("aws:rds/clusterParameterGroup:ClusterParameterGroup", "parameters", []),
        "rds.force_ssl is not given",
    ),
    Case(
        "encryption-deny-in-clear",
        AWS,
        to("aws:s3/bucketPolicy:BucketPolicy", "policy", document(principal={"Service": "x"})),
        "aws:SecureTransport",
    ),
)

PROTECTION = (
    *(
        Case("protection-protect", stack, unprotected(type_), "protect is false")
        for stack, type_ in (
            (AWS, CLUSTER),
            (AWS, INSTANCE),
            (AWS, KEY),
            (AWS, LOGS),
            (AWS, "random:index/randomPassword:RandomPassword"),
            (GCP, SQL),
            (GCP, GKEY),
            (GCP, "gcp:sql/user:User"),
            ("dev", "pulumi-python:dynamic/local:Postgres"),
        )
    ),
    Case("protection-deletion", AWS, to(CLUSTER, "deletionProtection", False), "deletionProtection is false"),
    Case("protection-deletion", AWS, to(LOGS, "deletionProtectionEnabled", None), "deletionProtectionEnabled"),
    Case("protection-deletion", AWS, to(BALANCER, "enableDeletionProtection", False), "enableDeletionProtection"),
    Case("protection-deletion", GCP, to(SQL, "deletionProtection", False), "deletionProtection is false"),
    Case("protection-deletion", GCP, to(SQL, "settings.deletionProtectionEnabled", False), "deletionProtectionEnabled"),
    Case("protection-deletion", GCP, to(GKEY, "deletionPolicy", "DELETE"), "'DELETE'"),
    Case("protection-deletion", GCP, to("gcp:sql/database:Database", "deletionPolicy", "DELETE"), "'DELETE'"),
    Case("protection-final-copy", AWS, to(CLUSTER, "skipFinalSnapshot", True), "skipFinalSnapshot is true"),
    Case("protection-final-copy", AWS, to(CLUSTER, "finalSnapshotIdentifier", None), "finalSnapshotIdentifier"),
    Case("protection-final-copy", AWS, to(CLUSTER, "deleteAutomatedBackups", None), "deleteAutomatedBackups"),
    Case(
        "protection-final-copy",
        AWS,
        to("aws:s3/bucketVersioning:BucketVersioning", "versioningConfiguration.status", "Suspended"),
        "'Suspended'",
    ),
    Case("protection-final-copy", GCP, to(SQL, "settings.retainBackupsOnDelete", None), "retainBackupsOnDelete"),
    Case("protection-force", AWS, to("aws:s3/bucket:Bucket", "forceDestroy", True), "forceDestroy is true"),
    Case("protection-force", AWS, to(VAULT, "forceDestroy", True), "forceDestroy is true"),
    Case("protection-force", GCP, to(BUCKET, "forceDestroy", True), "forceDestroy is true"),
    Case("protection-point-in-time", AWS, to(CLUSTER, "backupRetentionPeriod", 1), "is 1, and must be at least 35"),
    Case(
        "protection-point-in-time",
        GCP,
        to(SQL, "settings.backupConfiguration.pointInTimeRecoveryEnabled", False, name="west3-instance"),
        "pointInTimeRecoveryEnabled is false",
    ),
    Case(
        "protection-point-in-time",
        GCP,
        to(SQL, "settings.backupConfiguration.transactionLogRetentionDays", 1, name="west3-instance"),
        "transactionLogRetentionDays is 1",
    ),
    Case("protection-window", AWS, to(SECRET, "recoveryWindowInDays", 0), "recoveryWindowInDays is 0"),
    Case("protection-window", GCP, to(GKEY, "destroyScheduledDuration", "86400s"), "'86400s'"),
    Case("protection-window", GCP, to(BUCKET, "softDeletePolicy.retentionDurationSeconds", 0), "is 0"),
    Case("protection-vault-held", AWS, gone(LOCK), "no lock"),
    Case("protection-vault-held", AWS, gone("aws:backup/vaultPolicy:VaultPolicy"), "no policy"),
    Case(
        "protection-vault-policy",
        AWS,
        to("aws:backup/vaultPolicy:VaultPolicy", "policy", document(principal="*", Effect="Deny")),
        "does not deny backup:DeleteRecoveryPoint",
    ),
    Case("protection-vault-lock", AWS, to(LOCK, "minRetentionDays", None), "minRetentionDays is None"),
    Case("protection-vault-lock", AWS, to(LOCK, "maxRetentionDays", 7), "maxRetentionDays is 7"),
)

EXPOSURE = (
    Case("exposure-public-address", AWS, to(INSTANCE, "publiclyAccessible", True), "publiclyAccessible is true"),
    Case("exposure-public-address", AWS, to(TASKS, "networkConfiguration.assignPublicIp", True), "assignPublicIp"),
    Case("exposure-public-address", AWS, to("aws:ec2/subnet:Subnet", "mapPublicIpOnLaunch", True), "mapPublicIp"),
    Case("exposure-public-address", GCP, to(SQL, "settings.ipConfiguration.ipv4Enabled", True), "ipv4Enabled is true"),
    Case(
        "exposure-public-address",
        GCP,
        to(SQL, "settings.ipConfiguration.authorizedNetworks", [{"value": "0.0.0.0/0"}]),
        "authorizedNetworks",
    ),
    *(
        Case("exposure-bucket", AWS, to(BLOCK, argument, False), f"{argument} is false")
        for argument in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    ),
    Case("exposure-bucket", GCP, to(BUCKET, "publicAccessPrevention", "inherited"), "'inherited'"),
    Case("exposure-bucket", GCP, to(BUCKET, "uniformBucketLevelAccess", False), "uniformBucketLevelAccess"),
    Case("exposure-bucket-block", AWS, gone(BLOCK), "no public access block"),
    Case("exposure-ingress", AWS, to(INGRESS, "cidrIpv4", "0.0.0.0/0", name="database-from-service"), "5432 to 5432"),
    Case("exposure-ingress", AWS, to(INGRESS, "cidrIpv6", "::/0", name="cache-from-service"), "'::/0'"),
    Case("exposure-ingress", AWS, to(INGRESS, "fromPort", 0, name="entry-443"), "0 to 443"),
    Case(
        "exposure-group-rules",
        AWS,
        to("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "ingress", [{"protocol": "-1", "self": True}]),
        "ingress has 1",
    ),
    Case(
        "exposure-open-group",
        AWS,
        to(TASKS, "networkConfiguration.securityGroups", ["meridian-eu-west-1-network-entry"]),
        "'meridian-eu-west-1-network-entry'",
    ),
    Case(
        "exposure-firewall",
        AWS,
        gone("aws:wafv2/webAclAssociation:WebAclAssociation", "eu-west-1-firewall-association"),
        "no web ACL",
    ),
    Case(
        "exposure-cloud-ingress",
        GCP,
        to("gcp:compute/networkFirewallPolicyRule:NetworkFirewallPolicyRule", "action", "allow", name="deny-ingress"),
        "'0.0.0.0/0'",
    ),
    Case(
        "exposure-cloud-firewall",
        GCP,
        to("gcp:compute/backendService:BackendService", "securityPolicy", None),
        "securityPolicy is not given",
    ),
    Case(
        "exposure-entry-ports",
        GCP,
        to("gcp:compute/globalForwardingRule:GlobalForwardingRule", "portRange", "5432"),
        "'5432'",
    ),
    Case("exposure-service", AWS, to(TASKS, "enableExecuteCommand", True), "enableExecuteCommand is true"),
    Case("exposure-service", GCP, to(RUN, "ingress", "INGRESS_TRAFFIC_ALL"), "'INGRESS_TRAFFIC_ALL'"),
    Case("exposure-service", GCP, to(RUN, "defaultUriDisabled", False), "defaultUriDisabled is false"),
    Case("exposure-egress", GCP, to(RUN, "template.vpcAccess.egress", "PRIVATE_RANGES_ONLY"), "'PRIVATE_RANGES_ONLY'"),
    Case("exposure-egress", GCP, to(RUN, "template.vpcAccess", None), "egress is not given"),
    Case("exposure-egress", GCP, to(RUN, "template.vpcAccess.networkInterfaces", []), "networkInterfaces is []"),
    Case("exposure-malformed-requests", AWS, to(BALANCER, "dropInvalidHeaderFields", False), "dropInvalidHeaderFields"),
    Case("exposure-malformed-requests", AWS, to(BALANCER, "desyncMitigationMode", "monitor"), "'monitor'"),
    Case(
        "exposure-foreign-account",
        AWS,
        to(KEY, "policy", document(principal={"AWS": "arn:aws:iam::999999999999:root"})),
        "'999999999999'",
    ),
    Case("exposure-wildcard", AWS, to("aws:iam/rolePolicy:RolePolicy", "policy", document(action="s3:*")), "'s3:*'"),
    Case("exposure-wildcard", AWS, to("aws:iam/rolePolicy:RolePolicy", "policy", document(action="*")), "'*'"),
    Case("exposure-wildcard", AWS, to(KEY, "policy", document(principal={"AWS": "*"})), "principal '*'"),
    Case(
        "exposure-wildcard",
        AWS,
        to("aws:iam/role:Role", "assumeRolePolicy", document(principal="*", action="sts:AssumeRole")),
        "principal '*'",
    ),
    Case(
        "exposure-wildcard",
        AWS,
        to("aws:ec2/vpcEndpoint:VpcEndpoint", "policy", document(principal="*", action="*")),
        "principal '*'",
    ),
    Case(
        "exposure-everybody",
        GCP,
        to("gcp:projects/iAMMember:IAMMember", "member", "allAuthenticatedUsers"),
        "'allAuthenticatedUsers'",
    ),
)

CASES = (*RESIDENCY, *ENCRYPTION, *PROTECTION, *EXPOSURE)
