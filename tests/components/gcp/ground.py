"""What every stack on Google Cloud stands on, built alone: the foundation, and each region's keys, secrets, network."""

from functools import cache
from typing import Any

import pulumi

from components.contracts import FoundationArgs, KeysArgs, NetworkArgs, SecretsArgs
from components.gcp.foundation import Foundation
from components.gcp.keys import Keys
from components.gcp.network import Network
from components.gcp.secrets import Secrets
from engine.recorder import Graph, Registered
from tests.components.gcp.stacks import recorded, topology
from topology import Topology

PROJECT, NUMBER = "example-production", "123456789012"
REGIONS = ("europe-west3", "europe-west1", "us-east4", "asia-northeast1", "southamerica-east1")


def planned(phase: int, regions: tuple[str, ...] = REGIONS[:3], **gcp: Any) -> Topology:
    """Regions keep their slots, whatever else is in the list and in whatever order."""
    return topology(
        phase=phase,
        home=REGIONS[0],
        regions=[{"name": name, "slot": REGIONS.index(name)} for name in regions],
        residency={},
        partitions=[{"name": "americas", "slot": 1, "origin": regions[-1], "serves": ["US"]}],
        gcp={
            "project": PROJECT,
            "project_number": NUMBER,
            "zone": {"name": "example-com", "dns_name": "example.com"},
            **gcp,
        },
    )


def ground(of: Topology) -> Graph:
    def program() -> None:
        foundation = Foundation(f"{of.app}-foundation", FoundationArgs(topology=of))
        opts = pulumi.ResourceOptions(provider=foundation.provider)
        networks: dict[str, Any] = {}
        for region in sorted(of.regions_in_use, key=lambda region: region.slot):
            name = f"{of.app}-{region.name}"
            keys = Keys(f"{name}-keys", KeysArgs(topology=of, region=region, ground=foundation.ground), opts)
            Secrets(
                f"{name}-secrets",
                SecretsArgs(
                    topology=of,
                    region=region,
                    ground=foundation.ground,
                    key_ids=keys.key_ids,
                    credentials=foundation.credentials,
                    directory_key=foundation.directory_key,
                ),
                opts,
            )
            networks[region.name] = Network(
                f"{name}-network",
                NetworkArgs(
                    topology=of,
                    region=region,
                    links=[link for link in of.links if link.source == region.name],
                    ground=foundation.ground,
                    transit=foundation.transit,
                    key_ids=keys.key_ids,
                    peers=dict(networks),
                ),
                opts,
            )

    return recorded(program)


@cache
def built(phase: int, regions: tuple[str, ...] = REGIONS[:3], **gcp: str) -> Graph:
    return ground(planned(phase, regions, **gcp))


def of_component(graph: Graph, component: str) -> list[Registered]:
    """The resources below the components of one class."""
    return [one for one in graph if one.custom and one.parent.split("::")[2].endswith(f"meridian:gcp:{component}")]


def changed(before: Graph, after: Graph) -> list[str]:
    """What of a graph is gone from another or has other inputs there."""
    return [
        f"{was.type} {was.name}"
        for urn, was in before.resources.items()
        if urn not in after.resources or was != after.resources[urn]
    ]
