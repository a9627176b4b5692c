"""The example stacks of the clouds, with outputs as a deployment would leave them."""

from typing import Any

from operations.stack import Stack
from topology import to_summary


def stack(target: str, phase: str) -> Stack:
    return Stack.open(f"production-{target}", phase)


def outputs(of: Stack, ids: dict[str, str], levers: dict[str, Any], traffic: dict[str, str]) -> dict[str, Any]:
    """`ids` by member's name."""
    topology = of.topology
    return {
        "entry": f"https://{topology.entry.hostname}",
        "topology": to_summary(topology),
        "members": {name: f"{name}.members.meridian-production-gcp.internal:5432" for name in ids},
        "levers": {"members": ids, "traffic": traffic, "partitions": {}, "writers": {}, **levers},
    }


def regions(of: Stack, partition: str = "main") -> list[str]:
    return [of.topology.member(name).region for name in of.topology.partition(partition).members]
