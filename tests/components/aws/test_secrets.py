"""A region's secrets on AWS: its own copies, guarded, written once."""

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

from components.aws.replacement import consequences
from components.aws.secrets import Secrets, resource_policy
from components.contracts import SecretsArgs
from engine.recorder import Graph
from tests.components.aws.ground import ACCOUNT, REGIONS, built, of_component, planned
from tests.components.aws.stacks import recorded

SECRET, VERSION = "aws:secretsmanager/secret:Secret", "aws:secretsmanager/secretVersion:SecretVersion"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return built(5, REGIONS)


def alone(seen: dict[str, Any]) -> Graph:
    of = planned(5)

    def program() -> None:
        made = Secrets(
            "meridian-eu-west-1-secrets",
            SecretsArgs(
                topology=of,
                region=of.region("eu-west-1"),
                ground=ACCOUNT,
                key_ids={"secrets": "arn:key"},
                credentials={"main": pulumi.Output.secret("of main"), "europe": pulumi.Output.secret("of europe")},
                directory_key=pulumi.Output.secret("of all"),
            ),
        )
        seen["ids"] = set(made.secret_ids)
        seen["cache_password"] = made.cache_password

    return recorded(program)


@pytest.mark.parametrize("phase", range(1, 6))
def test_every_region_in_use_has_every_partitions_secret_the_directorys_and_its_caches(phase: int) -> None:
    of = planned(phase)
    found = {(one.inputs["region"], one.name.split("-secrets-")[1]) for one in built(phase).of_type(SECRET)}
    uses = {"cache", "directory", *(f"database-{partition.name}" for partition in of.partitions if partition.members)}
    assert found == {(region.name, use) for region in of.regions_in_use for use in uses}
    assert len(uses) == (4 if phase == 5 else 3)


def test_secrets_are_guarded_and_encrypted_and_nobodys_replica(graph: Graph) -> None:
    for one in graph.of_type(SECRET):
        assert one.protect
        assert one.inputs["recoveryWindowInDays"] == 30
        assert f":kms:{one.inputs['region']}:" in one.inputs["kmsKeyId"]
        assert not {"replicas", "forceOverwriteReplicaSecret", "policy"} & set(one.inputs)


def test_every_resource_is_of_its_own_region(graph: Graph) -> None:
    for one in of_component(graph, "Secrets"):
        if one.type.startswith("aws:"):
            assert f"-{one.inputs['region']}-secrets-" in one.name
            assert one.provider
        else:
            assert one.provider == ""  # nothing of the explicit provider, whose package it is not


def test_no_name_ends_like_an_arn(graph: Graph) -> None:
    """Secrets Manager adds a hyphen and six characters to a name; one that ends so is found for another. The partition
    called `europe` would.
    """
    names = [one.inputs["name"] for one in graph.of_type(SECRET)]
    assert not [name for name in names if len(name.rsplit("-", 1)[1]) == 6]
    assert any("europe" in name for name in names)


def test_a_secret_holds_a_user_and_a_password() -> None:
    seen: dict[str, Any] = {}
    graph = alone(seen)
    assert seen["ids"] == {"database-main", "database-europe", "directory", "cache"}
    found = {one.name.split("-secrets-")[1]: json.loads(one.inputs["secretString"]) for one in graph.of_type(VERSION)}
    assert found["directory-first"] == {"key": "of all"}
    assert found["database-main-first"] == {"username": "meridian", "password": "of main"}
    assert found["database-europe-first"] == {"username": "meridian", "password": "of europe"}
    assert found["cache-first"]["username"] == "service"


def test_a_password_is_never_registered_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorder unwraps secrets, so what is handed to the SDK is asked itself."""
    told: dict[str, bool] = {}
    version = aws.secretsmanager.SecretVersion

    def asked(name: str, *, secret_string: pulumi.Output[str], **rest: Any) -> aws.secretsmanager.SecretVersion:
        async def ask() -> None:
            told[name] = await secret_string.is_secret()

        pulumi.Output.from_input(ask()).apply(lambda _: None)
        return version(name, secret_string=secret_string, **rest)

    monkeypatch.setattr(aws.secretsmanager, "SecretVersion", asked)
    alone({})
    # What pulumi-random makes is secret by its own SDK, which a recorder does not go through.
    del told["meridian-eu-west-1-secrets-cache-first"]
    uses = ("database-main", "database-europe", "directory")
    assert told == {f"meridian-eu-west-1-secrets-{use}-first": True for use in uses}


def test_the_caches_password_is_the_regions_own_and_what_elasticache_takes(graph: Graph) -> None:
    passwords = [one for one in of_component(graph, "Secrets") if one.type.startswith("random:")]
    assert {one.name for one in passwords} == {f"meridian-{region}-secrets-cache-password" for region in REGIONS}
    for one in passwords:
        assert one.protect
        assert 16 <= one.inputs["length"] <= 128
        assert one.inputs["special"] is False


def test_a_rotation_is_not_undone(graph: Graph) -> None:
    """The next `up` after a rotation sees other values than it would write, and writes none."""
    for one in graph.of_type(VERSION):
        rotated = {**one.inputs, "secretString": '{"password": "new"}', "versionStages": ["AWSPREVIOUS"]}
        assert consequences(VERSION, rotated, one.inputs, one.ignore_changes) == ()
        kept = [name for name in one.ignore_changes if name != "secretString"]
        assert consequences(VERSION, rotated, one.inputs, kept) != ()


def test_the_policy_is_there_before_the_value(graph: Graph) -> None:
    for one in graph.of_type(VERSION):
        policy = one.name.replace("-first", "-policy")
        assert any(urn.endswith(f"::{policy}") for urn in one.dependencies)


def test_a_policy_denies_outsiders_and_whoever_asks_in_the_clear() -> None:
    clear, outside = json.loads(resource_policy(ACCOUNT))["Statement"]
    for each in (clear, outside):
        assert (each["Effect"], each["Principal"], each["Action"]) == ("Deny", "*", "secretsmanager:*")
    assert clear["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert outside["Condition"]["StringNotEquals"] == {"aws:PrincipalAccount": ACCOUNT}
    # All of a statement's conditions must hold: AWS's own services are not denied for having no account.
    assert outside["Condition"]["BoolIfExists"] == {"aws:PrincipalIsAWSService": "false"}


def test_every_secret_has_the_policy(graph: Graph) -> None:
    policies = graph.of_type("aws:secretsmanager/secretPolicy:SecretPolicy")
    assert {one.inputs["secretArn"] for one in policies} == {one.name for one in graph.of_type(SECRET)}
    assert all(one.inputs["blockPublicPolicy"] is True for one in policies)
