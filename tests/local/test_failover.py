"""Moving the writer of a running stack, with asynchronous replication: in order, by force, interrupted, and cut off."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.local.clone import Clone
from tests.local.load import Load
from tests.local.moving import (
    RATE,
    REGIONS,
    ids,
    isolated,
    kill_at,
    kill_region,
    last_record,
    one_writer,
    roles,
    stack,
    stateful_unchanged,
    unchanged,
    wait_until,
)

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """Three regions that serve reads, written in eu-central. Every test leaves it so."""
    made = stack(tmp_path_factory.mktemp("moved"), "multi-region-reads", "async")
    yield made
    made.end()


def loaded(clone: Clone) -> Load:
    return Load(clone.status()["entry"], REGIONS, RATE)


def test_there_and_back_in_order_loses_nothing(moved: Clone) -> None:
    with loaded(moved) as load:
        time.sleep(1)
        moved.must("switchover", "--to", "us-east", "--yes")
        time.sleep(1)
        moved.must("switchover", "--to", "eu-central", "--yes")
        time.sleep(1)
    assert not load.failed
    assert len(load.acknowledged) == len(load.keys) == len(load.latencies)
    assert set(load.acknowledged) <= ids(moved, 0)
    one_writer(moved, "eu-central")
    unchanged(moved)


def test_a_region_that_is_lost_is_replaced_and_comes_back(moved: Clone) -> None:
    with loaded(moved) as load:
        time.sleep(1)
        kill_region(moved, "eu-central")
        time.sleep(1.2)
        moved.must("failover", "--to", "us-east", "--yes", "--max-loss", "30s")
        acknowledged = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) > acknowledged, "a write after the failover")
        assert roles(moved) == {"eu-central": None, "us-east": "writer", "ap-northeast": "replica"}
        announced = last_record(moved)["state"]["loss"]["seconds"]
        assert announced is not None
        assert announced <= 30

        # `up` starts the region, and leaves the old writer's member alone: it would be a second one.
        stateful_unchanged(moved)
        done = moved.must("up", "--yes")
        assert "main-eu-central stays down" in done.stderr
        assert roles(moved) == {"eu-central": None, "us-east": "writer", "ap-northeast": "replica"}
        moved.must("failback", "--yes")
        time.sleep(1)
    one_writer(moved, "eu-central")
    unchanged(moved)
    tails = moved.must("reconcile", "list", "--json").document["tails"]
    kept = {order["id"] for tail in tails for order in tail["orders"]}
    assert set(load.acknowledged) <= ids(moved, 0) | kept


@pytest.mark.deep
@pytest.mark.parametrize("step", ["stop_writer", "promote", "rejoin"])
def test_an_operation_that_is_killed_is_carried_on_with(moved: Clone, step: str) -> None:
    target = "us-east" if roles(moved)["eu-central"] == "writer" else "eu-central"
    if kill_at(moved, step, "switchover", "--to", target, "--yes"):
        refused = moved.run("switchover", "--to", target, "--yes")
        assert refused.status == 2
        assert "--resume" in refused.stderr
        assert moved.run("up", "--yes").status == 2
        moved.must("switchover", "--resume", "--yes")
    one_writer(moved, target)
    moved.run("switchover", "--to", "eu-central", "--yes")
    one_writer(moved, "eu-central")


@pytest.mark.deep
def test_a_writer_that_is_cut_off_acknowledges_nothing_beside_the_new_one(moved: Clone) -> None:
    with loaded(moved) as load:
        time.sleep(1)
        with isolated(moved, "eu-central"):
            time.sleep(1.5)  # it goes on acknowledging what nobody else receives, until its lease ends
            moved.must("failover", "--to", "us-east", "--from", "us-east", "--yes", "--max-loss", "60s")
            record = last_record(moved)
            count = len(load.acknowledged)
            wait_until(lambda: len(load.acknowledged) > count + 5, "writes on the other side")
            # The old one still says that it is the writer: it was not touched, and its lease is what silences it.
            assert roles(moved)["eu-central"] == "writer"
        assert "(rewound)" in moved.must("failback", "--yes").stderr
        time.sleep(1)
    one_writer(moved, "eu-central")
    unchanged(moved)

    promoted = next(event["at"] for event in record["events"] if event.get("step", "").startswith("promote"))
    tail = moved.must("reconcile", "list", "--json").document["tails"][-1]
    assert tail["orders"], "the old writer had taken nothing, so this test showed nothing"
    with_time = [order["created_at"] for order in tail["orders"]]
    assert max(map(_seconds, with_time)) < promoted
    kept = {order["id"] for order in tail["orders"]}
    assert set(load.acknowledged) <= ids(moved, 0) | kept
    assert not kept & ids(moved, 0)

    # What nobody sent again is placed with the keys that it had, once, however often it is asked for.
    still = [order for order in tail["orders"] if order["open"]]
    for _ in range(2):
        moved.must("reconcile", "replay", "--yes")
    after = moved.must("reconcile", "list", "--json").document["tails"][-1]
    assert not [order for order in after["orders"] if order["open"]]
    lines = moved.must("reconcile", "export").stdout.splitlines()
    assert len(lines) >= len(tail["orders"])
    assert len(ids(moved, 0)) >= len(set(load.acknowledged) - kept) + len(still)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.deep
def test_nobody_is_moved_where_the_operator_is_the_one_who_is_cut_off(moved: Clone) -> None:
    with isolated(moved, "us-east"):
        time.sleep(1.5)
        refused = moved.run("failover", "--to", "us-east", "--from", "us-east", "--yes", "--max-loss", "any")
        assert refused.status == 2, refused.stderr
    assert roles(moved) == {"eu-central": "writer", "us-east": "replica", "ap-northeast": "replica"}
    one_writer(moved, "eu-central")


@pytest.mark.deep
def test_data_that_cannot_be_rewound_are_copied_anew(moved: Clone) -> None:
    moved.must("switchover", "--to", "us-east", "--yes")
    member: Path = moved.stack / "regions" / "eu-central" / "members" / "main-eu-central"
    kill_region(moved, "eu-central")
    (member / "rewinding.json").write_text("{}")  # what a rewind leaves that was killed
    moved.must("up", "--yes")
    outcome = moved.must("failback", "--yes")
    assert "rebuilt" in outcome.stderr
    one_writer(moved, "eu-central")
