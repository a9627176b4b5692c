"""A stack's members, vaults and backups on Google Cloud, with stand-ins for what they lie in."""

from types import SimpleNamespace
from typing import Any, cast

import pulumi

from components.contracts import BackupArgs, DatabaseArgs, DatabaseOutputs, FoundationArgs, VaultArgs
from components.gcp.backup import Backup
from components.gcp.database import Database
from components.gcp.foundation import Foundation
from components.gcp.vault import Vault
from engine.recorder import Graph
from tests.components.gcp.stacks import recorded, topology
from topology import Topology

REGIONS = ("europe-west3", "europe-west1", "us-east4", "asia-northeast1", "southamerica-east1")
PROJECT = {
    "project": "example-production",
    "project_number": "123456789012",
    "zone": {"name": "example-com", "dns_name": "example.com"},
}


def cut(*, phase: int, regions: int = 3, listed: tuple[str, ...] = REGIONS, **database: Any) -> Topology:
    """The example stack with that many regions, the last of them another partition's origin in phase 5."""
    listed = listed[:regions]
    return topology(
        phase=phase,
        regions=[{"name": name, "slot": REGIONS.index(name)} for name in listed],
        residency={},
        partitions=[{"name": "americas", "slot": 1, "origin": listed[-1], "serves": ["US"]}],
        gcp={**PROJECT, "database": database},
    )


def output(value: str) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


def keys(region: str) -> dict[str, pulumi.Output[str]]:
    ring = f"projects/{PROJECT['project']}/locations/{region}/keyRings/ring/cryptoKeys"
    return {use: output(f"{ring}/{use}") for use in ("database", "logs", "storage")}


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
                network=cast("Any", SimpleNamespace(network_id=foundation.transit)),
                key_ids=keys(member.region),
                # A recorder answers nothing for what a random password came to.
                credentials={name: pulumi.Output.secret(f"password of {name}") for name in foundation.credentials},
                partition_id=None,
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
        pulumi.export(name, {"id": member.member_id, "access": member.access_id, "endpoint": member.endpoint})
