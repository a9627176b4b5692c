"""The table of what replaces, promotes, overwrites or is refused: true to the SDK, Google's documents and the facts."""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pulumi
import pulumi_gcp
import pytest

from components.gcp import replacement
from components.gcp.replacement import PROVIDER_VERSION, SDK_VERSION, STATEFUL, Rule, consequences, parse, table
from tests.components.gcp import discovery
from tests.components.sdk import arguments_class, exists, home, is_registered, names, nested_names

FOLDER = Path(replacement.__file__).parent
MODULES = {path.name for path in Path(pulumi_gcp.__path__[0]).iterdir() if path.is_dir()}

HEADER = "type,argument,effect,condition,api,source"
INSTANCE = "gcp:sql/databaseInstance:DatabaseInstance"
DATABASE = "gcp:sql/database:Database"
SECRET = "gcp:secretmanager/secret:Secret"
BUCKET = "gcp:storage/bucket:Bucket"
REPLICA, PRIMARY = {"masterInstanceName": "shop-a"}, {"instanceType": "CLOUD_SQL_INSTANCE"}

# The list of the facts, section 1: what operations own once the instance is born.
ROLES = (
    "masterInstanceName",
    "instanceType",
    "replicaNames",
    "replicaConfiguration",
    "replicationCluster",
    "settings.backupConfiguration",
    "settings.diskSize",
)

# Where Google says immutable and the provider neither replaces nor is refused.
REASONS = {
    ("gcp:backupdisasterrecovery/backupPlan:BackupPlan", "backupRules.ruleId"): "another rule in the list of rules",
    ("gcp:logging/metric:Metric", "metricDescriptor.displayName"): "the words mean the metric's kind and value type",
    ("gcp:logging/metric:Metric", "metricDescriptor.labels.description"): "the words except descriptions",
    ("gcp:logging/metric:Metric", "metricDescriptor.unit"): "the words mean the metric's kind and value type",
    (
        "gcp:logging/projectBucketConfig:ProjectBucketConfig",
        "locked",
    ): "the words mean the retention of a locked bucket",
}

# What never changes in place, with the arguments that do.
REPLACED_BY_ALL = {
    "gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding": "members",
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": "",
    "gcp:compute/address:Address": "deletionPolicy labels",
    "gcp:compute/globalAddress:GlobalAddress": "deletionPolicy labels",
    "gcp:compute/instanceTemplate:InstanceTemplate": "partnerMetadata",
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": "deletionPolicy partnerMetadata",
    "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup": "deletionPolicy",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": "",
    "gcp:kms/keyRing:KeyRing": "",
    "gcp:projects/iAMMember:IAMMember": "",
    "gcp:secretmanager/regionalSecretIamMember:RegionalSecretIamMember": "",
    "gcp:secretmanager/regionalSecretVersion:RegionalSecretVersion": "deletionPolicy enabled secretDataWo",
    "gcp:secretmanager/secretIamMember:SecretIamMember": "",
    "gcp:secretmanager/secretVersion:SecretVersion": "deletionPolicy enabled secretDataWo",
    "gcp:serviceaccount/iAMMember:IAMMember": "",
    "gcp:storage/bucketIAMMember:BucketIAMMember": "",
    "random:index/randomId:RandomId": "",
    "random:index/randomPassword:RandomPassword": "",
}


def rules(of: Mapping[str, Mapping[str, tuple[Rule, ...]]]) -> Iterator[Rule]:
    return (rule for arguments in of.values() for several in arguments.values() for rule in several)


def unknown_arguments(of: Mapping[str, Mapping[str, tuple[Rule, ...]]]) -> set[str]:
    return {f"{rule.type} {rule.argument}" for rule in rules(of) if not exists(rule.type, rule.argument)}


def wrong_words(of: Mapping[str, Mapping[str, tuple[Rule, ...]]]) -> set[str]:
    """Rows whose `api` is not what the discovery document says."""
    return {
        f"{rule.type} {rule.argument}: {word}"
        for rule in rules(of)
        if rule.word != (word := discovery.word(rule.type, rule.argument))
    }


