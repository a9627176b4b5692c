"""Which customer's order proves a partition, whatever was moved, and that it proves that partition and no other."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from components.local.servers import partition_map
from components.local.servers.addresses import Addresses
from operations.drivers import local_customer
from operations.drivers.local_ground import Ground
from operations.drivers.trial import Trial, partition_of
from operations.errors import Fault
from operations.failover.driver import Observation
from service.positions import WritePosition
from tests.topology.plans import topology
from topology.homes import born
from topology.summary import summarise

REGIONS = ("eu-central", "us-east", "ap-northeast")


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    summary = summarise(topology(5))
    origins = {each.name: each.origin for each in summary.partitions}
    for region in REGIONS:
        partition_map.ensure(tmp_path, region, origins, {each.name: born(each.slot) for each in summary.partitions})
    return Ground(
        folder=tmp_path,
        addresses=Addresses("127.0.0.1:30600"),
        summary=summary,
        partition=summary.partitions[0],
        vantage=None,
        programs=None,
    )


@pytest.fixture
def put_down(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def note(_: Ground, homes: list[str]) -> None:
        found[:] = homes

    monkeypatch.setattr(local_customer, "put_down", note)
    return found


def owners(ground: Ground, homes: list[str]) -> list[str]:
    ranges = partition_map.ranges(partition_map.newest(ground.folder) or {})
    return [local_customer.owner(ranges, home) for home in homes]


def test_each_partition_has_a_customer_at_home_in_it(ground: Ground, put_down: list[str]) -> None:
    names = [each.name for each in ground.summary.partitions]
    assert local_customer.prepare(ground) is None
    assert owners(ground, put_down) == names
    before = list(put_down)
    # Who comes in changes nothing of it.
    partition_map.give(ground.folder, REGIONS, "00/us-east/", "00/us-east0", "americas")
    local_customer.prepare(ground)
    assert put_down == before
    # And who goes takes that customer along, so it is another.
    partition_map.give(ground.folder, REGIONS, *_around(before[1]), "main")
    local_customer.prepare(ground)
    assert owners(ground, put_down) == names
    assert put_down[1] != before[1]
    assert put_down[0] == before[0]


def _around(home: str) -> tuple[str, str]:
    return home.rpartition("/")[0] + "/", home.rpartition("/")[0] + "0"


def test_a_partition_without_homes_has_none(ground: Ground, put_down: list[str]) -> None:
    partition_map.give(ground.folder, REGIONS, *born(1), "main")
    local_customer.prepare(ground)
    assert len(put_down) == len(ground.summary.partitions) - 1
    assert "americas" not in owners(ground, put_down)


def test_that_main_is_away_is_told_and_no_more(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise Fault("eu-central cannot be reached")

    monkeypatch.setattr(local_customer, "put_down", away)
    assert local_customer.prepare(ground) == "eu-central cannot be reached"


class Reply(io.BytesIO):
    def __init__(self, document: Any, headers: dict[str, str]) -> None:
        super().__init__(json.dumps(document).encode())
        self.headers = headers


@pytest.mark.parametrize(("wrote", "proven"), [("americas", True), ("main", False)])
def test_an_order_that_another_partition_wrote_proves_nothing(wrote: str, proven: bool) -> None:
    token = WritePosition(partition=wrote, lsn=77).token()
    assert partition_of(token) == wrote
    asked: list[Any] = []

    def opened(request: Any, **_: Any) -> Reply:
        asked.append(json.loads(request.data) if request.data else None)
        return Reply({"id": "1"}, {"X-Write-Position": token})

    trial = Trial("http://entry", "us-east", opened, customer="meridian-check 01/us-east/00", partition="americas")
    trial.go_on()
    assert asked[0]["customer"] == "meridian-check 01/us-east/00"
    found = trial.verification(
        Observation(at=0.0, members={}, writer=None, vantages={}, lease=None, admitted=frozenset())
    )
    assert (found.write, "americas did not write it" in found.detail) == (proven, not proven)
