"""A stack's members, vaults and backups on AWS, with stand-ins for what they lie in."""

from types import SimpleNamespace
from typing import Any, cast

import pulumi

from components.aws.backup import Backup
from components.aws.database import Database
from components.aws.foundation import Foundation
from components.aws.vault import Vault
from components.contracts import BackupArgs, DatabaseArgs, DatabaseOutputs, FoundationArgs, VaultArgs
from engine.recorder import Graph
from tests.components.aws.stacks import recorded, topology
from topology import Topology

REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "ap-northeast-1", "sa-east-1")
ACCOUNT = {"account_id": "123456789012", "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"}}


def cut(*, phase: int, regions: int = 3, **database: Any) -> Topology:
    """The example stack with that many regions, the last of them another partition's origin in phase 5."""
    listed = REGIONS[:regions]
    return topology(
        phase=phase,
        regions=[{"name": name, "slot": slot} for slot, name in enumerate(listed)],
        residency={},
        partitions=[{"name": "americas", "slot": 1, "origin": listed[-1], "serves": ["US"]}],
        aws={**ACCOUNT, "database": database},
    )


def output(value: str) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


def network(region: str) -> Any:
    isolated = [output(f"subnet-{region}-{zone}") for zone in "abc"]
    return SimpleNamespace(subnet_ids={"isolated": isolated}, group_ids={"database": output(f"sg-{region}")})


def keys(region: str) -> dict[str, pulumi.Output[str]]:
    uses = ("database", "logs", "storage")
    return {use: output(f"arn:aws:kms:{region}:123456789012:key/{use}") for use in uses}


def register(planned: Topology) -> dict[str, Database]:
    """What `components.deploy` does with these components, in its order."""
    foundation = Foundation(f"{planned.app}-foundation", FoundationArgs(topology=planned))
    options = pulumi.ResourceOptions(provider=foundation.provider)
    members: dict[str, Database] = {}
    for member in planned.members:
        origin = planned.partition(member.partition).members[0]
        members[member.name] = Database(
            member.name,
            DatabaseArgs(
                topology=planned,
                member=member,
                ground=foundation.ground,
                network=network(member.region),
                key_ids=keys(member.region),
                # A recorder answers nothing for what a random password came to.
                credentials={name: pulumi.Output.secret(f"password of {name}") for name in foundation.credentials},
                partition_id=foundation.partition_ids[member.partition],
                source=None if member.is_origin else members[origin].member_id,
            ),
            options,
        )
    vaults = {
        backup.region: Vault(
            f"{planned.app}-{backup.region}-vault",
            VaultArgs(
                topology=planned,
                region=planned.region(backup.region),
                ground=foundation.ground,
                key_ids=keys(backup.region),
            ),
            options,
        ).vault_id
        for backup in planned.backups
    }
    for backup in planned.backups:
        region = planned.region(backup.region)
        if region.members:
            Backup(
                f"{planned.app}-{region.name}-backup",
                BackupArgs(
                    topology=planned,
                    region=region,
                    ground=foundation.ground,
                    members=cast("dict[str, DatabaseOutputs]", {name: members[name] for name in region.members}),
                    vault_id=vaults[region.name],
                    copy_vault_id=vaults[backup.copy_to] if backup.copy_to else None,
                ),
                options,
            )
    return members


def graph(planned: Topology) -> Graph:
    return recorded(lambda: _run(planned))


def _run(planned: Topology) -> None:
    for name, member in register(planned).items():
        pulumi.export(name, {"id": member.member_id, "access": member.access_id})
