"""What the example stacks do not choose: nodes for the cache, another entry, machines instead of Cloud Run."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from components.built import HIGHEST
from operations import pack, project
from operations.recording import record
from policies.rules.resource import Resource
from policies.rules.settings import Settings
from tests.policies.graphs import STACKS, changed, judged, names, refused
from topology import load, plan

GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("production-aws", {"aws": {"cache": {"mode": "nodes"}, "entry": "global-accelerator"}}),
    ("production-aws", {"aws": {"nat": "regional"}}),
    ("production-gcp", {"gcp": {"service": "instance-group"}}),
    # Half of them is no whole number, and stands in an alarm's query.
    ("production-gcp", {"objectives": {"rpo_seconds": 1}}),
)
BUILT = [(stack, changes) for stack, changes in VARIANTS if STACKS[stack] in HIGHEST]


def merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: merged(old.get(key), value) for key, value in new.items()}}
    return new


def variant(stack: str, phase: int, changes: dict[str, Any]) -> tuple[list[Resource], Settings]:
    document = yaml.safe_load((project.FOLDER / f"Pulumi.{stack}.yaml").read_text())["config"]
    own = {key.removeprefix("meridian:"): value for key, value in document.items()} | {"phase": str(phase)}
    own = merged(own, changes)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in own.items()}
    # A member on Google Cloud has an address to take apart only once it exists.
    found = [pack.resource(item) for item in record(own, stack=stack, dry_run="gcp" in changes)]
    return found, Settings.of(pack.configuration(plan(load(texts, stack))))


@pytest.mark.parametrize(("stack", "changes"), BUILT, ids=str)
@pytest.mark.parametrize("phase", [3, 5])
def test_other_choices_pass(stack: str, changes: dict[str, Any], phase: int) -> None:
    found, settings = variant(stack, phase, changes)
    assert refused(judged(found, settings)) == []


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("atRestEncryptionEnabled", False, "encryption-at-rest"),
        ("transitEncryptionEnabled", False, "encryption-in-transit"),
        ("transitEncryptionMode", "preferred", "encryption-in-transit"),
        ("kmsKeyId", None, "encryption-own-key"),
        ("region", "us-west-2", "residency-region"),
        ("securityGroupIds", ["meridian-eu-west-1-network-entry"], "exposure-open-group"),
    ],
)
def test_nodes_of_a_cache_are_held_to_the_same(argument: str, value: Any, rule: str) -> None:
    found, settings = variant(VARIANTS[0][0], 3, VARIANTS[0][1])
    assert rule in names(changed(found, GROUP, argument, value), settings)
