"""The second invariant over the whole stack: after any failover, and what operations move with it, all is the same."""

from functools import cache
from typing import Any

import pytest

from engine.recorder import Graph
from operations.recording import record
from tests.components.gcp.failover import CLOUD, INSTANCE, MAP, RECORD, moves
from tests.components.gcp.stacks import config

ON_MACHINES: dict[str, Any] = {
    "project": "example-production",
    "project_number": "123456789012",
    "zone": {"name": "example-com", "dns_name": "example.com"},
    "service": "instance-group",
}


@cache
def stack(phase: int, service: str) -> Graph:
    gcp: dict[str, Any] = {"gcp": ON_MACHINES} if service == "instance-group" else {}
    return record(config(phase=phase, **gcp), stack="production-gcp")


@pytest.mark.parametrize("service", ["cloud-run", "instance-group"])
@pytest.mark.parametrize("phase", [2, 3, 4, 5])
def test_up_has_nothing_to_do_after_a_failover(phase: int, service: str) -> None:
    graph = stack(phase, service)
    found = list(moves(graph))
    assert len(found) == {2: 2, 3: 2, 4: 3, 5: 6}[phase]
    for partition, region in found:
        states = CLOUD.after_failover(graph, partition, region)
        assert states  # something was moved
        assert CLOUD.verdicts(graph, states) == [], f"{partition} to {region}"


@pytest.mark.parametrize("entry", [(INSTANCE, "masterInstanceName"), (RECORD, "rrdatas"), (MAP, "defaultService")])
def test_what_operations_own_is_seen_where_it_is_not_ignored(entry: tuple[str, str]) -> None:
    graph = stack(3, "cloud-run")
    assert entry in {(each.type, path) for each in graph for path in each.ignore_changes}
    partition, region = next((partition, region) for partition, region in moves(graph) if region != "europe-west3")
    states = CLOUD.after_failover(graph, partition, region)
    assert CLOUD.verdicts(graph, states, off=frozenset({entry})) != []