def missing(of: Mapping[str, Mapping[str, tuple[Rule, ...]]]) -> set[tuple[str, str]]:
    """Arguments that Google calls immutable, and of which no row speaks, nor of what is around or inside them."""
    found: set[tuple[str, str]] = set()
    for type_ in discovery.TWINS:
        rows = [f"{row}." for row in of.get(type_, ())]
        for argument in nested_names(type_, 3):
            known = any(row.startswith(f"{argument}.") or f"{argument}.".startswith(row) for row in rows)
            if not known and discovery.word(type_, argument) == "immutable":
                found.add((type_, argument))
    return found


def outcome(type_: str, olds: Mapping[str, Any], news: Mapping[str, Any], *ignored: str) -> list[tuple[str, str]]:
    return [(each.argument, each.effect) for each in consequences(type_, olds, news, ignored)]


def nest(argument: str, value: Any) -> dict[str, Any]:
    first, _, rest = argument.partition(".")
    return {first: nest(rest, value) if rest else value}


def test_the_installed_sdk_is_the_one_that_the_rows_were_checked_against() -> None:
    assert version("pulumi-gcp") == SDK_VERSION
    assert all(rule.source.endswith(f"@{PROVIDER_VERSION}") for rule in rules(table()) if "google-beta/" in rule.source)


def test_every_row_is_an_argument_of_the_installed_sdk() -> None:
    assert unknown_arguments(table()) == set()


def test_every_type_is_a_token_that_the_installed_sdk_registers() -> None:
    for type_ in set(table()) - {"pulumi:providers:gcp"}:
        assert is_registered(type_), type_


def tokens() -> set[str]:
    """Of the types that the components' source makes, also with settings that no example has."""
    found: set[str] = set()
    for path in FOLDER.glob("*.py"):
        for module, name in re.findall(r"\b(\w+)\.([A-Z]\w+)\(", path.read_text(encoding="utf-8")):
            class_ = getattr(home(f"gcp:{module}:{name}"), name, None) if module in MODULES else None
            if isinstance(class_, type) and issubclass(class_, pulumi.CustomResource):
                constants = class_._internal_init.__code__.co_consts  # type: ignore[attr-defined]
                own = re.compile(rf"gcp:{module}/\w+:{name}")  # and no former name of it
                found |= {each for each in constants if isinstance(each, str) and own.fullmatch(each)}
    return found


def test_every_type_that_the_components_make_has_rows() -> None:
    found = tokens()
    assert {INSTANCE, "gcp:artifactregistry/repositoryIamMember:RepositoryIamMember"} <= found
    assert found - set(table()) == set()


def test_project_replaces_whatever_has_one() -> None:
    for type_ in set(table()) - {"pulumi:providers:gcp"}:
        has_project = "project" in names(arguments_class(type_))
        assert [rule.effect for rule in table()[type_].get("project", ())] == ["replace"] * has_project, type_


def test_where_a_resource_lies_never_changes_in_place() -> None:
    for type_ in set(table()) - {"pulumi:providers:gcp"}:
        for place in {"region", "location"} & names(arguments_class(type_)):
            assert {rule.effect for rule in table()[type_][place]} <= {"replace", "refuse"}, f"{type_} {place}"


def test_a_prefix_replaces_where_the_name_does() -> None:
    for type_, arguments in table().items():
        assert ("namePrefix" in names(arguments_class(type_))) == ("namePrefix" in arguments), type_


def test_whatever_holds_data_is_in_the_table_with_what_guards_it() -> None:
    assert set(STATEFUL) <= set(table())
    for type_ in STATEFUL:
        guards = {"deletionPolicy", "deletionProtection", "forceDestroy"} & names(arguments_class(type_))
        unguarded = {guard for guard in guards if "unprotect" not in {rule.effect for rule in table()[type_][guard]}}
        assert unguarded == set(), type_


def test_every_type_has_a_twin_in_a_document_or_is_known_to_have_none() -> None:
    assert set(discovery.TWINS) | discovery.WITHOUT_TWIN == set(table())


@pytest.mark.parametrize("type_", REPLACED_BY_ALL)
def test_some_types_change_by_replacement_alone(type_: str) -> None:
    replaced = {name for name, several in table()[type_].items() if several[0].effect.startswith("replace")}
    assert names(arguments_class(type_)) - replaced == set(REPLACED_BY_ALL[type_].split())


