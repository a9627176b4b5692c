"""A region's secrets on Google Cloud: its own copies, guarded, written once."""

import json
from typing import Any

import pulumi
import pulumi_gcp as gcp
import pytest

from components.contracts import SecretsArgs
from components.gcp.replacement import consequences
from components.gcp.secrets import Secrets
from engine.recorder import Graph
from tests.components.gcp.ground import PROJECT, REGIONS, built, of_component, planned
from tests.components.gcp.stacks import recorded

SECRET = "gcp:secretmanager/secret:Secret"
VERSION = "gcp:secretmanager/secretVersion:SecretVersion"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return built(5, REGIONS)


def alone(seen: dict[str, Any]) -> Graph:
    of = planned(5)

    def program() -> None:
        made = Secrets(
            "meridian-europe-west3-secrets",
            SecretsArgs(
                topology=of,
                region=of.region("europe-west3"),
                ground=PROJECT,
                key_ids={"secrets": "key"},
                credentials={"main": pulumi.Output.secret("of main"), "americas": pulumi.Output.secret("of americas")},
                directory_key=pulumi.Output.secret("of all"),
            ),
        )
        seen["ids"] = set(made.secret_ids)
        made.cache_password.apply(lambda value: seen.update(cache_password=value))

    return recorded(program)


@pytest.mark.parametrize("phase", range(1, 6))
def test_every_region_in_use_has_every_partitions_secret_and_the_directorys(phase: int) -> None:
    of = planned(phase)
    found = {(one.inputs["labels"]["region"], one.name.split("-secrets-")[1]) for one in built(phase).of_type(SECRET)}
    uses = {"directory", *(f"database-{partition.name}" for partition in of.partitions if partition.members)}
    assert found == {(region.name, use) for region in of.regions_in_use for use in uses}
    assert len(uses) == (3 if phase == 5 else 2)


def test_secrets_are_guarded_and_kept_in_their_own_region_under_its_key(graph: Graph) -> None:
    for one in graph.of_type(SECRET):
        region = one.inputs["labels"]["region"]
        assert one.name.startswith(f"meridian-{region}-secrets-")
        assert one.inputs["replication"] == {
            "userManaged": {
                "replicas": [
                    {
                        "location": region,
                        "customerManagedEncryption": {"kmsKeyName": f"meridian-{region}-keys-secrets"},
                    }
                ]
            }
        }
        assert one.protect
        assert one.inputs["deletionProtection"] is True
        assert one.inputs["deletionPolicy"] == "PREVENT"
        assert one.inputs["versionDestroyTtl"] == "2592000s"
        assert one.inputs["project"] == PROJECT


def test_a_secret_that_spanned_the_regions_would_be_replaced(graph: Graph) -> None:
    """Why there is one per region."""
    one = graph.of_type(SECRET)[0]
    (replica,) = one.inputs["replication"]["userManaged"]["replicas"]
    two = {"userManaged": {"replicas": [replica, {**replica, "location": "us-central1"}]}}
    found = consequences(SECRET, one.inputs, {**one.inputs, "replication": two})
    assert [each.effect for each in found] == ["replace"]


def test_names_are_unique_in_the_project(graph: Graph) -> None:
    ids = [one.inputs["secretId"] for one in graph.of_type(SECRET)]
    assert len(set(ids)) == len(ids)


def test_a_secret_holds_a_user_and_a_password() -> None:
    seen: dict[str, Any] = {}
    graph = alone(seen)
    assert seen == {"ids": {"database-main", "database-americas", "directory"}, "cache_password": ""}
    found = {one.name.split("-secrets-")[1]: json.loads(one.inputs["secretData"]) for one in graph.of_type(VERSION)}
    assert found == {
        "directory-first": {"key": "of all"},
        "database-main-first": {"username": "meridian", "password": "of main"},
        "database-americas-first": {"username": "meridian", "password": "of americas"},
    }


def test_a_password_is_never_registered_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorder unwraps secrets, so what is handed to the SDK is asked itself."""
    told: dict[str, bool] = {}
    version = gcp.secretmanager.SecretVersion

    def asked(name: str, *, secret_data: pulumi.Output[str], **rest: Any) -> gcp.secretmanager.SecretVersion:
        async def ask() -> None:
            told[name] = await secret_data.is_secret()

        pulumi.Output.from_input(ask()).apply(lambda _: None)
        return version(name, secret_data=secret_data, **rest)

    monkeypatch.setattr(gcp.secretmanager, "SecretVersion", asked)
    alone({})
    uses = ("database-main", "database-americas", "directory")
    assert told == {f"meridian-europe-west3-secrets-{use}-first": True for use in uses}


def test_a_rotation_is_not_undone(graph: Graph) -> None:
    """The next `up` after a rotation sees other values than it would write, and writes none."""
    for one in graph.of_type(VERSION):
        rotated = {**one.inputs, "secretData": '{"password": "new"}'}
        assert consequences(VERSION, rotated, one.inputs, one.ignore_changes) == ()
        kept = [name for name in one.ignore_changes if name != "secretData"]
        assert consequences(VERSION, rotated, one.inputs, kept) != ()
        # What a rotation disables is not enabled again, which the provider does in place.
        assert "enabled" in one.ignore_changes


def test_every_resource_comes_from_the_explicit_provider(graph: Graph) -> None:
    found = of_component(graph, "Secrets")
    assert {one.type for one in found} == {SECRET, VERSION}
    assert all(one.provider for one in found)
