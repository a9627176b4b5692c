"""The first invariant on Google Cloud: climbing only adds. Every pair of phases, with one to five regions."""

from functools import cache
from typing import Any

import pytest

from components.gcp.replacement import STATEFUL, consequences
from engine.recorder import Graph
from operations.recording import record
from tests.components.gcp.stacks import config
from tests.components.ladder import STEPS, Ladder, edited, without

REGIONS = ("europe-west3", "europe-west1", "us-east4", "asia-northeast1", "southamerica-east1")
VARIANTS: dict[str, dict[str, Any]] = {"as in the example": {}, "on machines": {"service": "instance-group"}}
# A template that is replaced has no name of its own: its successor is made before it goes.
LADDER = Ladder(
    stateful=STATEFUL,
    consequences=consequences,
    is_revision=lambda now: now.type.endswith(":RegionInstanceTemplate") and "namePrefix" in now.inputs,
)
# The other variant with three regions only: what differs in it does not hang on their number.
PAIRS = [
    (variant, regions, low, high)
    for variant, counts in zip(VARIANTS, ((2, 3, 5), (3,)), strict=True)
    for regions in counts
    for low, high in STEPS
]


@cache
def graph(regions: int, phase: int, variant: str) -> Graph:
    listed = REGIONS[:regions]
    settings: dict[str, Any] = {
        **config(phase=phase),
        "regions": [{"name": name, "slot": slot} for slot, name in enumerate(listed)],
        "residency": {},
        "partitions": [{"name": "americas", "slot": 1, "origin": listed[-1], "serves": ["US"]}],
        "gcp": {
            "project": "example-production",
            "project_number": "123456789012",
            "zone": {"name": "example-com", "dns_name": "example.com"},
            **VARIANTS[variant],
        },
    }
    return record(settings, stack="ladder")


@pytest.mark.parametrize(("variant", "regions", "low", "high"), PAIRS)
def test_a_step_up_replaces_and_loses_nothing(variant: str, regions: int, low: int, high: int) -> None:
    assert LADDER.faults(graph(regions, low, variant), graph(regions, high, variant)) == []


def test_one_region_is_the_beginning_of_two() -> None:
    """A region added to the list changes nothing of what is there."""
    name = "as in the example"
    assert LADDER.faults(graph(1, 1, name), graph(2, 1, name)) == []
    assert LADDER.faults(graph(3, 4, name), graph(5, 4, name)) == []


def test_the_check_itself_can_fail() -> None:
    before = graph(2, 1, "as in the example")
    instance = before.of_type("gcp:sql/databaseInstance:DatabaseInstance")[0]
    faults = LADDER.faults(before, edited(before, instance, encryptionKeyName="another"))
    assert any("encryptionKeyName" in fault for fault in faults)
    assert any("is gone" in fault for fault in LADDER.faults(before, without(before, instance)))