def test_rows_say_what_the_documents_say() -> None:
    assert wrong_words(table()) == set()


def test_whatever_google_calls_immutable_has_a_row_or_a_reason() -> None:
    assert missing(table()) == set(REASONS)


# The table of the facts, section 7, as far as its types are used here. `project` has a test of its own.
FACTS = """\
sql/databaseInstance:DatabaseInstance name region encryptionKeyName settings.collation
sql/databaseInstance:DatabaseInstance replicaConfiguration.caCertificate
sql/database:Database name instance
sql/user:User name instance host type
memorystore/instance:Instance instanceId location mode authorizationMode transitEncryptionMode kmsKey serverCaMode
memorystore/instance:Instance zoneDistributionConfig desiredAutoCreatedEndpoints serverCaPool
compute/network:Network name description autoCreateSubnetworks internalIpv6Range networkProfile
compute/subnetwork:Subnetwork name network region description reservedInternalRange
compute/globalAddress:GlobalAddress name address addressType prefixLength purpose network ipVersion description
compute/address:Address name address addressType region subnetwork networkTier purpose
compute/router:Router name region network
compute/routerNat:RouterNat name region router type endpointTypes initialNatIps
compute/networkFirewallPolicy:NetworkFirewallPolicy name
compute/networkFirewallPolicyAssociation:NetworkFirewallPolicyAssociation name attachmentTarget firewallPolicy
compute/networkFirewallPolicyRule:NetworkFirewallPolicyRule firewallPolicy priority
compute/firewall:Firewall name direction
servicenetworking/connection:Connection network service
networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy name location network serviceClass
compute/globalForwardingRule:GlobalForwardingRule name ipAddress ipProtocol portRange network subnetwork networkTier
compute/globalForwardingRule:GlobalForwardingRule description
compute/backendService:BackendService name
compute/healthCheck:HealthCheck name
compute/uRLMap:URLMap name
compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup name region cloudRun description network subnetwork
compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup networkEndpointType pscTargetService
compute/targetHttpsProxy:TargetHttpsProxy name description httpKeepAliveTimeoutSec tlsEarlyData
compute/targetHttpProxy:TargetHttpProxy name description httpKeepAliveTimeoutSec
certificatemanager/certificate:Certificate name location scope managed
certificatemanager/certificateMap:CertificateMap name
certificatemanager/certificateMapEntry:CertificateMapEntry name map hostname matcher
certificatemanager/dnsAuthorization:DnsAuthorization name location domain type
compute/securityPolicy:SecurityPolicy name type
cloudrunv2/service:Service name location tags
cloudrunv2/serviceIamMember:ServiceIamMember name location role member
cloudrunv2/serviceIamBinding:ServiceIamBinding name location role
compute/regionInstanceGroupManager:RegionInstanceGroupManager name region baseInstanceName distributionPolicyZones
compute/regionInstanceTemplate:RegionInstanceTemplate name region machineType disks networkInterfaces metadata labels
compute/instanceTemplate:InstanceTemplate name machineType disks networkInterfaces metadata labels serviceAccount
compute/regionAutoscaler:RegionAutoscaler name region
kms/keyRing:KeyRing name location
kms/cryptoKey:CryptoKey name keyRing purpose destroyScheduledDuration versionTemplate.protectionLevel
kms/cryptoKeyIAMMember:CryptoKeyIAMMember cryptoKeyId role member
secretmanager/secret:Secret secretId tags replication.userManaged.replicas.location
secretmanager/secretVersion:SecretVersion secret secretData
secretmanager/secretIamMember:SecretIamMember secretId role member
secretmanager/regionalSecret:RegionalSecret secretId location tags
secretmanager/regionalSecretVersion:RegionalSecretVersion secret secretData
secretmanager/regionalSecretIamMember:RegionalSecretIamMember secretId location role member
storage/bucket:Bucket name location customPlacementConfig.dataLocations enableObjectRetention hierarchicalNamespace
storage/bucketIAMMember:BucketIAMMember bucket role member
logging/projectBucketConfig:ProjectBucketConfig bucketId location
logging/projectSink:ProjectSink name
monitoring/uptimeCheckConfig:UptimeCheckConfig monitoredResource resourceGroup syntheticMonitor checkerType
monitoring/uptimeCheckConfig:UptimeCheckConfig httpCheck.requestMethod
dns/managedZone:ManagedZone name dnsName visibility
dns/recordSet:RecordSet managedZone name
backupdisasterrecovery/backupVault:BackupVault backupVaultId location
backupdisasterrecovery/backupPlan:BackupPlan backupPlanId location backupVault logRetentionDays
serviceaccount/account:Account accountId
serviceaccount/iAMMember:IAMMember serviceAccountId role member
projects/iAMMember:IAMMember role member
projects/service:Service service
projects/serviceIdentity:ServiceIdentity service
"""


