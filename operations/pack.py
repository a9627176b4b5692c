"""The policy pack as this command uses it: its configuration from a plan, and its rules on what an engine knows."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operations import project
from operations.changes import counted
from operations.console import say

if TYPE_CHECKING:
    from topology import Topology

FOLDER = Path("policies")  # below the project

# What a stack is called whose data may be of every class. Any other is a lower environment.
PRODUCTION = ("production", "prod", "live")
# Not `confidential`, which is what settings say that say nothing.
PRODUCTION_CLASSES = ("restricted",)
TAGS = ("app", "environment", "owner", "cost-center", "data-class")

Config = dict[str, Any]


def configuration(topology: "Topology") -> Config:
    """What the rules cannot read off a resource, in the shape of policies/rules/settings.py."""
    from topology.residency import Residency

    ownership, retention = topology.ownership, topology.retention
    copies = {backup.region: backup.copy_to or "" for backup in topology.backups}
    held = {name: (member.partition, member.region) for name, member in ((m.name, m) for m in topology.members)}
    rules = {
        partition.name: Residency(primary=partition.primary_jurisdictions, copies=partition.copy_jurisdictions)
        for partition in topology.partitions
    }
    found: Config = {
        "target": topology.target,
        "environment": topology.environment,
        "production": any(word in topology.environment.lower().split("-") for word in PRODUCTION),
        "phase": int(topology.phase),
        "home": topology.home,
        "production_classes": list(PRODUCTION_CLASSES),
        "required_tags": list(TAGS) if ownership else [],
        "regions": {
            region.name: {
                "serving": str(region.serving),
                "members": list(region.members),
                "has_cache": region.has_cache,
                "in_use": region.in_use,
                "zones": [zone.name for zone in region.zones],
                "backup_copy": copies.get(region.name, ""),
            }
            for region in topology.regions
        },
        "partitions": {
            partition.name: {
                "origin": partition.origin,
                "members": [held[name][1] for name in partition.members],
                "primary": [r.name for r in topology.regions if rules[partition.name].allows_writer(r.facts)],
                "copies": [r.name for r in topology.regions if rules[partition.name].allows_copy(r.facts)],
            }
            for partition in topology.partitions
        },
        "objectives": _objectives(topology),
    }
    if topology.aws:
        found["account"] = topology.aws.account_id
    if topology.gcp:
        found["account"] = topology.gcp.project
    if ownership:
        found["data_class"] = ownership.data_class
        found["allowed_regions"] = {
            ownership.data_class: [
                region.name
                for region in topology.regions
                if any(rule.allows_copy(region.facts) for rule in rules.values())
            ]
        }
    if retention:
        found |= {
            "point_in_time_days": retention.point_in_time_days,
            "backup_days": retention.backup_days,
            "log_days": retention.log_days,
        }
    return found


def _objectives(topology: "Topology") -> Config:
    """What is asked, and what the phase reaches where topology/recovery.csv has a figure for it."""
    from topology import recovery

    asked = topology.objectives
    found: Config = {
        name: {"asked": value}
        for name in ("rto_seconds", "rpo_seconds", "availability_percent", "read_p99_ms", "write_p99_ms")
        if (value := getattr(asked, name)) is not None
    }
    for one in recovery.held(topology):
        objective = found.get(f"{one.name.lower()}_seconds")
        if objective is not None and one.reached.seconds is not None:
            objective["reachable"] = one.reached.seconds
    return found


def document(topology: "Topology") -> Config:
    """The file that `--policy-pack-config` takes: the configuration once for every rule, by its name."""
    from policies.rules import RULES

    config = configuration(topology)
    return {rule.name: config for rule in RULES}


@contextmanager
def options(topology: "Topology") -> Iterator[list[str]]:
    """What makes the Pulumi CLI apply the pack."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policies.json"
        path.write_text(json.dumps(document(topology)), encoding="utf-8")
        yield ["--policy-pack", str(project.FOLDER / FOLDER), "--policy-pack-config", str(path)]


def planned(plan: Any) -> list[Any]:
    """What a program registered with the embedded engine."""
    from engine.options import goal

    return [
        resource(goal(request, urn, None, (False, False)))
        for urn, request in plan.requests.items()
        if counted(request.type)
    ]


def previewed(text: str) -> list[Any]:
    """What stands in the document of `pulumi preview --json --show-sames`."""
    from policies.rules.resource import Resource

    # A replacement is several steps of one resource.
    states = {
        state["urn"]: state
        for step in json.loads(text[text.index("{") :]).get("steps") or ()
        if (state := step.get("newState")) and not state.get("delete") and counted(state["type"])
    }
    return [
        Resource(
            urn=urn,
            type=state["type"],
            name=urn.rsplit("::", 1)[1],
            props=known(state.get("inputs") or {}),
            protect=bool(state.get("protect")),
            ignore_changes=tuple(state.get("ignoreChanges") or ()),
            parent=state.get("parent") or "",
        )
        for urn, state in states.items()
    ]


def resource(item: Any) -> Any:
    """A resource of the embedded engine, or of a recording, as the rules see it."""
    from policies.rules.resource import Resource

    return Resource(
        urn=item.urn,
        type=item.type,
        name=item.name,
        props=known(item.inputs),
        protect=item.protect,
        ignore_changes=tuple(item.ignore_changes),
        parent=item.parent or "",
    )


def known(value: Any) -> Any:
    """An engine's values as the rules' own: what is not known yet is marked so, secrets are opened."""
    from engine import values
    from policies.rules.resource import UNKNOWN

    if value is values.UNKNOWN or value == values.UNKNOWN_TEXT:
        return UNKNOWN
    if isinstance(value, values.Secret):
        return known(value.value)
    if isinstance(value, Mapping):
        return {key: known(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [known(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def problems(resources: Sequence[Any], topology: "Topology") -> tuple[str, ...]:
    """Why the pack refuses these resources. What it only advises against is said and not returned."""
    from policies.rules import RULES
    from policies.rules.rule import violations
    from policies.rules.settings import Settings

    found = violations(RULES, resources, Settings.of(configuration(topology)))
    for each in found:
        if each.rule.level == "advisory":
            say(f"advice ({each.rule.name}): {each.message}")
    return tuple(f"policy {each.rule.name}: {each.message}" for each in found if each.rule.level == "mandatory")
