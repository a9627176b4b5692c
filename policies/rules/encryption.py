"""Data is unreadable to whoever holds the disk, the wire or an old key."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from .documents import statements
from .resource import UNKNOWN, Resource
from .rule import ResourceRule, StackRule
from .settings import Settings
from .table import GIVEN, TRUE, Expect, fixed, not_one_of, number, one_of, row, table_rule

THEME = "encryption"

# Authorities of databases on AWS.
ENDED = ("rds-ca-2015", "rds-ca-2019")

ROTATION_SECONDS = 366 * 86400

# Where each type names the key that it is encrypted with. "aws/…" would be a key that AWS manages and shares.
KEYS: Mapping[str, tuple[str, ...]] = {
    "aws:backup/vault:Vault": ("kmsKeyArn",),
    "aws:cloudwatch/logGroup:LogGroup": ("kmsKeyId",),
    "aws:elasticache/replicationGroup:ReplicationGroup": ("kmsKeyId",),
    "aws:elasticache/serverlessCache:ServerlessCache": ("kmsKeyId",),
    "aws:rds/cluster:Cluster": ("kmsKeyId", "performanceInsightsKmsKeyId"),
    "aws:rds/clusterInstance:ClusterInstance": ("performanceInsightsKmsKeyId",),
    "aws:secretsmanager/secret:Secret": ("kmsKeyId",),
    "aws:sns/topic:Topic": ("kmsMasterKeyId",),
    "aws:sqs/queue:Queue": ("kmsMasterKeyId",),
    "gcp:cloudrunv2/service:Service": ("template.encryptionKey",),
    "gcp:memorystore/instance:Instance": ("kmsKey",),
    "gcp:pubsub/topic:Topic": ("kmsKeyName",),
    "gcp:secretmanager/secret:Secret": ("replication.userManaged.replicas.customerManagedEncryption.kmsKeyName",),
    "gcp:sql/databaseInstance:DatabaseInstance": ("encryptionKeyName",),
    "gcp:storage/bucket:Bucket": ("encryption.defaultKmsKeyName",),
}

KEY_PLACE = re.compile(r"arn:aws[\w-]*:kms:(?P<aws>[a-z0-9-]+):|projects/[^/]+/locations/(?P<gcp>[a-z0-9-]+)/keyRings/")

OWN_KEY = fixed(
    "a key of this stack",
    lambda value: isinstance(value, str) and bool(value) and not value.startswith(("alias/aws/", "aws/")),
)
# docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html: the names begin so; those
# without TLS13 also speak no newer version, and those with 1-0 or 1-1 in them speak versions that browsers gave up.
MODERN_TLS = fixed(
    "a policy of TLS 1.2 and 1.3 alone",
    lambda value: isinstance(value, str) and re.match(r"ELBSecurityPolicy-TLS13-1-[23]", value) is not None,
)
ROTATED = Expect(
    words=lambda _: f"at most {ROTATION_SECONDS}s",
    holds=lambda value, _: (seconds := number(value)) is not None and 0 < seconds <= ROTATION_SECONDS,
)


def answers_in_clear(listener: Resource) -> bool:
    """Whether a listener speaks HTTP and does more than to send users to HTTPS."""
    actions = listener.values("defaultActions.redirect.protocol")
    return not all(action == "HTTPS" for action in actions)


def key_is_near(resource: Resource, _: Settings) -> Iterator[str]:
    """A key of another region would take this one down with it, and AWS refuses it only once it is deploying."""
    if resource.at("multiRegion") is True:
        yield "multiRegion is true, so its material may be copied to other regions"
    for path in KEYS.get(resource.type, ()):
        for key, place in zip(resource.values(path), places(resource, path), strict=False):
            found = KEY_PLACE.match(key) if isinstance(key, str) else None
            there = (found["aws"] or found["gcp"]) if found else None
            if there and isinstance(place, str) and place and there != place.lower():
                yield f"{path} is a key of {there}, and the resource is in {place}"


def places(resource: Resource, path: str) -> list[object]:
    if "replicas" in path:
        return resource.values("replication.userManaged.replicas.location")
    return [resource.at("region") or resource.at("location")] * len(resource.values(path))


def parameters_force_tls(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.at("parameters") is UNKNOWN:
        return
    family = resource.at("family")
    if not isinstance(family, str) or "postgresql" not in family:
        return
    wanted = resource.at("parameters") or ()
    value = next((str(each["value"]) for each in wanted if each["name"] == "rds.force_ssl"), None)
    # Aurora PostgreSQL 17 has 1 as its default and older ones 0 (docs.aws.amazon.com/AmazonRDS/latest/
    # AuroraUserGuide/AuroraPostgreSQL.Security.html), so it has to be written down.
    if value != "1":
        yield f"the parameter rds.force_ssl is {value or 'not given'}, and must be 1"


def deny_in_clear(resource: Resource, _: Settings) -> Iterator[str]:
    if not any(not each.allows and "aws:SecureTransport" in each.conditions for each in statements(resource)):
        yield "policy has no statement that denies what comes without TLS (aws:SecureTransport)"


def redirects(resources: Sequence[Resource], _: Settings) -> Iterator[tuple[Resource | None, str]]:
    """Google's HTTP proxy does what its URL map says; the map is named by its id, which ends with its name."""
    redirecting = {
        name
        for each in resources
        if each.type == "gcp:compute/uRLMap:URLMap" and each.at("defaultUrlRedirect.httpsRedirect") is True
        for name in (each.name, each.at("name"))
        if isinstance(name, str)
    }
    for each in resources:
        url_map = each.at("urlMap") if each.type == "gcp:compute/targetHttpProxy:TargetHttpProxy" else None
        if isinstance(url_map, str) and url_map.rsplit("/", 1)[-1] not in redirecting:
            yield each, f"urlMap is {url_map!r}, which does not send users to HTTPS"