@pytest.mark.parametrize("line", FACTS.splitlines())
def test_what_the_facts_name_replaces(line: str) -> None:
    type_, *arguments = line.split()
    for argument in arguments:
        olds, news = nest(argument, "a"), nest(argument, "b")
        assert outcome(f"gcp:{type_}", olds, news) == [(argument, "replace")]
        assert outcome(f"gcp:{type_}", olds, news, argument) == []
        assert outcome(f"gcp:{type_}", olds, olds) == []


@pytest.mark.parametrize(
    ("type_", "olds", "news"),
    [
        ("gcp:monitoring/alertPolicy:AlertPolicy", {"displayName": "a", "conditions": [1]}, {"displayName": "b"}),
        ("gcp:compute/routerNat:RouterNat", {"natIps": ["a"]}, {"natIps": ["a", "b"]}),
        ("gcp:compute/backendService:BackendService", {"backends": [{"group": "a"}]}, {"backends": []}),
        ("gcp:servicenetworking/connection:Connection", {"reservedPeeringRanges": ["a"]}, {}),
        ("gcp:memorystore/instance:Instance", {"replicaCount": 1, "shardCount": 1}, {"replicaCount": 2}),
        ("gcp:cloudrunv2/service:Service", {"template": {"revision": "a"}}, {"template": {"revision": "b"}}),
        (INSTANCE, {"settings": {"availabilityType": "ZONAL"}}, {"settings": {"availabilityType": "REGIONAL"}}),
        (INSTANCE, {"settings": {"edition": "ENTERPRISE"}}, {"settings": {"edition": "ENTERPRISE_PLUS"}}),
        (INSTANCE, {}, {"replicationCluster": {"failoverDrReplicaName": "b"}}),
    ],
)
def test_what_the_facts_say_stays_in_place(type_: str, olds: dict[str, Any], news: dict[str, Any]) -> None:
    assert outcome(type_, olds, news) == []


