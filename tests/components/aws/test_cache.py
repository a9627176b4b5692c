"""The cache of a region on AWS, in both modes and at every phase that has one."""

from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest

from components.aws.cache import Cache
from components.aws.replacement import consequences
from components.contracts import CacheArgs
from engine.recorder import Graph
from tests.components.aws.stacks import recorded, topology

REGION = "eu-west-1"
ZONES = ("a", "b", "c", "d")


def outputs(**values: str) -> dict[str, pulumi.Output[str]]:
    return {key: pulumi.Output.from_input(value) for key, value in values.items()}


def graph(mode: str, *, phase: int = 3, region: str = REGION, zones: int = 3, **overrides: Any) -> Graph:
    cut = topology(phase=phase, aws=settings(mode), **overrides)

    def program() -> None:
        isolated = [pulumi.Output.from_input(f"subnet-{zone}") for zone in ZONES[:zones]]
        Cache(
            f"{cut.app}-{region}-cache",
            CacheArgs(
                topology=cut,
                region=cut.region(region),
                ground=cut.aws.account_id if cut.aws else "",
                network=cast(
                    "Any", SimpleNamespace(subnet_ids={"isolated": isolated}, group_ids=outputs(cache="sg-cache"))
                ),
                key_ids=outputs(cache="key-cache"),
                secrets=cast(
                    "Any", SimpleNamespace(cache_password=pulumi.Output.secret("a password of sixteen or more"))
                ),
            ),
        )

    return recorded(program)


def settings(mode: str) -> dict[str, Any]:
    return {
        "account_id": "123456789012",
        "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"},
        "cache": {"mode": mode},
    }


@pytest.fixture(scope="module", params=["serverless", "nodes"])
def built(request: pytest.FixtureRequest) -> Graph:
    return graph(request.param)


def test_every_resource_is_of_its_region_and_its_component(built: Graph) -> None:
    for resource in built:
        if resource.custom:
            assert resource.inputs["region"] == REGION, resource.name
            assert resource.parent.endswith(f"::meridian-{REGION}-cache")
            assert resource.inputs["tags"]["region"] == REGION


def test_only_the_service_may_sign_in_and_may_not_empty_the_cache(built: Graph) -> None:
    users = {user.inputs["userName"]: user for user in built.of_type("aws:elasticache/user:User")}
    assert set(users) == {"default", "service"}
    assert users["default"].inputs["accessString"].split() == ["off", "~*", "-@all"]
    rights = users["service"].inputs["accessString"].split()
    assert rights[0] == "on"
    assert rights.index("-@dangerous") > rights.index("+@all")
    for user in users.values():
        assert user.inputs["authenticationMode"]["type"] == "password"
        assert user.inputs["authenticationMode"]["passwords"] == ["a password of sixteen or more"]
        assert "authenticationMode" in user.ignore_changes
    (group,) = built.of_type("aws:elasticache/userGroup:UserGroup")
    assert sorted(group.inputs["userIds"]) == sorted(user.inputs["userId"] for user in users.values())


def test_a_serverless_cache_is_bounded_encrypted_and_keeps_nothing() -> None:
    (cache,) = graph("serverless").of_type("aws:elasticache/serverlessCache:ServerlessCache")
    assert cache.inputs["engine"] == "valkey"
    assert cache.inputs["kmsKeyId"] == "key-cache"
    assert cache.inputs["securityGroupIds"] == ["sg-cache"]
    assert cache.inputs["snapshotRetentionLimit"] == 0
    limits = cache.inputs["cacheUsageLimits"]
    assert 1 <= limits["dataStorage"]["maximum"] <= 5000
    assert 1000 <= limits["ecpuPerSeconds"][0]["maximum"] <= 15_000_000


def test_nodes_take_over_from_each_other_and_speak_tls_only() -> None:
    nodes = graph("nodes")
    (cache,) = nodes.of_type("aws:elasticache/replicationGroup:ReplicationGroup")
    assert cache.inputs["numCacheClusters"] >= 2
    for flag in (
        "multiAzEnabled",
        "automaticFailoverEnabled",
        "atRestEncryptionEnabled",
        "transitEncryptionEnabled",
        "autoMinorVersionUpgrade",
    ):
        assert cache.inputs[flag] is True, flag
    assert cache.inputs["transitEncryptionMode"] == "required"
    assert cache.inputs["kmsKeyId"] == "key-cache"
    assert cache.inputs["snapshotRetentionLimit"] == 0
    assert cache.inputs["nodeType"] == "cache.r7g.large"
    (group,) = nodes.of_type("aws:elasticache/subnetGroup:SubnetGroup")
    assert group.inputs["subnetIds"] == ["subnet-a", "subnet-b", "subnet-c"]
    assert cache.inputs["subnetGroupName"] == group.inputs["name"]
    (parameters,) = nodes.of_type("aws:elasticache/parameterGroup:ParameterGroup")
    assert parameters.inputs["family"] in parameters.inputs["name"], "a new family needs a new name"


def test_a_minor_version_that_aws_has_raised_does_not_replace_the_nodes() -> None:
    (cache,) = graph("nodes").of_type("aws:elasticache/replicationGroup:ReplicationGroup")
    raised = {**cache.inputs, "engineVersion": "8.9"}
    assert consequences(cache.type, raised, dict(cache.inputs), cache.ignore_changes) == ()
    assert consequences(cache.type, raised, dict(cache.inputs), ()), "the check can fail"


@pytest.mark.parametrize("mode", ["serverless", "nodes"])
def test_nothing_changes_with_the_phase(mode: str) -> None:
    first = graph(mode, phase=1)
    for phase in (2, 3, 4, 5):
        assert graph(mode, phase=phase).resources == first.resources


@pytest.mark.parametrize("mode", ["serverless", "nodes"])
def test_a_zone_that_joins_replaces_nothing(mode: str) -> None:
    before, after = graph(mode), graph(mode, zones=4)
    for resource in before:
        if resource.custom:
            now = after.resources[resource.urn]
            assert consequences(resource.type, dict(resource.inputs), dict(now.inputs), now.ignore_changes) == ()


@pytest.mark.parametrize("mode", ["serverless", "nodes"])
def test_the_longest_names_fit(mode: str) -> None:
    limits = {"userId": 40, "userGroupId": 40, "replicationGroupId": 40, "subnetGroupName": 255}
    for resource in graph(mode, app="abcdefghijklmnopqrst"):
        for key, limit in limits.items():
            name = resource.inputs.get(key, "")
            assert len(name) <= limit
            assert name == name.lower()
        if resource.type.endswith(":ServerlessCache"):
            assert len(resource.inputs["name"]) <= 40


def test_two_regions_and_two_users_have_different_names() -> None:
    found = [
        str(user.inputs["userId"])
        for region in (REGION, "eu-central-1")
        for user in graph("serverless", region=region, app="abcdefghijklmnopqrst").of_type("aws:elasticache/user:User")
    ]
    assert len(set(found)) == 4
