"""The driver of a stack's target, and what the plan says of a partition."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from operations.errors import Refused
from operations.failover.decision import Ground
from operations.failover.driver import Driver
from operations.stack import Stack
from topology.residency import Residency, rules_text
from topology.summary import Summary


def open_driver(stack: Stack, outputs: Mapping[str, Any], partition: str, vantage: str | None) -> Driver:
    module = f"operations.drivers.{stack.target}_failover"
    if find_spec(module) is None:
        raise Refused(
            f"target: the writer of a stack on {stack.target} is not moved by this command yet. The service's own "
            "console and API do it; docs/clouds.md says what that changes for the stack."
        )
    return import_module(module).open_driver(stack, outputs, partition, vantage)


def members(running: Summary, partition: str) -> tuple[str, ...]:
    """The regions that have a member of it, in the plan's order."""
    known = running.partition(partition)
    if known is None:
        names = ", ".join(partition.name for partition in running.partitions)
        raise Refused(f"partition: {partition!r} is none of this stack's. Allowed: {names}.")
    return tuple(region.name for region in running.regions if set(region.members) & set(known.members))


def ground(stack: Stack, running: Summary, partition: str) -> Ground:
    """What runs says who there is, the settings say what is allowed: residency may have been narrowed since."""
    regions = members(running, partition)
    planned = {region.name: region for region in stack.topology.regions}
    rules = next((item for item in stack.topology.partitions if item.name == partition), None)
    residency = Residency(
        primary=rules.primary_jurisdictions if rules else None, copies=rules.copy_jurisdictions if rules else None
    )
    known = running.partition(partition)
    return Ground(
        partition=partition,
        origin=known.origin if known else regions[0],
        regions=regions,
        legal=frozenset(name for name in regions if name in planned and residency.allows_writer(planned[name].facts)),
        rules=f"residency allows {rules_text(residency)}" if rules else "the settings no longer have this partition",
        home_only=running.policy == "home",
        rpo_seconds=stack.topology.objectives.rpo_seconds,
    )