@pytest.mark.parametrize(
    ("olds", "news", "expected"),
    [
        # Promoted elsewhere and refreshed: the program still names the old primary, or names none.
        ({}, REPLICA, [("masterInstanceName", "replace-if")]),
        (PRIMARY, {}, []),
        # The old primary, now a replica: the program says it is a primary, or nothing, or still names its own replica.
        (REPLICA | {"instanceType": "READ_REPLICA_INSTANCE"}, PRIMARY, [("instanceType", "promote")]),
        ({}, PRIMARY, [("instanceType", "promote")]),
        (REPLICA, {}, []),
        (
            REPLICA | {"replicationCluster": {"failoverDrReplicaName": ""}},
            REPLICA | {"replicationCluster": {"failoverDrReplicaName": "b"}},
            [("replicationCluster.failoverDrReplicaName", "refuse")],
        ),
        (PRIMARY, {"instanceType": "READ_REPLICA_INSTANCE"}, [("instanceType", "demote")]),
        (REPLICA, {"masterInstanceName": "shop-c"}, [("masterInstanceName", "replace-if")]),
        (
            REPLICA | nest("settings.backupConfiguration.enabled", False),
            REPLICA | nest("settings.backupConfiguration.enabled", True),
            [("settings.backupConfiguration.enabled", "refuse")],
        ),
    ],
)
def test_a_change_of_roles_is_left_alone_under_the_ignore_list(
    olds: dict[str, Any], news: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert outcome(INSTANCE, olds, news) == expected
    assert outcome(INSTANCE, olds, news, *ROLES) == []
    for argument, effect in expected:
        less = [path for path in ROLES if not argument.startswith(path)]
        assert (argument, effect) in outcome(INSTANCE, olds, news, *less)


def setting(argument: str, value: Any) -> dict[str, Any]:
    return {} if value is None else nest(f"settings.{argument}", value)


@pytest.mark.parametrize(
    ("olds", "news", "expected"),
    [
        (setting("diskSize", 20), setting("diskSize", 10), []),
        (
            {"settings": {"diskSize": 20, "diskAutoresize": False}},
            {"settings": {"diskSize": 10, "diskAutoresize": False}},
            [("settings.diskSize", "replace-if")],
        ),
        ({"settings": {"diskSize": 10, "diskAutoresize": False}}, {"settings": {"diskSize": 20}}, []),
        (
            setting("ipConfiguration.privateNetwork", "n"),
            setting("ipConfiguration.ipv4Enabled", True),
            [("settings.ipConfiguration.privateNetwork", "replace-if")],
        ),
        ({}, setting("ipConfiguration.privateNetwork", "n"), []),
        (
            setting("autoUpgradeEnabled", True),
            setting("autoUpgradeEnabled", False),
            [("settings.autoUpgradeEnabled", "replace-if")],
        ),
        (setting("autoUpgradeEnabled", False), setting("autoUpgradeEnabled", True), []),
        ({"databaseVersion": "POSTGRES_16"}, {"databaseVersion": "POSTGRES_17"}, []),
        ({"databaseVersion": "POSTGRES_17"}, {"databaseVersion": "POSTGRES_16"}, [("databaseVersion", "refuse")]),
        ({}, {"restoreBackupContext": {"backupRunId": 7}}, [("restoreBackupContext", "overwrite")]),
        ({"restoreBackupContext": {"backupRunId": 7}}, {}, []),
        ({}, {"backupdrBackup": "projects/p/b"}, [("backupdrBackup", "overwrite")]),
        ({}, {"pointInTimeRestoreContext": {"pointInTime": "t"}}, [("pointInTimeRestoreContext", "overwrite")]),
        (
            nest("replicaConfiguration.cascadableReplica", False),
            nest("replicaConfiguration.cascadableReplica", True),
            [("replicaConfiguration.cascadableReplica", "replace-if")],
        ),
        ({"deletionPolicy": "PREVENT"}, {"deletionPolicy": "DELETE"}, [("deletionPolicy", "unprotect")]),
        ({"deletionPolicy": "PREVENT"}, {}, [("deletionPolicy", "unprotect")]),
        ({"deletionPolicy": "DELETE"}, {"deletionPolicy": "PREVENT"}, []),
        ({"deletionProtection": True}, {"deletionProtection": False}, [("deletionProtection", "unprotect")]),
        ({"deletionProtection": True}, {}, []),
        (
            setting("deletionProtectionEnabled", True),
            setting("deletionProtectionEnabled", False),
            [("settings.deletionProtectionEnabled", "unprotect")],
        ),
        (setting("retainBackupsOnDelete", True), {}, [("settings.retainBackupsOnDelete", "unprotect")]),
    ],
)
def test_what_a_database_does_depends_on_the_way_it_changes(
    olds: dict[str, Any], news: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert outcome(INSTANCE, olds, news) == expected


def replicated(*locations: str, key: str = "k") -> dict[str, Any]:
    replicas = [{"location": name, "customerManagedEncryption": {"kmsKeyName": key}} for name in locations]
    return {"replication": {"userManaged": {"replicas": replicas}}}


@pytest.mark.parametrize(
    ("type_", "olds", "news", "expected"),
    [
        (SECRET, replicated("a"), replicated("a", "b"), [("replication.userManaged.replicas.location", "replace")]),
        (SECRET, replicated("a"), replicated("a", key="other"), []),
        (
            SECRET,
            {"replication": {"auto": {"customerManagedEncryption": {"kmsKeyName": "k"}}}},
            replicated("a"),
            [("replication.auto", "replace-if"), ("replication.userManaged.replicas.location", "replace")],
        ),
        (BUCKET, nest("retentionPolicy.isLocked", False), nest("retentionPolicy.isLocked", True), []),
        (
            BUCKET,
            nest("retentionPolicy.isLocked", True),
            nest("retentionPolicy.isLocked", False),
            [("retentionPolicy.isLocked", "replace-if")],
        ),
        (BUCKET, {"retentionPolicy": {"isLocked": True}}, {}, [("retentionPolicy.isLocked", "replace-if")]),
        (BUCKET, {"forceDestroy": False}, {"forceDestroy": True}, [("forceDestroy", "unprotect")]),
        (DATABASE, {"deletionPolicy": "ABANDON"}, {"deletionPolicy": "DELETE"}, [("deletionPolicy", "unprotect")]),
        (
            "gcp:compute/subnetwork:Subnetwork",
            {"ipCidrRange": "10.0.0.0/20"},
            {"ipCidrRange": "10.0.0.0/24"},
            [("ipCidrRange", "replace-if")],
        ),
        (
            "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager",
            nest("resourcePolicies.workloadPolicy", "p"),
            {},
            [("resourcePolicies.workloadPolicy", "replace-if")],
        ),
        (
            "gcp:backupdisasterrecovery/backupPlanAssociation:BackupPlanAssociation",
            {"resource": "a", "backupPlan": "p", "location": "l"},
            {"resource": "b", "backupPlan": "q", "location": "m"},
            [("location", "refuse"), ("resource", "refuse")],
        ),
        (
            "gcp:projects/iAMAuditConfig:IAMAuditConfig",
            {"service": "a", "auditLogConfigs": []},
            {"service": "b", "auditLogConfigs": [1]},
            [("service", "orphan")],
        ),
        (
            "gcp:compute/networkPeeringRoutesConfig:NetworkPeeringRoutesConfig",
            {"network": "a", "peering": "p", "exportCustomRoutes": False},
            {"network": "b", "peering": "q", "exportCustomRoutes": True},
            [("network", "orphan"), ("peering", "orphan")],
        ),
        (
            "gcp:compute/backendService:BackendService",
            {"loadBalancingScheme": "EXTERNAL"},
            {"loadBalancingScheme": "b"},
            [("loadBalancingScheme", "refuse")],
        ),
        ("gcp:logging/metric:Metric", {"name": "a"}, {"name": "b"}, [("name", "orphan")]),
        ("pulumi:providers:gcp", {"project": "a"}, {"project": "b"}, [("project", "replace-if")]),
        ("pulumi:providers:gcp", {"region": "a"}, {"region": "b"}, [("region", "replace-if")]),
        ("pulumi:providers:gcp", {"deletionPolicy": "PREVENT"}, {}, [("deletionPolicy", "unprotect")]),
        (
            "pulumi:providers:gcp",
            {"defaultLabels": {"a": "b"}},
            {"defaultLabels": {}},
            [("defaultLabels", "replace-if")],
        ),
        ("pulumi:providers:gcp", {"version": "10.1.0"}, {"version": "10.2.0"}, []),
    ],
)
def test_conditions(type_: str, olds: dict[str, Any], news: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert outcome(type_, olds, news) == expected


def test_a_line_says_what_is_lost() -> None:
    (found,) = consequences(INSTANCE, {"region": "a"}, {"region": "b"})
    assert found.line == f"{INSTANCE}: a change of region replaces it and loses its data, and its name for a week"
    (found,) = consequences(INSTANCE, {}, PRIMARY)
    assert "promotes the replica: both sides then accept writes" in found.line


def test_planted_rows_of_unknown_arguments_are_found() -> None:
    planted = parse(
        [
            HEADER,
            f"{DATABASE},instances,replace,,absent,s",
            f"{INSTANCE},settings.collations,replace,,absent,s",
            f"{INSTANCE},name.first,replace,,absent,s",
            f"{INSTANCE},settings.collation,replace,,absent,s",
        ]
    )
    assert len(unknown_arguments(planted)) == 3


def test_planted_rows_against_the_documents_are_found() -> None:
    planted = parse([HEADER, f"{SECRET},replication,replace,,silent,s", f"{SECRET},labels,replace,,silent,s"])
    assert wrong_words(planted) == {f"{SECRET} replication: immutable"}
    assert (SECRET, "tags") in missing(planted)
    assert ("gcp:kms/cryptoKey:CryptoKey", "purpose") in missing(planted)
