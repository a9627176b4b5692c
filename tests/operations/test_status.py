"""What `status` says of a local stack's regions: their keepers, the witnesses, and an entry that uses one last."""

import json
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.local.servers import certificates, keeper
from components.local.servers.keeper import KeeperSpec
from operations.commands import status
from operations.drivers import local
from operations.drivers.local import MemberView, RegionView
from operations.failover import drivers
from operations.failover.driver import LeaseFacts
from tests.components.local.servers.conftest import Stack as ServersStack
from tests.components.local.servers.conftest import stack_of_its_own
from topology import Summary, from_summary, load, plan, to_summary

REGIONS = ("eu-central", "us-east", "ap-northeast")


def remembered(phase: str, count: int = 3) -> dict[str, Any]:
    regions = json.dumps([{"name": name} for name in REGIONS[:count]])
    return to_summary(plan(load({"target": "local", "phase": phase, "regions": regions}, "dev")))


@dataclass(frozen=True)
class FakeStack:
    folder: Path
    topology: Summary
    name: str = "dev"
    target: str = "local"

    def command(self, *words: str) -> str:
        return " ".join(("./meridian", *words))


@dataclass(frozen=True)
class Engine:
    found: dict[str, Any]

    def outputs(self) -> dict[str, Any]:
        return self.found


def view(name: str, entry: str) -> RegionView:
    member = MemberView(name=f"main-{name}", partition="main", role="writer", lag_bytes=0, lag_ms=0.0)
    return RegionView(
        name=name,
        serving="full",
        ready=True,
        gateway="up",
        cache="up",
        service="up",
        members=(member,),
        entry=entry,
    )


def run(monkeypatch: pytest.MonkeyPatch, folder: Path, phase: str, up: set[str], *, as_json: bool) -> None:
    outputs = {"topology": remembered(phase), "ground": "127.0.0.1:30600", "entry": "http://127.0.0.1:1"}
    summary = from_summary(outputs["topology"])
    stack = FakeStack(folder, summary)
    monkeypatch.setattr(status.Stack, "open", lambda _: stack)
    monkeypatch.setattr(status, "holding", lambda _: Engine(outputs))
    monkeypatch.setattr(status, "leases", lambda *_: {})
    seen = [view(region.name, "degraded") for region in summary.regions if region.in_use]
    monkeypatch.setattr(local, "look", lambda *_: seen)
    answers = {name: object() if name in up else None for name in REGIONS}
    monkeypatch.setattr(keeper, "views", lambda keepers, **_: {name: answers[name] for name in keepers.slots})
    monkeypatch.setenv("COLUMNS", "200")
    assert status.run(Namespace(stack="dev", json=as_json)) == 0


def test_a_document_names_each_keeper_and_the_entrys_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, tmp_path, "active-passive", {"eu-central", "ap-northeast"}, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [(region["name"], region["keeper"], region["entry"]) for region in found["regions"]] == [
        ("eu-central", "up", "degraded"),
        ("us-east", "down", "degraded"),
    ]
    assert found["witnesses"] == [{"name": "ap-northeast", "keeper": "up"}]


def test_a_table_shows_keepers_and_witnesses_and_how_to_start_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, tmp_path, "active-passive", {"eu-central", "us-east"}, as_json=False)
    told = capsys.readouterr()
    heading, home, second, witness = [line.split() for line in told.out.splitlines() if "  " in line]
    column = heading.index("keeper")
    assert [row[column] for row in (home, second, witness)] == ["up", "up", "down"]
    assert witness[:2] == ["ap-northeast", "witness"]
    assert [row[heading.index("entry")] for row in (home, second, witness)] == ["degraded", "degraded", "-"]
    assert "`./meridian up` starts what should run" in told.err


def test_a_phase_without_a_lease_has_no_keepers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, tmp_path, "async-replica", set(), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert {region["keeper"] for region in found["regions"]} == {"absent"}
    assert found["witnesses"] == []
    run(monkeypatch, tmp_path, "async-replica", set(), as_json=False)
    assert "starts what should run" not in capsys.readouterr().err


def test_who_is_asked_for_a_lease_is_what_runs_and_not_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lease = LeaseFacts(holder="eu-central", term=1, left_seconds=2.0, quorum_reachable=True)
    driver = SimpleNamespace(observe=lambda: SimpleNamespace(lease=lease))
    monkeypatch.setattr(drivers, "open_driver", lambda *_: driver)
    before, after = (from_summary(remembered(phase)) for phase in ("async-replica", "active-passive"))
    climbing: Any = FakeStack(tmp_path, after)
    descending: Any = FakeStack(tmp_path, before)
    assert status.leases(climbing, {}, before) == {}
    assert status.leases(descending, {}, after)["main"]["holder"] == "eu-central"


def test_what_is_neither_good_nor_bad_is_seen_as_such() -> None:
    assert [status.style(word) for word in ("healthy", "degraded", "unhealthy", "eu")] == ["green", "yellow", "red", ""]


@pytest.mark.servers
def test_a_keeper_is_up_when_it_answers_itself() -> None:
    with stack_of_its_own() as stack:
        summary = from_summary(remembered("active-passive"))
        start(stack, "ap-northeast", 2)
        assert local.keepers_of(stack.folder, stack.addresses.block, summary) == {
            "eu-central": "down",
            "us-east": "down",
            "ap-northeast": "up",
        }
        keeper.stop(stack.folder, "ap-northeast")
        assert local.keepers_of(stack.folder, stack.addresses.block, summary)["ap-northeast"] == "down"


def start(stack: ServersStack, region: str, slot: int) -> None:
    certificates.ensure_authority(stack.folder)
    for name in REGIONS:  # as `up` makes them before any keeper
        certificates.ensure_region_certificate(stack.folder, name)
    keeper.ensure_started(
        KeeperSpec(
            stack_folder=stack.folder,
            region=region,
            slot=slot,
            addresses=stack.addresses,
            voters={name: number for number, name in enumerate(REGIONS)},
            partitions=("main",),
        )
    )
