"""The main promise: raising the phase evolves a running system while clients use it."""

import json
from collections import Counter

import httpx
import pytest

from tests.local.clone import Clone
from tests.local.database import checksums, connect, identity, settle
from tests.local.load import Load

REGIONS = ("eu-central", "us-east", "ap-northeast")
PHASES = ("async-replica", "active-passive", "multi-region-reads")

pytestmark = [pytest.mark.servers, pytest.mark.timeout(420)]


def test_the_ladder_under_load(clone: Clone) -> None:
    clone.must("up")
    first = clone.status()
    assert first["phase"] == "single-region"
    origin = identity(clone, "eu-central", "main-eu-central")
    entry_process = (clone.stack / "entry" / "server.json").read_text()

    kept = {"main-eu-central": origin}
    with Load(first["entry"], REGIONS) as load:
        for phase in PHASES:
            clone.must("up", "--phase", phase)
            status = clone.status()
            assert status["phase"] == phase
            assert status["entry"] == first["entry"]
            for region in status["regions"]:
                for member in region["members"]:
                    now = identity(clone, region["name"], member["name"])
                    assert kept.setdefault(member["name"], now) == now, f"{member['name']} was restarted or re-created"
    assert (clone.stack / "entry" / "server.json").read_text() == entry_process

    assert len(load.latencies) > 500
    assert not load.failed, load.failed[:5]
    # Every acknowledged order is there once, and nothing is there twice: one row for each key that was answered.
    with connect(clone, 0) as connection:
        rows = connection.execute("select id::text, customer, sequence from orders").fetchall()
    stored = {row[0] for row in rows}
    assert set(load.acknowledged) <= stored
    assert len(load.keys) == len(load.latencies)
    assert len(stored) == len(rows) == len(set(load.keys.values()))
    by_customer = Counter((customer, sequence) for _, customer, sequence in rows)
    assert max(by_customer.values()) == 1

    settle(clone)
    origin_sums = checksums(clone, 0)
    assert origin_sums
    for slot in (1, 2):
        assert checksums(clone, slot) == origin_sums

    status = clone.status()
    served = {region["name"]: region for region in status["regions"]}
    assert [region["serving"] for region in status["regions"]] == ["full", "reads", "reads"]
    assert all(region["ready"] and region["gateway"] == region["cache"] == "up" for region in served.values())
    roles = Counter(member["role"] for region in status["regions"] for member in region["members"])
    assert roles == {"writer": 1, "replica": 2}


def test_a_second_up_changes_nothing_and_the_settings_keep_the_phase(clone: Clone) -> None:
    clone.must("up", "--phase", "2")
    state = (clone.stack / "state.json").read_bytes()
    preview = clone.must("preview", "--json").document
    assert {step["op"] for step in preview["resources"]} == {"same"}
    clone.must("up")
    assert clone.status()["phase"] == "async-replica"
    assert "phase: async-replica" in (clone.folder / "Pulumi.dev.yaml").read_text()
    assert json.loads((clone.stack / "state.json").read_bytes()) == json.loads(state)


def test_two_clones_run_side_by_side(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Clone.make(tmp_path_factory.mktemp("other"), **clone.environment)  # the same register of address blocks
    try:
        clone.must("up")
        other.must("up")
        entries = [clone.status()["entry"], other.status()["entry"]]
        assert entries[0] != entries[1]
        for entry in entries:
            assert httpx.get(f"{entry}/healthz/ready").status_code == 200
    finally:
        other.end()
