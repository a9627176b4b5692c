"""A move whose source loses its writer, or changes it, in the middle: it ends all the same, and leaves no slot."""

import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from tests.local.clone import Clone
from tests.local.database import connect
from tests.local.moving import REGIONS, kill_region, wait_until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

PARTITIONS = ("main", "americas", "asia")
ORDERS = 20_000
FILL = """
with people as (
    insert into public.customers (home, customer, last_sequence)
    select '00/us-east/' || lpad(to_hex(n %% 256), 2, '0'), 'filled-' || n, 1 from generate_series(1, %s) n
    returning home, customer
)
insert into public.orders (home, customer, item, quantity, sequence, created_at)
select home, customer, 'lamp', 1, 1, now() from people
"""
COUNT = "select count(*) from public.orders where home like '00/us-east/%'"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    made = Clone.make(tmp_path_factory.mktemp("outages"))
    try:
        made.must("up", "--phase", "5", "--yes")
        with connect(made, 0, 0) as connection:
            connection.execute(FILL, (ORDERS,))
        yield made
    finally:
        made.end()


def at(clone: Clone, step: str) -> bool:
    with contextlib.suppress(ValueError, FileNotFoundError):
        newest = max((clone.stack / "moves").glob("*.json"), default=None)
        events = json.loads(newest.read_text())["events"] if newest else []
        return any(event["what"] == "begun" and event.get("step") == step for event in events)
    return False


def writer(clone: Clone, partition: str) -> str:
    copies = [json.loads(path.read_text()) for path in (clone.stack / "regions").glob("*/partitions.json")]
    return max(copies, key=lambda copy: copy["version"])["partitions"][partition]["writer"]


def count(clone: Clone, partition: str) -> int:
    with connect(clone, REGIONS.index(writer(clone, partition)), PARTITIONS.index(partition)) as connection:
        row = connection.execute(COUNT).fetchone()
        assert row is not None
        return row[0]


def slots(clone: Clone) -> list[tuple[str, str, str]]:
    """Of moves, on any member of any partition."""
    found: list[tuple[str, str, str]] = []
    for region in clone.status()["regions"]:
        for member in region["members"]:
            partition = member["name"].removesuffix(f"-{region['name']}")
            with connect(clone, REGIONS.index(region["name"]), PARTITIONS.index(partition)) as connection:
                rows = connection.execute("select slot_name from pg_replication_slots where slot_type = 'logical'")
                found += [(region["name"], partition, str(row[0])) for row in rows.fetchall()]
    return found


def carry_on(clone: Clone, source: str, target: str) -> None:
    if clone.must("partition", "list", "--json").document["unfinished"]:
        clone.must("partition", "move", "--resume", "--yes")
    else:  # it was turned round by itself, or was through
        clone.run("partition", "move", "--homes", "00/us-east", "--to", target, "--yes")
    assert (count(clone, source), count(clone, target)) == (0, ORDERS)
    assert slots(clone) == []


@pytest.mark.parametrize(
    "step", ["copy", *(pytest.param(step, marks=pytest.mark.deep) for step in ("catch_up", "survey", "ship"))]
)
def test_a_source_that_loses_its_writer_in_the_middle(clone: Clone, step: str) -> None:
    source, target = ("main", "americas") if count(clone, "main") else ("americas", "main")
    lost = writer(clone, source)
    other = next(region for region in REGIONS if region not in (lost, writer(clone, target)))
    before = set((clone.stack / "moves").glob("*.json"))
    run = clone.start("partition", "move", "--homes", "00/us-east", "--to", target, "--yes")
    try:
        wait_until(lambda: set((clone.stack / "moves").glob("*.json")) > before and at(clone, step), step, seconds=60)
        kill_region(clone, lost)
    finally:
        run.wait(timeout=120)
    for partition in PARTITIONS:
        if writer(clone, partition) == lost:
            clone.must("failover", "--partition", partition, "--to", other, "--yes", "--max-loss", "any")
    clone.must("up", "--yes")
    for partition in PARTITIONS:
        clone.must("failback", "--partition", partition, "--to", lost, "--rejoin-only", "--yes")
    carry_on(clone, source, target)


def test_a_switchover_of_the_source_in_the_middle(clone: Clone) -> None:
    source, target = ("main", "americas") if count(clone, "main") else ("americas", "main")
    to = next(region for region in REGIONS if region != writer(clone, source))
    before = set((clone.stack / "moves").glob("*.json"))
    run = clone.start("partition", "move", "--homes", "00/us-east", "--to", target, "--yes")
    try:
        wait_until(lambda: set((clone.stack / "moves").glob("*.json")) > before and at(clone, "copy"), "copy", 60)
        clone.must("switchover", "--partition", source, "--to", to, "--yes")
    finally:
        run.wait(timeout=120)
    time.sleep(0.5)
    carry_on(clone, source, target)
