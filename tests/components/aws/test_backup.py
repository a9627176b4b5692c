"""Vaults and backups on AWS: where they are, how long they last, and that no role decides."""

import json
from functools import cache
from typing import Any

import pytest

from components.aws.replacement import consequences
from engine.recorder import Graph, Registered
from tests.components.aws.members import cut, graph
from tests.components.aws.stacks import topology

VAULT = "aws:backup/vault:Vault"
LOCK = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
POLICY = "aws:backup/vaultPolicy:VaultPolicy"
PLAN = "aws:backup/plan:Plan"
SELECTION = "aws:backup/selection:Selection"
ROLE = "aws:iam/role:Role"


@cache
def stack(phase: int, regions: int = 3) -> Graph:
    return graph(cut(phase=phase, regions=regions))


def by_region(of: Graph, type_: str) -> dict[str, Registered]:
    found = of.of_type(type_)
    assert len({each.inputs["region"] for each in found}) == len(found)
    return {each.inputs["region"]: each for each in found}


def rule(plan: Registered) -> Any:
    (only,) = plan.inputs["rules"]
    return only


@pytest.mark.parametrize(
    ("phase", "regions", "vaults", "plans"),
    [(1, 1, 1, 1), (1, 3, 2, 1), (2, 2, 2, 2), (3, 3, 2, 2), (4, 3, 3, 3), (5, 5, 5, 5)],
)
def test_vaults_and_plans(phase: int, regions: int, vaults: int, plans: int) -> None:
    of = stack(phase, regions)
    assert len(by_region(of, VAULT)) == len(by_region(of, LOCK)) == len(by_region(of, POLICY)) == vaults
    assert len(by_region(of, PLAN)) == plans


def test_a_vault_is_locked_in_governance_mode_and_guarded() -> None:
    of = stack(4)
    for region, vault in by_region(of, VAULT).items():
        assert vault.protect
        assert vault.inputs["forceDestroy"] is False
        assert vault.inputs["kmsKeyArn"] == f"arn:aws:kms:{region}:123456789012:key/storage"
        lock = by_region(of, LOCK)[region]
        assert lock.inputs["backupVaultName"] == vault.name
        assert "changeableForDays" not in lock.inputs  # with it, nobody could ever lift the lock
        assert lock.protect


def test_nobody_deletes_a_recovery_point_by_hand() -> None:
    for policy in stack(1).of_type(POLICY):
        (statement,) = json.loads(policy.inputs["policy"])["Statement"]
        assert statement["Effect"] == "Deny"
        assert statement["Principal"] == "*"
        assert set(statement["Action"]) == {"backup:DeleteRecoveryPoint", "backup:UpdateRecoveryPointLifecycle"}
        assert "Condition" not in statement


def test_the_lock_outlasts_every_setting() -> None:
    """Its arguments replace it, and putting the new one over the old and then taking the old away leaves none."""
    locks = [graph(topology(phase=1, retention={"backup_days": days})) for days in (1, 35, 400)]
    inputs = [[lock.inputs for lock in of.of_type(LOCK)] for of in locks]
    assert inputs[0] == inputs[1] == inputs[2]
    (lock, *_) = locks[0].of_type(LOCK)
    assert consequences(LOCK, lock.inputs, {**lock.inputs, "minRetentionDays": 35})


def test_backups_are_daily_kept_and_copied_to_another_region() -> None:
    of = graph(topology(phase=1, retention={"backup_days": 400}))
    only = rule(by_region(of, PLAN)["eu-west-1"])
    assert only["lifecycle"] == {"deleteAfter": 400}
    assert only["enableContinuousBackup"] is False
    assert only["schedule"].startswith("cron(0 ")
    (copy,) = only["copyActions"]
    target = by_region(of, VAULT)["eu-central-1"]
    assert copy["destinationVaultArn"] == f"arn:aws:backup:eu-central-1:123456789012:backup-vault:{target.name}"
    assert copy["lifecycle"] == {"deleteAfter": 400}
    assert only["targetVaultName"] == by_region(of, VAULT)["eu-west-1"].name


def test_no_copy_where_residency_allows_none() -> None:
    of = graph(topology(phase=1, residency={"primary": ["IE"], "copies": ["IE"]}))
    assert list(by_region(of, VAULT)) == ["eu-west-1"]
    assert not rule(by_region(of, PLAN)["eu-west-1"]).get("copyActions")


def selected(of: Graph) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in of.of_type(SELECTION):
        found.setdefault(each.inputs["region"], []).extend(each.inputs["resources"])
    return found


def test_every_member_that_serves_is_selected_in_its_own_region_whoever_writes() -> None:
    def arn(region: str, partition: str = "main") -> str:
        return f"arn:aws:rds:{region}:123456789012:cluster:{partition}-{region}-cluster"

    assert selected(stack(1)) == {"eu-west-1": [arn("eu-west-1")]}
    assert selected(stack(2)) == selected(stack(1))  # the second has no instances yet
    assert selected(stack(3)) == {name: [arn(name)] for name in ("eu-west-1", "eu-central-1")}
    five = selected(stack(5))
    assert {region: set(arns) for region, arns in five.items()} == {
        name: {arn(name), arn(name, "americas")} for name in ("eu-west-1", "eu-central-1", "us-east-1")
    }


@pytest.mark.parametrize(("low", "high"), [(1, 2), (2, 3), (3, 4), (4, 5), (1, 5)])
def test_climbing_keeps_every_vault_plan_and_selection(low: int, high: int) -> None:
    before, after = stack(low), stack(high)
    for type_ in (VAULT, LOCK, POLICY, SELECTION):
        for resource in before.of_type(type_):
            assert after.resources[resource.urn].inputs == resource.inputs
    for plan in before.of_type(PLAN):
        assert consequences(PLAN, plan.inputs, after.resources[plan.urn].inputs) == ()


def test_the_role_is_the_regions_own_and_can_restore() -> None:
    of = stack(3)
    attached = of.of_type("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    for region in ("eu-west-1", "eu-central-1"):
        role = of.named(f"meridian-{region}-backup-role")
        assert region in role.inputs["name"]
        trust = json.loads(role.inputs["assumeRolePolicy"])["Statement"][0]
        assert trust["Principal"] == {"Service": "backup.amazonaws.com"}
        given = {each.inputs["policyArn"].rsplit("/", 1)[1] for each in attached if role.urn in each.dependencies}
        assert given == {"AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores"}
        (selection,) = [each for each in of.of_type(SELECTION) if each.inputs["region"] == region]
        assert selection.inputs["iamRoleArn"] == f"arn:aws:iam::123456789012:role/{role.name}"
