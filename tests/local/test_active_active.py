"""Phase 5 on real servers: climbed to under load, each partition with its own writer, failed over by itself."""

import contextlib
import json
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.local.servers import partition_map
from operations.drill.expectation import Expected, contradictions, expected
from service.partitions import PartitionMap
from tests.local.clone import Clone
from tests.local.database import checksums, connect, settle
from tests.local.load import Load
from tests.local.moving import REGIONS, kill_region, unchanged, wait_until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

PARTITIONS = {"main": "eu-central", "americas": "us-east", "asia": "ap-northeast"}  # by slot, with their origins
BOUND = "asia"  # may not be copied into eu-central


@dataclass(frozen=True)
class Climbed:
    clone: Clone
    load: Load

    @property
    def entry(self) -> str:
        return self.clone.status()["entry"]

    def place(self, who: str, region: str, item: str = "lamp") -> httpx.Response:
        return httpx.post(
            f"{self.entry}/orders",
            json={"customer": who, "item": item, "quantity": 1},
            headers={"Idempotency-Key": str(uuid.uuid4()), "X-User-Region": region},
            timeout=20,
        )

    def members(self) -> dict[str, dict[str, str | None]]:
        """By partition, the role of each region's member."""
        found: dict[str, dict[str, str | None]] = defaultdict(dict)
        for region in self.clone.status()["regions"]:
            for member in region["members"]:
                found[member["name"].removesuffix(f"-{region['name']}")][region["name"]] = member["role"]
        return found

    def writers(self) -> dict[str, str]:
        return {
            partition: region
            for partition, roles in self.members().items()
            for region, role in roles.items()
            if role == "writer"
        }

    def rows(self, partition: str) -> list[tuple[str, str, str, int, int, int]]:
        """The orders of a partition, at its writer: home, id, customer, sequence, revision, quantity."""
        slot = REGIONS.index(self.writers()[partition])
        with connect(self.clone, slot, list(PARTITIONS).index(partition)) as connection:
            return connection.execute(
                "select home, id::text, customer, sequence, revision, quantity from public.orders"
            ).fetchall()

    def unaccounted(self, partition: str) -> list[tuple[str, int, int, int]]:
        """Customers whose numbers are not all there or cancelled: name, last number, orders, cancelled."""
        slot = REGIONS.index(self.writers()[partition])
        with connect(self.clone, slot, list(PARTITIONS).index(partition)) as connection:
            return connection.execute(
                "select c.customer, c.last_sequence, count(o.id), c.cancelled from public.customers c "
                "left join public.orders o on o.customer = c.customer group by c.home, c.customer "
                "having count(o.id) + c.cancelled <> c.last_sequence or max(o.sequence) > c.last_sequence"
            ).fetchall()


def assert_as_told(orders: dict[str, Expected], rows: dict[str, list[tuple[str, str, str, int, int, int]]]) -> None:
    there = {number: (revision, quantity) for each in rows.values() for _, number, _, _, revision, quantity in each}
    assert not contradictions(orders, there)
    assert any(order.told is None for order in orders.values()), "some were cancelled"
    assert any(order.told is not None and order.told[0] > 1 for order in orders.values()), "some were changed"


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Climbed]:
    clone = Clone.make(tmp_path_factory.mktemp("partitions"))
    settings = clone.folder / "Pulumi.dev.yaml"
    text = settings.read_text()
    bound = text.replace("serves: [JP]\n", "serves: [JP]\n      residency: {copies: [JP, US]}\n")
    assert bound != text
    settings.write_text(bound)
    try:
        clone.must("up")
        load = Load(clone.status()["entry"], REGIONS, rate=60, reads=0.3, customers=60, changes=0.15, cancels=0.05)
        with load:
            for phase in ("2", "3", "4"):
                clone.must("up", "--phase", phase)
            time.sleep(2)
            clone.must("up", "--phase", "active-active")
            load.customers = 240  # people who are new, from everywhere
            time.sleep(8)
        yield Climbed(clone, load)
    finally:
        clone.end()


