"""The first invariant on AWS: climbing only adds. Every pair of phases, with one, two, three and five regions."""

from functools import cache
from typing import Any

import pytest

from components.aws.replacement import STATEFUL, consequences
from engine.recorder import Graph
from operations.recording import record
from tests.components.aws.stacks import config
from tests.components.ladder import STEPS, Ladder, edited, without

REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "ap-northeast-1", "sa-east-1")
VARIANTS: dict[str, dict[str, Any]] = {
    "as in the example": {},
    "provisioned, with nodes, behind the accelerator": {
        "nat": "regional",
        "entry": "global-accelerator",
        "database": {"instance_class": "db.r6g.large"},
        "cache": {"mode": "nodes"},
    },
}
# A task definition that is replaced stays for a rollback (`skip_destroy`).
LADDER = Ladder(
    stateful=STATEFUL,
    consequences=consequences,
    is_revision=lambda now: now.type == "aws:ecs/taskDefinition:TaskDefinition" and now.inputs["skipDestroy"],
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
    settings = config(phase=phase)
    aws = {
        "account_id": "123456789012",
        "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"},
        **VARIANTS[variant],
    }
    listed = REGIONS[:regions]
    settings |= {
        "regions": [{"name": name, "slot": slot} for slot, name in enumerate(listed)],
        "residency": {},
        "partitions": [{"name": "americas", "slot": 1, "origin": listed[-1], "serves": ["US"]}],
        "aws": aws,
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
    cluster = before.of_type("aws:rds/cluster:Cluster")[0]
    faults = LADDER.faults(before, edited(before, cluster, kmsKeyId="another"))
    assert any("kmsKeyId" in fault for fault in faults)
    assert any("is gone" in fault for fault in LADDER.faults(before, without(before, cluster)))
