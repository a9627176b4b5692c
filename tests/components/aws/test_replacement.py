"""The table of what replaces, detaches, promotes or is refused: true to the SDK, to CloudFormation and to the facts."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import pytest

from components.aws.replacement import (
    PROVIDER_VERSION,
    SDK_VERSION,
    STATEFUL,
    Rule,
    consequences,
    effects,
    parse,
    table,
)
from tests.components.aws import cloudformation
from tests.components.sdk import arguments_class, exists, is_registered, names

HEADER = "type,argument,effect,condition,cloudformation,source"
CLUSTER = "aws:rds/cluster:Cluster"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
KEYS = {"kmsKeyId": "a", "engine": "aurora-postgresql"}

needs_schemas = pytest.mark.skipif(not cloudformation.installed(), reason="cfn-lint is not installed")


def token(name: str) -> str:
    module, class_ = name.split(".")
    return f"aws:{module}/{class_[0].lower()}{class_[1:]}:{class_}"


def rules(of: Mapping[str, Mapping[str, tuple[Rule, ...]]]) -> Iterator[Rule]:
    return (rule for arguments in of.values() for several in arguments.values() for rule in several)


def unknown_arguments(of: Mapping[str, Mapping[str, tuple[Rule, ...]]]) -> set[str]:
    return {f"{rule.type} {rule.argument}" for rule in rules(of) if not exists(rule.type, rule.argument)}


def wrong_words(of: Mapping[str, Mapping[str, tuple[Rule, ...]]]) -> set[str]:
    """Rows whose `cloudformation` is not what the schema says."""
    return {
        f"{rule.type} {rule.argument}: {cloudformation.word(name, rule.argument)}"
        for name in cloudformation.TWINS
        for several in of.get(token(name), {}).values()
        for rule in several
        if rule.word != cloudformation.word(name, rule.argument)
    }


def disagreements(of: Mapping[str, Mapping[str, tuple[Rule, ...]]]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for name, (_, renamed) in cloudformation.TWINS.items():
        ours = of.get(token(name), {})
        for argument in {*names(arguments_class(token(name))), *ours, *renamed}:
            word = cloudformation.word(name, argument)
            replaces = any(rule.effect.startswith("replace") for rule in ours.get(argument, ()))
            if word != "absent" and replaces != (word != "updatable"):
                found.add((name, argument))
    return found


def outcome(type_: str, olds: dict[str, Any], news: dict[str, Any], *ignored: str) -> list[tuple[str, str]]:
    return [(each.argument, each.effect) for each in consequences(type_, olds, news, ignored)]


def test_the_installed_sdk_is_the_one_that_the_rows_were_checked_against() -> None:
    assert version("pulumi-aws") == SDK_VERSION
    assert all(
        rule.source.endswith(f"@{PROVIDER_VERSION}") for rule in rules(table()) if "internal/service" in rule.source
    )


def test_every_row_is_an_argument_of_the_installed_sdk() -> None:
    assert unknown_arguments(table()) == set()


def test_every_type_is_a_token_that_the_installed_sdk_registers() -> None:
    for type_ in set(table()) - {"pulumi:providers:aws"}:
        assert is_registered(type_), type_


def test_region_replaces_whatever_has_one() -> None:
    for type_, arguments in table().items():
        has_region = "region" in names(arguments_class(type_))
        assert [rule.effect for rule in arguments.get("region", ())] == ["replace"] * has_region, type_


def test_a_prefix_replaces_where_the_name_does() -> None:
    for type_, arguments in table().items():
        known = names(arguments_class(type_))
        for name in known & {prefix.removesuffix("Prefix") for prefix in known if prefix.endswith("Prefix")}:
            assert (f"{name}Prefix" in arguments) == (name in arguments), f"{type_} {name}"


def test_whatever_holds_data_is_in_the_table() -> None:
    assert set(STATEFUL) <= set(table())


def test_every_type_has_a_twin_in_cloudformation_or_is_known_to_have_none() -> None:
    assert {token(name) for name in cloudformation.TWINS} | cloudformation.WITHOUT_TWIN == set(table())
    assert all(rule.word == "absent" for type_ in cloudformation.WITHOUT_TWIN for rule in rules({"": effects(type_)}))


@needs_schemas
def test_rows_say_what_cloudformation_says() -> None:
    assert wrong_words(table()) == set()


@needs_schemas
def test_every_disagreement_with_cloudformation_has_a_reason() -> None:
    reasons = cloudformation.DISAGREEMENTS
    assert disagreements(table()) == {(name, argument) for name, each in reasons.items() for argument in each}


@pytest.mark.parametrize(
    ("type_", "arguments"),
    [
        (
            CLUSTER,
            "availabilityZones clusterIdentifier clusterIdentifierPrefix clusterScalabilityType databaseName region "
            "dbSubnetGroupName engine kmsKeyId masterUsername restoreToPointInTime sourceRegion storageEncrypted",
        ),
        (
            "aws:rds/globalCluster:GlobalCluster",
            "globalClusterIdentifier databaseName engine storageEncrypted sourceDbClusterIdentifier region",
        ),
        ("aws:kms/key:Key", "multiRegion customerMasterKeySpec keyUsage region"),
        (
            "aws:elasticache/replicationGroup:ReplicationGroup",
            "atRestEncryptionEnabled kmsKeyId subnetGroupName port replicationGroupId globalReplicationGroupId region",
        ),
        ("aws:globalaccelerator/endpointGroup:EndpointGroup", "endpointGroupRegion listenerArn"),
        ("aws:route53/record:Record", "name zoneId"),
        ("aws:backup/vault:Vault", "kmsKeyArn name region"),
        ("aws:ec2/vpc:Vpc", "cidrBlock region"),
        ("pulumi:providers:aws", "region"),
        # CloudFormation has no twin of these, so that no other test would miss a row.
        ("aws:acm/certificateValidation:CertificateValidation", "certificateArn validationRecordFqdns region"),
        ("aws:backup/vaultPolicy:VaultPolicy", "backupVaultName region"),
        ("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "vpcId region"),
        ("aws:ec2/vpcPeeringConnectionAccepter:VpcPeeringConnectionAccepter", "vpcPeeringConnectionId region"),
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", "policyArn role"),
        ("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "bucket expectedBucketOwner region"),
        ("aws:s3/bucketOwnershipControls:BucketOwnershipControls", "bucket region"),
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "bucket region"),
        ("aws:s3/bucketVersioning:BucketVersioning", "bucket region"),
        ("aws:secretsmanager/secretVersion:SecretVersion", "secretBinary secretId region"),
        ("random:index/randomPassword:RandomPassword", "length special overrideSpecial keepers"),
        ("random:index/randomId:RandomId", "byteLength prefix keepers"),
    ],
)
def test_what_the_facts_name_replaces(type_: str, arguments: str) -> None:
    for argument in arguments.split():
        effect = "replace-if" if argument in ("overrideSpecial", "keepers") else "replace"
        assert outcome(type_, {argument: "a"}, {argument: "b"}) == [(argument, effect)]
        assert outcome(type_, {argument: "a"}, {argument: "b"}, argument) == []
        assert outcome(type_, {argument: "a"}, {argument: "a"}) == []


@pytest.mark.parametrize(
    ("argument", "old", "new", "effect"),
    [
        ("globalClusterIdentifier", "g", None, "detach"),
        ("globalClusterIdentifier", "g", "", "detach"),
        ("globalClusterIdentifier", None, "g", "refuse"),
        ("globalClusterIdentifier", "g", "h", "refuse"),
        ("replicationSourceIdentifier", "arn", None, "promote"),
        ("replicationSourceIdentifier", None, "arn", "refuse"),
        ("replicationSourceIdentifier", "arn", "other", "refuse"),
        ("snapshotIdentifier", None, "s", "replace-if"),
        ("performanceInsightsKmsKeyId", "k", "l", "refuse"),
    ],
)
def test_what_a_member_does_depends_on_the_way_it_changes(
    argument: str, old: str | None, new: str | None, effect: str
) -> None:
    olds, news = ({argument: value} if value is not None else {} for value in (old, new))
    assert outcome(CLUSTER, olds, news) == [(argument, effect)]
    assert outcome(CLUSTER, olds, news, argument) == []


@pytest.mark.parametrize(
    ("type_", "olds", "news", "expected"),
    [
        (CLUSTER, {"snapshotIdentifier": "s"}, {}, []),
        (CLUSTER, {"globalClusterIdentifier": None}, {"globalClusterIdentifier": ""}, []),
        (CLUSTER, KEYS | {"storageType": "aurora"}, KEYS | {"storageType": "aurora-iopt1"}, []),
        (CLUSTER, {"engine": "postgres", "storageType": "a"}, {"engine": "postgres"}, [("storageType", "replace-if")]),
        (CLUSTER, {"masterPassword": "a"}, {"masterPassword": "b"}, []),
        (CLUSTER, {"engineVersion": "16.4"}, {"engineVersion": "16.6", "tags": {"a": "b"}}, []),
        (
            CLUSTER,
            {"masterPassword": "a", "globalClusterIdentifier": "g"},
            {"masterPassword": "b", "globalClusterIdentifier": "g"},
            [("masterPassword", "refuse")],
        ),
        (BALANCER, {"subnets": ["a"]}, {"subnets": ["a", "b"]}, []),
        (
            BALANCER,
            {"subnets": ["a", "b"], "loadBalancerType": "network"},
            {"subnets": ["a"], "loadBalancerType": "network"},
            [("subnets", "replace-if")],
        ),
        (
            "aws:elasticache/replicationGroup:ReplicationGroup",
            {"engine": "valkey", "engineVersion": "8.1"},
            {"engine": "valkey", "engineVersion": "7.2"},
            [("engineVersion", "replace-if")],
        ),
        (
            "aws:elasticache/replicationGroup:ReplicationGroup",
            {"engine": "redis", "engineVersion": "7.1"},
            {"engine": "valkey", "engineVersion": "8.0"},
            [],
        ),
        (
            "aws:s3/bucketVersioning:BucketVersioning",
            {"versioningConfiguration": {"status": "Enabled"}},
            {"versioningConfiguration": {"status": "Disabled"}},
            [("versioningConfiguration.status", "refuse")],
        ),
        (
            "aws:s3/bucketVersioning:BucketVersioning",
            {"versioningConfiguration": {"status": "Enabled"}},
            {"versioningConfiguration": {"status": "Suspended"}},
            [],
        ),
        (
            "aws:ecs/service:Service",
            {"capacityProviderStrategies": [{"base": 1}], "forceNewDeployment": True},
            {"capacityProviderStrategies": [{"base": 2}], "forceNewDeployment": True},
            [],
        ),
    ],
)
def test_conditions(type_: str, olds: dict[str, Any], news: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert outcome(type_, olds, news) == expected


def test_a_line_says_what_is_lost() -> None:
    (found,) = consequences(CLUSTER, {"kmsKeyId": "a"}, {"kmsKeyId": "b"}, ())
    assert found.line == "aws:rds/cluster:Cluster: a change of kmsKeyId replaces it and loses its data"
    (found,) = consequences(CLUSTER, {"globalClusterIdentifier": "g"}, {}, ())
    assert "takes it out of its global cluster" in found.line


def test_planted_rows_of_unknown_arguments_are_found() -> None:
    planted = parse(
        [
            HEADER,
            "aws:kms/key:Key,multiRegions,replace,,absent,s",
            "aws:rds/cluster:Cluster,restoreToPointInTime.restoreTo,replace,,absent,s",
            "aws:rds/cluster:Cluster,kmsKeyId.arn,replace,,absent,s",
            "aws:rds/cluster:Cluster,restoreToPointInTime.restoreType,replace,,absent,s",
        ]
    )
    assert len(unknown_arguments(planted)) == 3


@needs_schemas
def test_planted_rows_against_cloudformation_are_found() -> None:
    planted = parse(
        [
            HEADER,
            "aws:kms/key:Key,multiRegion,replace,,createOnly,s",
            "aws:kms/key:Key,enableKeyRotation,replace,,updatable,s",
        ]
    )
    assert wrong_words(planted) == {"aws:kms/key:Key multiRegion: updatable"}
    # One row too many, and every createOnly property that now has no row.
    assert ("kms.Key", "enableKeyRotation") in disagreements(planted)
    assert ("rds.Cluster", "kmsKeyId") in disagreements(planted)
