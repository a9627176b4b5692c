"""A region's keys on AWS: all of them from phase 1, guarded, and open to nobody whom they are not for."""

import json
from typing import Any

import pytest

from components.aws.keys import policy
from components.aws.replacement import consequences
from engine.recorder import Graph
from tests.components.aws.ground import ACCOUNT, REGIONS, built, of_component, planned

USES = {"database", "cache", "storage", "logs", "secrets"}
KEY = "aws:kms/key:Key"
ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}


@pytest.fixture(scope="module")
def graph() -> Graph:
    return built(5, REGIONS)


def statements(use: str, region: str = "eu-west-1") -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in json.loads(policy(use, region, ACCOUNT))["Statement"]}


@pytest.mark.parametrize("phase", range(1, 6))
def test_every_region_in_use_has_all_its_keys(phase: int) -> None:
    of = planned(phase)
    found = {(one.inputs["region"], one.name.rsplit("-", 1)[1]) for one in built(phase).of_type(KEY)}
    assert found == {(region.name, use) for region in of.regions_in_use for use in USES}


def test_keys_are_guarded_and_rotate(graph: Graph) -> None:
    for key in graph.of_type(KEY):
        assert key.protect
        assert key.inputs["enableKeyRotation"] is True
        assert key.inputs["deletionWindowInDays"] == 30
        assert key.inputs["multiRegion"] is False
        assert key.inputs["tags"]["region"] == key.inputs["region"]


def test_every_resource_is_of_its_own_region(graph: Graph) -> None:
    for one in of_component(graph, "Keys"):
        assert f"-{one.inputs['region']}-keys-" in one.name
    regions = {one.inputs["region"] for one in of_component(graph, "Keys")}
    assert regions == set(REGIONS)


def test_an_alias_leads_to_each_key(graph: Graph) -> None:
    keys = {one.name: one for one in graph.of_type(KEY)}
    aliases = graph.of_type("aws:kms/alias:Alias")
    assert {one.inputs["targetKeyId"] for one in aliases} == set(keys)
    assert len({(one.inputs["region"], one.inputs["name"]) for one in aliases}) == len(keys)
    for one in aliases:
        assert one.inputs["name"].startswith("alias/meridian-production-aws-")
        assert one.inputs["region"] == keys[one.inputs["targetKeyId"]].inputs["region"]


def test_whoever_encrypts_uses_a_key_of_its_own_region(graph: Graph) -> None:
    """The outputs are ARNs, as most services ask for (and show a difference for ever where they are given an id)."""
    users = [one for one in graph if "kmsKeyId" in one.inputs]
    assert {one.type for one in users} == {
        "aws:secretsmanager/secret:Secret",
        "aws:cloudwatch/logGroup:LogGroup",
    }
    for one in users:
        use = "secrets" if "secretsmanager" in one.type else "logs"
        region = one.inputs["region"]
        assert one.inputs["kmsKeyId"] == f"arn:aws:kms:{region}:{ACCOUNT}:key/meridian-{region}-keys-{use}"


@pytest.mark.parametrize("use", sorted(USES))
def test_the_account_administers_a_key_and_uses_it_only_through_its_services(use: str) -> None:
    found = statements(use)
    assert found["Administer"]["Principal"] == found["Use"]["Principal"] == found["Grant"]["Principal"] == ROOT
    cryptography = ("Decrypt", "Encrypt", "GenerateDataKey", "ReEncrypt", "CreateGrant", "*")
    assert not [action for action in found["Administer"]["Action"] if action.split(":")[1].startswith(cryptography)]
    # Without it nobody could ever mend the policy (KMS: default key policy).
    assert "kms:PutKeyPolicy" in found["Administer"]["Action"]
    for sid in ("Use", "Grant"):
        services = found[sid]["Condition"]["StringEquals"]["kms:ViaService"]
        assert services
        assert all(service.endswith(".eu-west-1.amazonaws.com") for service in services)
    assert found["Grant"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_uses_share_no_service_but_where_backups_are_copied() -> None:
    through = {use: set(statements(use)["Use"]["Condition"]["StringEquals"]["kms:ViaService"]) for use in USES}
    assert {use: names & through["database"] for use, names in through.items() if use != "database"} == {
        "cache": set(),
        "storage": {"rds.eu-west-1.amazonaws.com"},
        "logs": set(),
        "secrets": set(),
    }


def test_services_act_for_themselves_on_the_logs_key_alone_and_for_this_account_alone() -> None:
    for use in USES:
        services = {sid: each for sid, each in statements(use).items() if "Service" in each["Principal"]}
        assert set(services) == ({"Logs", "Alarms"} if use == "logs" else set())
        for each in services.values():
            condition = json.dumps(each["Condition"])
            assert f":eu-west-1:{ACCOUNT}:" in condition


def test_a_later_change_of_a_policy_replaces_no_key(graph: Graph) -> None:
    key = graph.of_type(KEY)[0]
    assert consequences(KEY, key.inputs, {**key.inputs, "policy": "{}", "deletionWindowInDays": 7}) == ()
    assert consequences(KEY, key.inputs, {**key.inputs, "multiRegion": True}) != ()