def simple(name: str, check: object, types: object, reason: str, mend: str) -> ResourceRule:
    return ResourceRule(
        name=name,
        theme=THEME,
        level="mandatory",
        reason=reason,
        mend=mend,
        check=check,  # type: ignore[arg-type]
        types=frozenset(types),  # type: ignore[call-overload]
    )


def insights(resource: Resource) -> bool:
    return resource.at("performanceInsightsEnabled") is True


RULES = (
    table_rule(
        name="encryption-at-rest",
        theme=THEME,
        level="mandatory",
        reason="Storage that is not encrypted at birth stays so: the clouds can only copy it into an encrypted one.",
        mend="Switch the encryption on, before there is data.",
        rows=(
            row("aws:rds/cluster:Cluster", "storageEncrypted", TRUE),
            row("aws:rds/globalCluster:GlobalCluster", "storageEncrypted", TRUE),
            row("aws:elasticache/replicationGroup:ReplicationGroup", "atRestEncryptionEnabled", TRUE),
            row(
                "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
                "rules.applyServerSideEncryptionByDefault.sseAlgorithm",
                one_of("AES256", "aws:kms", "aws:kms:dsse"),
            ),
        ),
    ),
    table_rule(
        name="encryption-own-key",
        theme=THEME,
        level="mandatory",
        reason="Only with a key of its own can a stack take access away, and see who used it.",
        mend="Name the key of the same region that Keys made.",
        rows=tuple(
            row(type_, path, OWN_KEY, insights if path.startswith("performanceInsights") else lambda _: True)
            for type_, paths in KEYS.items()
            for path in paths
        ),
    ),
    simple(
        "encryption-regional-key",
        key_is_near,
        (*KEYS, "aws:kms/key:Key"),
        "A region that needs another region's key falls with it.",
        "Name the key of the resource's own region.",
    ),
    table_rule(
        name="encryption-rotation",
        theme=THEME,
        level="mandatory",
        reason="A key that is renewed every year limits what one stolen version opens.",
        mend="Switch rotation on.",
        rows=(
            row("aws:kms/key:Key", "enableKeyRotation", TRUE),
            row("gcp:kms/cryptoKey:CryptoKey", "rotationPeriod", ROTATED),
        ),
    ),
    table_rule(
        name="encryption-authority",
        theme=THEME,
        level="mandatory",
        reason="Whoever checks a certificate cannot connect once its authority has ended.",
        mend="Name one that is valid for long, such as rds-ca-rsa2048-g1.",
        # The last of these ended in August 2024, and left out AWS takes one of today's (docs.aws.amazon.com/AmazonRDS
        # /latest/AuroraUserGuide/UsingWithRDS.SSL-certificate-rotation.html).
        rows=(row("aws:rds/clusterInstance:ClusterInstance", "caCertIdentifier", not_one_of(*ENDED)),),
    ),
    table_rule(
        name="encryption-in-transit",
        theme=THEME,
        level="mandatory",
        reason="What crosses a network in the clear can be read and changed by whoever is on it.",
        mend="Ask for TLS on this connection.",
        rows=(
            row("aws:elasticache/replicationGroup:ReplicationGroup", "transitEncryptionEnabled", TRUE),
            row(
                "aws:elasticache/replicationGroup:ReplicationGroup",
                "transitEncryptionMode",
                one_of(None, "required"),
            ),
            row("aws:lb/listener:Listener", "protocol", one_of("HTTPS", "TLS"), answers_in_clear),
            row(
                "aws:lb/listener:Listener",
                "sslPolicy",
                MODERN_TLS,
                lambda listener: listener.at("protocol") in ("HTTPS", "TLS"),
            ),
            row("aws:lb/listener:Listener", "certificateArn", GIVEN, lambda each: each.at("protocol") == "HTTPS"),
            row(
                "aws:route53/healthCheck:HealthCheck",
                "type",
                one_of("HTTPS", "HTTPS_STR_MATCH", "CALCULATED", "CLOUDWATCH_METRIC", "RECOVERY_CONTROL"),
            ),
            row(
                "aws:sns/topicSubscription:TopicSubscription",
                "protocol",
                fixed("anything but http", lambda value: value != "http"),
            ),
            row(
                "gcp:memorystore/instance:Instance",
                "transitEncryptionMode",
                one_of("SERVER_AUTHENTICATION"),
            ),
            row(
                "gcp:sql/databaseInstance:DatabaseInstance",
                "settings.ipConfiguration.sslMode",
                one_of("ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"),
            ),
            row("gcp:compute/sSLPolicy:SSLPolicy", "minTlsVersion", one_of("TLS_1_2", "TLS_1_3")),
            row("gcp:compute/sSLPolicy:SSLPolicy", "profile", one_of("MODERN", "RESTRICTED", "FIPS_202205")),
            row("gcp:compute/targetHttpsProxy:TargetHttpsProxy", "sslPolicy", GIVEN),
        ),
    ),
    simple(
        "encryption-database-parameter",
        parameters_force_tls,
        ("aws:rds/clusterParameterGroup:ClusterParameterGroup",),
        "A database that also takes connections without TLS will be given some.",
        'Set the parameter rds.force_ssl to "1".',
    ),
    simple(
        "encryption-deny-in-clear",
        deny_in_clear,
        (
            "aws:s3/bucketPolicy:BucketPolicy",
            "aws:secretsmanager/secretPolicy:SecretPolicy",
            "aws:sns/topicPolicy:TopicPolicy",
            "aws:sqs/queuePolicy:QueuePolicy",
        ),
        "AWS's APIs answer plain HTTP too, unless a policy denies it.",
        "Deny every action where aws:SecureTransport is false.",
    ),
    StackRule(
        name="encryption-entry-redirect",
        theme=THEME,
        level="mandatory",
        reason="An entry that answers HTTP reads and sends its users' data in the clear.",
        mend="Let the URL map of the HTTP proxy redirect with httpsRedirect.",
        check=redirects,
    ),
)
