"""Composes a target's components into the stack that a topology describes, whichever target it is."""

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

import pulumi

from components.built import require_built
from components.contracts import (
    CacheArgs,
    DatabaseArgs,
    FoundationArgs,
    KeysArgs,
    NetworkArgs,
    ReplicationArgs,
    ServiceArgs,
    TrafficArgs,
)
from topology import Topology, to_summary


def component(target: str, name: str) -> Any:
    """A component's class: `Network` of the target `local` stands in `components/local/network.py`."""
    return getattr(import_module(f"components.{target}.{name.lower()}"), name)


def deploy(topology: Topology) -> Mapping[str, pulumi.Input[Any]]:
    """Register every resource of the topology and return the stack's outputs.

    The target's modules are imported here and nowhere else, so that a stack pays only for the cloud that it uses.
    The same classes exist for every target; what they create differs. Raises `SettingsError` for a target or a
    phase whose components do not exist.
    """
    require_built(topology)
    build = partial(component, topology.target)
    app = topology.app

    foundation = build("Foundation")(f"{app}-foundation", FoundationArgs(topology=topology))
    ground, transit, credentials = foundation.ground, foundation.transit, foundation.credentials

    keys: dict[str, Any] = {}
    networks: dict[str, Any] = {}
    used = {region.name for region in topology.regions_in_use}
    for region in topology.regions_in_use:
        keys[region.name] = build("Keys")(
            f"{app}-{region.name}-keys", KeysArgs(topology=topology, region=region, ground=ground)
        )
        networks[region.name] = build("Network")(
            f"{app}-{region.name}-network",
            NetworkArgs(
                topology=topology,
                region=region,
                links=[link for link in topology.links if link.source == region.name and link.target in used],
                ground=ground,
                transit=transit,
                key_ids=keys[region.name].key_ids,
            ),
        )

    databases: dict[str, Any] = {}
    for member in topology.members:  # origins come first, so a copy's source exists already
        origin = topology.partition(member.partition).members[0]
        databases[member.name] = build("Database")(
            member.name,
            DatabaseArgs(
                topology=topology,
                member=member,
                ground=ground,
                network_id=networks[member.region].network_id,
                key_ids=keys[member.region].key_ids,
                credentials=credentials,
                source=None if member.is_origin else databases[origin].member_id,
            ),
        )
    for partition in topology.partitions:
        if partition.members:
            build("Replication")(
                f"{app}-{partition.name}-replication",
                ReplicationArgs(
                    topology=topology,
                    partition=partition,
                    ground=ground,
                    member_ids={name: databases[name].member_id for name in partition.members},
                ),
            )

    caches: dict[str, Any] = {}
    services: dict[str, Any] = {}
    for region in topology.regions_in_use:
        network_id = networks[region.name].network_id
        if region.has_cache:
            caches[region.name] = build("Cache")(
                f"{app}-{region.name}-cache",
                CacheArgs(
                    topology=topology,
                    region=region,
                    ground=ground,
                    network_id=network_id,
                    key_ids=keys[region.name].key_ids,
                    credentials=credentials,
                ),
            )
        if region.has_service:
            cache = caches.get(region.name)
            services[region.name] = build("Service")(
                f"{app}-{region.name}-service",
                ServiceArgs(
                    topology=topology,
                    region=region,
                    ground=ground,
                    network_id=network_id,
                    member_ids={topology.member(name).partition: databases[name].member_id for name in region.members},
                    cache_id=cache.cache_id if cache else None,
                    credentials=credentials,
                ),
            )

    traffic = build("Traffic")(
        topology.entry.name,
        TrafficArgs(
            topology=topology,
            ground=ground,
            transit=transit,
            network_ids={name: network.network_id for name, network in networks.items()},
            service_ids={name: service.service_id for name, service in services.items()},
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
            }
            for region in topology.regions_in_use
        },
        "members": {name: database.endpoint for name, database in databases.items()},
    }
