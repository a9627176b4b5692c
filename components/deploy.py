"""Composes a target's components into the stack that a topology describes, whichever target it is."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pulumi

from components.built import COMPONENTS, require_built
from components.contracts import (
    BackupArgs,
    CacheArgs,
    DatabaseArgs,
    FoundationArgs,
    HomesArgs,
    KeeperArgs,
    KeysArgs,
    LeaseArgs,
    NetworkArgs,
    ReplicationArgs,
    SecretsArgs,
    ServiceArgs,
    SignalsArgs,
    TrafficArgs,
    VaultArgs,
)
from topology import SettingsError, Topology, to_summary
from topology.witnesses import keepers


def component(target: str, name: str) -> Any:
    """A component's class: `Network` of the target `local` stands in `components/local/network.py`."""
    return getattr(import_module(f"components.{target}.{name.lower()}"), name)


def parse_writers(text: str) -> dict[str, str]:
    """Regions by partition: "main=eu-west-1,americas=us-east-1"; nothing of those that are not named."""
    return {
        partition.strip(): region.strip()
        for partition, _, region in (word.partition("=") for word in text.split(",") if word.strip())
    }


def writing_members(topology: Topology, writers: Mapping[str, str]) -> dict[str, str]:
    """By partition, the member that a new one is copied from: the writer's, and where none is named the origin's."""
    found = {partition.name: partition.members[0] for partition in topology.partitions if partition.members}
    for name, region in writers.items():
        members = topology.partition(name).members if name in found else ()
        at = {topology.member(member).region: member for member in members}
        if region not in at:
            known = ", ".join(f"{item.partition}={item.region}" for item in topology.members)
            raise SettingsError((f"MERIDIAN_WRITERS: {name}={region} is no member of the stack. Members: {known}.",))
        found[name] = at[region]
    return found


