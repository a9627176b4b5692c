"""What every stack on AWS stands on, built alone: the foundation and each region's keys, secrets and network."""

from functools import cache
from typing import Any

import pulumi

from components.aws.foundation import Foundation
from components.aws.keys import Keys
from components.aws.network import Network
from components.aws.secrets import Secrets
from components.contracts import FoundationArgs, KeysArgs, NetworkArgs, SecretsArgs
from engine.recorder import Graph, Registered
from tests.components.aws.stacks import recorded, topology
from topology import Topology

ACCOUNT = "123456789012"
REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "ap-northeast-1", "sa-east-1")


def planned(phase: int, regions: tuple[str, ...] = REGIONS[:3], **aws: Any) -> Topology:
    """Regions keep their slots, whatever else is in the list and in whatever order."""
    return topology(
        phase=phase,
        home=REGIONS[0],
        regions=[{"name": name, "slot": REGIONS.index(name)} for name in regions],
        residency={},
        partitions=[{"name": "europe", "slot": 1, "origin": regions[-1], "serves": ["US"]}],
        aws={"account_id": ACCOUNT, "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"}, **aws},
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
def built(phase: int, regions: tuple[str, ...] = REGIONS[:3], **aws: str) -> Graph:
    return ground(planned(phase, regions, **aws))


def of_component(graph: Graph, component: str) -> list[Registered]:
    """The resources below the components of one class."""
    return [one for one in graph if one.custom and one.parent.split("::")[2].endswith(f"meridian:aws:{component}")]


def changed(before: Graph, after: Graph) -> list[str]:
    """What of a graph is gone from another or has other inputs there."""
    return [
        f"{was.type} {was.name}"
        for urn, was in before.resources.items()
        if urn not in after.resources or was != after.resources[urn]
    ]