def test_nothing_was_lost_or_doubled_and_every_row_is_at_home(climbed: Climbed) -> None:
    load = climbed.load
    assert not load.failed, load.failed[:5]
    assert climbed.writers() == PARTITIONS
    found = {partition: climbed.rows(partition) for partition in PARTITIONS}
    stored = Counter(row[1] for rows in found.values() for row in rows)
    orders = expected(load.told)
    cancelled = {number for number, order in orders.items() if order.told is None}
    assert set(stored) == set(load.keys.values()) - cancelled, "one row for each key that was answered"
    assert set(stored.values()) == {1}
    assert_as_told(orders, found)
    assert not {partition: lost for partition in PARTITIONS if (lost := climbed.unaccounted(partition))}

    where: dict[str, set[str]] = defaultdict(set)
    sequences: dict[str, list[int]] = defaultdict(list)
    current = PartitionMap.parse((climbed.clone.stack / "regions" / "us-east" / "partitions.json").read_bytes())
    for partition, rows in found.items():
        for home, _, customer, sequence, _, _ in rows:
            assert current.partition_of(home) == partition
            where[customer].add(partition)
            sequences[customer].append(sequence)
    assert all(len(partitions) == 1 for partitions in where.values()), "a customer has one home"
    for number in cancelled:
        sequences[load.acknowledged[number]["customer"]].append(load.acknowledged[number]["sequence"])
    assert all(sorted(each) == list(range(1, len(each) + 1)) for each in sequences.values())
    # Those of before stayed where they were, and each partition got some of those who are new.
    before = {f"customer-{number}" for number in range(60)}
    assert {partition for who in where.keys() & before for partition in where[who]} == {"main"}
    assert {partition for who in where.keys() - before for partition in where[who]} == set(PARTITIONS)


def test_a_row_outside_its_home_is_found_and_nothing_else_is(climbed: Climbed) -> None:
    found = climbed.clone.must("partition", "check", "--json").document
    assert (found["well"], found["findings"], found["not_compared"]) == (True, [], [])
    assert {each["partition"]: len(each["members"]) for each in found["compared"]} == {
        "main": 2,
        "americas": 2,
        BOUND: 1,
    }
    with connect(climbed.clone, 0) as main:
        main.execute(
            "insert into public.orders (home, customer, item, quantity, sequence, created_at) "
            "values ('01/us-east/ff', 'stray', 'lamp', 1, 1, now())"
        )
        checked = climbed.clone.run("partition", "check", "--partition", "main", "--json")
        assert checked.status == 1
        (stray,) = checked.document["findings"]
        assert (stray["kind"], stray["member"], stray["count"]) == ("outside_home", "main-eu-central", 1)
        assert any("psql americas-us-east" in line for line in stray["mend"])
        main.execute("delete from public.orders where customer = 'stray'")


def test_every_copy_is_the_same_and_none_is_where_it_may_not_be(climbed: Climbed) -> None:
    settle(climbed.clone)
    expected = {name: set(REGIONS) - ({"eu-central"} if name == BOUND else set()) for name in PARTITIONS}
    assert {name: set(roles) for name, roles in climbed.members().items()} == expected
    for partition, regions in expected.items():
        slot = list(PARTITIONS).index(partition)
        sums = [checksums(climbed.clone, REGIONS.index(region), slot) for region in sorted(regions)]
        assert all(each == sums[0] for each in sums), partition

    # A customer of the bound partition, who also orders and reads while in Europe.
    who, item = f"bound-{uuid.uuid4().hex}", f"item-{uuid.uuid4().hex}"
    first = climbed.place(who, "ap-northeast", item)
    assert first.headers["X-Written-Region"] == "ap-northeast"
    second = climbed.place(who, "eu-central", item)
    assert (second.headers["X-Served-Region"], second.headers["X-Written-Region"]) == ("eu-central", "ap-northeast")
    assert second.json()["sequence"] == 2
    user = {"X-User-Region": "eu-central"}
    assert httpx.get(f"{climbed.entry}/orders/{first.json()['id']}", headers=user, timeout=20).json() == first.json()
    listed = httpx.get(f"{climbed.entry}/orders", params={"customer": who}, headers=user, timeout=20).json()["orders"]
    assert [order["sequence"] for order in listed] == [1, 2]
    for region in REGIONS:
        for slot, partition in enumerate(PARTITIONS):
            if region in expected[partition]:
                with connect(climbed.clone, REGIONS.index(region), slot) as connection:
                    connection.execute("checkpoint")
    holders = containing(climbed.clone.stack, (who.encode(), item.encode()))
    assert {place.parts[1] for place in holders if place.parts[0] == "regions"} == expected[BOUND]
    assert not [place for place in holders if place.parts[0] != "regions"]


def containing(folder: Path, words: tuple[bytes, ...]) -> list[Path]:
    found: list[Path] = []
    for path in folder.rglob("*"):
        if path.is_file() and any(word in path.read_bytes() for word in words):
            found.append(path.relative_to(folder))
    return found