def deploy(topology: Topology, writers: Mapping[str, str] | None = None) -> Mapping[str, pulumi.Input[Any]]:
    """Register every resource of the topology and return the stack's outputs.

    The target's modules are imported here and nowhere else, so that a stack pays only for the cloud that it uses.
    The same classes exist for every target, but for those that components/contracts.py names; what they create
    differs. `writers` are the regions that write now, by partition, where they are known: creation-only sources of new
    members, and nothing else. Raises `SettingsError` for a target or a phase whose components do not exist.
    """
    require_built(topology)
    writing = writing_members(topology, writers or {})
    app, has = topology.app, COMPONENTS[topology.target]
    foundation = component(topology.target, "Foundation")(f"{app}-foundation", FoundationArgs(topology=topology))
    ground, transit, credentials = foundation.ground, foundation.transit, foundation.credentials

    def build(kind: str, name: str, args: Any) -> Any:
        # Children inherit it: nothing falls to a default provider with a region of its own.
        return component(topology.target, kind)(name, args, pulumi.ResourceOptions(provider=foundation.provider))

    by_slot = sorted(topology.regions, key=lambda region: region.slot)
    used = {region.name for region in topology.regions_in_use}
    keeps_backups = {backup.region for backup in topology.backups}
    voters = keepers(topology)

    keys: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    networks: dict[str, Any] = {}
    for region in by_slot:
        if region.in_use or region.name in keeps_backups or region.name in voters:
            keys[region.name] = build(
                "Keys", f"{app}-{region.name}-keys", KeysArgs(topology=topology, region=region, ground=ground)
            )
        if not region.in_use:
            continue
        key_ids = keys[region.name].key_ids
        if "Secrets" in has:
            secrets[region.name] = build(
                "Secrets",
                f"{app}-{region.name}-secrets",
                SecretsArgs(
                    topology=topology,
                    region=region,
                    ground=ground,
                    key_ids=key_ids,
                    credentials=credentials,
                    directory_key=foundation.directory_key,
                ),
            )
        networks[region.name] = build(
            "Network",
            f"{app}-{region.name}-network",
            NetworkArgs(
                topology=topology,
                region=region,
                links=[link for link in topology.links if link.source == region.name and link.target in used],
                ground=ground,
                transit=transit,
                key_ids=key_ids,
                peers=dict(networks),
            ),
        )

    databases: dict[str, Any] = {}
    # Origins come first, and writers next, so that a copy's source exists already. A writer that is no origin was
    # copied from it once.
    for member in sorted(topology.members, key=lambda each: (not each.is_origin, writing[each.partition] != each.name)):
        origin = topology.partition(member.partition).members[0]
        source = writing[member.partition] if writing[member.partition] != member.name else origin
        databases[member.name] = build(
            "Database",
            member.name,
            DatabaseArgs(
                topology=topology,
                member=member,
                ground=ground,
                network=networks[member.region],
                key_ids=keys[member.region].key_ids,
                credentials=credentials,
                partition_id=foundation.partition_ids.get(member.partition),
                source=None if member.is_origin else databases[source].member_id,
            ),
        )
    if "Replication" in has:
        for partition in topology.partitions:
            if partition.members:
                build(
                    "Replication",
                    f"{app}-{partition.name}-replication",
                    ReplicationArgs(
                        topology=topology,
                        partition=partition,
                        ground=ground,
                        member_ids={name: databases[name].member_id for name in partition.members},
                    ),
                )

    keeper_ids = {
        name: build(
            "Keeper",
            f"{app}-{name}-keeper",
            KeeperArgs(
                topology=topology,
                region=topology.region(name),
                ground=ground,
                transit=transit,
                key_ids=keys[name].key_ids,
            ),
        ).keeper_id
        for name in voters
    }
    leases: dict[str, Any] = {}
    for partition in topology.partitions:
        if keeper_ids and partition.members:
            leases[partition.name] = build(
                "Lease",
                f"{app}-{partition.name}-lease",
                LeaseArgs(
                    topology=topology,
                    partition=partition,
                    ground=ground,
                    member_ids={name: databases[name].member_id for name in partition.members},
                    keeper_ids=keeper_ids,
                ),
            )

    caches: dict[str, Any] = {}
    services: dict[str, Any] = {}
    for region in topology.regions_in_use:
        if region.has_cache:
            caches[region.name] = build(
                "Cache",
                f"{app}-{region.name}-cache",
                CacheArgs(
                    topology=topology,
                    region=region,
                    ground=ground,
                    network=networks[region.name],
                    key_ids=keys[region.name].key_ids,
                    secrets=secrets.get(region.name),
                ),
            )
        if region.has_service:
            services[region.name] = build(
                "Service",
                f"{app}-{region.name}-service",
                ServiceArgs(
                    topology=topology,
                    region=region,
                    ground=ground,
                    network=networks[region.name],
                    key_ids=keys[region.name].key_ids,
                    databases=databases,
                    write_endpoints=foundation.write_endpoints,
                    cache=caches.get(region.name),
                    secrets=secrets.get(region.name),
                    certificate_id=foundation.certificate_ids.get(region.name),
                ),
            )

    if "Homes" in has and len(topology.partitions) > 1:
        build(
            "Homes",
            f"{app}-homes",
            HomesArgs(
                topology=topology,
                ground=ground,
                member_ids={name: database.member_id for name, database in databases.items()},
                service_ids={name: service.service_id for name, service in services.items()},
                lease_ids={name: lease.lease_id for name, lease in leases.items()},
            ),
        )

    vaults: dict[str, pulumi.Output[str]] = {}
    channels: dict[str, pulumi.Output[str]] = {}
    if "Vault" in has:
        for backup in topology.backups:
            vaults[backup.region] = build(
                "Vault",
                f"{app}-{backup.region}-vault",
                VaultArgs(
                    topology=topology,
                    region=topology.region(backup.region),
                    ground=ground,
                    key_ids=keys[backup.region].key_ids,
                ),
            ).vault_id
        for backup in topology.backups:
            region = topology.region(backup.region)
            if region.members:
                build(
                    "Backup",
                    f"{app}-{region.name}-backup",
                    BackupArgs(
                        topology=topology,
                        region=region,
                        ground=ground,
                        members={name: databases[name] for name in region.members},
                        vault_id=vaults[region.name],
                        copy_vault_id=vaults[backup.copy_to] if backup.copy_to else None,
                    ),
                )
    if "Signals" in has:
        for region in topology.regions_in_use:
            channels[region.name] = build(
                "Signals",
                f"{app}-{region.name}-signals",
                SignalsArgs(
                    topology=topology,
                    region=region,
                    ground=ground,
                    key_ids=keys[region.name].key_ids,
                    members={name: databases[name] for name in region.members},
                    cache=caches.get(region.name),
                    service=services.get(region.name),
                    certificate_id=foundation.certificate_ids.get(region.name),
                    vault_id=vaults.get(region.name),
                ),
            ).channel_id

    traffic = build(
        "Traffic",
        topology.entry.name,
        TrafficArgs(
            topology=topology,
            ground=ground,
            transit=transit,
            key_ids={name: keys[name].key_ids for name in networks},
            networks=networks,
            services=services,
            member_ids={name: database.member_id for name, database in databases.items()},
        ),
    )

    return {
        "entry": traffic.entry,
        "ground": ground,
        "topology": to_summary(topology),
        "regions": {
            region.name: {
                "network": networks[region.name].network_id,
                "cache": caches[region.name].endpoint if region.name in caches else None,
                "service": services[region.name].endpoint if region.name in services else None,
                "vault": vaults.get(region.name),
                "alarms": channels.get(region.name),
            }
            for region in topology.regions_in_use
        },
        "members": {name: database.endpoint for name, database in databases.items()},
        # What operations take hold of: nothing here is ever an input.
        "levers": {
            "partitions": foundation.partition_ids,
            "writers": foundation.write_endpoints,
            "members": {name: database.member_id for name, database in databases.items()},
            "traffic": traffic.levers,
            "secrets": {name: secret.secret_ids for name, secret in secrets.items()},
        },
    }
