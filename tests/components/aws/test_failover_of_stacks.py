"""The second invariant over the whole stack: after any failover, and what operations move with it, all is the same."""

from functools import cache
from typing import Any

import pytest

from engine.recorder import Graph
from operations.recording import record
from tests.components.aws.failover import after_failover, moves, verdicts
from tests.components.aws.stacks import config

ACCELERATOR: dict[str, Any] = {
    "account_id": "123456789012",
    "zone": {"id": "Z0123456789ABCDEFGHIJ", "name": "example.com"},
    "entry": "global-accelerator",
    "cache": {"mode": "nodes"},
}


@cache
def stack(phase: int, entry: str) -> Graph:
    aws: dict[str, Any] = {"aws": ACCELERATOR} if entry == "global-accelerator" else {}
    return record(config(phase=phase, **aws), stack="production-aws")


@pytest.mark.parametrize("entry", ["route53", "global-accelerator"])
@pytest.mark.parametrize("phase", [3, 4, 5])
def test_up_has_nothing_to_do_after_a_failover(phase: int, entry: str) -> None:
    graph = stack(phase, entry)
    found = list(moves(graph))
    assert len(found) == {3: 2, 4: 3, 5: 6}[phase]
    for partition, region in found:
        states = after_failover(graph, partition, region)
        assert states  # something was moved
        assert verdicts(graph, states) == [], f"{partition} to {region}"


LISTENER_RULE = "aws:lb/listenerRule:ListenerRule"
ENDPOINT_GROUP = "aws:globalaccelerator/endpointGroup:EndpointGroup"


@pytest.mark.parametrize(
    ("entry", "entries"),
    [
        ("route53", {(LISTENER_RULE, "actions")}),
        ("global-accelerator", {(ENDPOINT_GROUP, "endpointConfigurations")}),
    ],
)
def test_what_operations_own_is_seen_where_it_is_not_ignored(entry: str, entries: set[tuple[str, str]]) -> None:
    graph = stack(3, entry)
    ignored = {(each.type, path) for each in graph for path in each.ignore_changes}
    assert entries <= ignored
    partition, region = next(iter(moves(graph)))
    states = after_failover(graph, partition, region)
    assert verdicts(graph, states, off=frozenset(entries)) != []