def test_a_lost_region_moves_the_partition_that_it_wrote_and_no_other(climbed: Climbed) -> None:
    clone = climbed.clone
    who = f"american-{uuid.uuid4().hex}"
    assert climbed.place(who, "us-east").headers["X-Written-Region"] == "us-east"
    clone.must("switchover", "--partition", "asia", "--to", "us-east", "--yes")
    assert climbed.writers() == {**PARTITIONS, "asia": "us-east"}
    clone.must("switchover", "--partition", "asia", "--to", "ap-northeast", "--yes")
    refused = clone.run("switchover", "--partition", "asia", "--to", "eu-central", "--yes")
    assert refused.status == 2, refused.stderr

    kill_region(clone, "us-east")
    began = time.monotonic()
    # The others go on meanwhile.
    assert climbed.place(f"european-{uuid.uuid4().hex}", "eu-central").status_code == 201
    clone.must("failover", "--partition", "americas", "--to", "eu-central", "--yes", "--max-loss", "30s")
    moved = climbed.place(who, "us-east")
    assert (moved.status_code, moved.headers["X-Written-Region"], moved.json()["sequence"]) == (201, "eu-central", 2)
    assert time.monotonic() - began < 30
    assert climbed.writers() == {**PARTITIONS, "americas": "eu-central"}

    clone.must("up", "--yes")
    clone.must("failback", "--partition", "americas", "--yes")
    settle(clone)
    assert climbed.writers() == PARTITIONS
    assert climbed.place(who, "eu-central").headers["X-Written-Region"] == "us-east"
    unchanged(clone)
    copies = [partition_map.read(clone.stack, region) for region in REGIONS]
    assert copies[0] is not None
    assert all(copy == copies[0] for copy in copies)


def test_homes_move_under_load_also_when_the_move_is_killed(climbed: Climbed) -> None:
    clone = climbed.clone
    with Load(climbed.entry, REGIONS, rate=40, reads=0.3, customers=120, changes=0.15, cancels=0.05) as load:
        time.sleep(1)
        before = climbed.rows("main")
        moved = {row[1] for row in before if row[0].startswith("00/us-east/")}
        assert moved
        if kill_move_at(clone, "close", "partition", "move", "--homes", "00/us-east", "--to", "americas", "--yes"):
            refused = clone.run("partition", "move", "--homes", "00/us-east", "--to", "americas", "--yes")
            assert (refused.status, "--resume" in refused.stderr) == (2, True)
            clone.must("partition", "move", "--resume", "--yes")
        found = clone.must("partition", "list", "--json").document
        assert found["unfinished"] is None
        clone.must("partition", "check")
    assert not load.failed, load.failed[:5]
    rows = {partition: climbed.rows(partition) for partition in PARTITIONS}
    assert not [row for row in rows["main"] if row[0].startswith("00/us-east/")]
    orders = expected(load.told)
    cancelled = {number for number, order in orders.items() if order.told is None}
    assert moved <= {row[1] for row in rows["americas"]} | cancelled
    stored = Counter(row[1] for each in rows.values() for row in each)
    assert set(load.acknowledged) - cancelled <= set(stored)
    assert set(stored.values()) == {1}
    assert_as_told(orders, rows)
    assert not {partition: lost for partition in PARTITIONS if (lost := climbed.unaccounted(partition))}
    # What may be copied to Europe may not be moved to where it may not be: that is the other way round.
    refused = clone.run("partition", "merge", BOUND, "--to", "main", "--yes")
    assert (refused.status, "residency" in refused.stderr) == (2, True)
    unchanged(clone)


def kill_move_at(clone: Clone, step: str, *words: str) -> bool:
    """As soon as its record says that the step has begun. False: it was too late."""
    run = clone.start(*words)

    def begun() -> bool:
        with contextlib.suppress(ValueError, FileNotFoundError):
            for path in (clone.stack / "moves").glob("*.json"):
                events = json.loads(path.read_text())["events"]
                return any(event["what"] == "begun" and event.get("step") == step for event in events)
        return False

    try:
        wait_until(lambda: run.poll() is not None or begun(), f"{step} of the move", seconds=90)
        if run.poll() is not None:
            return False
        run.kill()
        return True
    finally:
        run.wait(timeout=60)


def test_down_again_is_refused_while_customers_would_lose_their_home(climbed: Climbed) -> None:
    refused: Any = climbed.clone.run("up", "--phase", "4", "--yes")
    assert refused.status == 2
    assert "americas" in refused.stderr
