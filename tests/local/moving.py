"""What the tests of failovers share: regions that die or are cut off, and what must hold afterwards."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.local.servers import wan
from tests.local.clone import Clone, Outcome
from tests.local.database import CHECKSUM, connect, settle

REGIONS = ("eu-central", "us-east", "ap-northeast")
RATE = 25.0


def stack(folder: Path, phase: str, durability: str) -> Clone:
    made = Clone.make(folder)
    settings = made.folder / "Pulumi.dev.yaml"
    settings.write_text(settings.read_text() + f"  meridian:database: {{durability: {durability}}}\n")
    made.must("up", "--phase", phase, "--yes")
    return made


def kill_region(clone: Clone, region: str) -> None:
    """The power goes: every process of it at once, and nothing starts them again."""
    victims: list[psutil.Process] = []
    for record in (clone.stack / "regions" / region).rglob("server.json"):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(json.loads(record.read_text())["pid"])
            victims += [process, *process.children(recursive=True)]
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)
    psutil.wait_procs(victims, timeout=5)


@contextmanager
def isolated(clone: Clone, region: str) -> Iterator[None]:
    """Its links to the other regions are cut, both ways; its own users still reach it, and it lives on."""
    others = [other for other in REGIONS if other != region]
    names = [wan.link_name(*pair, users=False) for other in others for pair in ((region, other), (other, region))]
    for name in names:
        wan.cut(clone.stack, name)
    try:
        yield
    finally:
        for name in names:
            wan.restore(clone.stack, name)


def kill_at(clone: Clone, step: str, *words: str) -> bool:
    """Run an operation and kill it as soon as its record says that this step has begun. False: it was too late."""
    before = records(clone)
    run = clone.start(*words)
    try:
        wait_until(lambda: run.poll() is not None or begun(clone, step, before), f"{step} of {words}", seconds=60)
        if run.poll() is not None:
            return False
        os.kill(run.pid, signal.SIGKILL)
        return True
    finally:
        run.wait(timeout=60)


def records(clone: Clone) -> set[Path]:
    return set((clone.stack / "operations").glob("[0-9]*.json"))


def begun(clone: Clone, step: str, before: set[Path]) -> bool:
    for path in records(clone) - before:
        with contextlib.suppress(ValueError, FileNotFoundError):
            events = json.loads(path.read_text())["events"]
            return any(event.get("what") == "begun" and event["step"].split()[0] == step for event in events)
    return False


def last_record(clone: Clone) -> dict[str, Any]:
    return json.loads(max(records(clone)).read_text())


def wait_until(check: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def roles(clone: Clone) -> dict[str, str | None]:
    return {region["name"]: region["members"][0]["role"] for region in clone.status()["regions"] if region["members"]}


def one_writer(clone: Clone, writer: str, regions: Iterable[str] = REGIONS) -> None:
    """Every member streams from this writer and has the same rows; no slot keeps log for nobody."""
    settle(clone)
    expected = {region: "writer" if region == writer else "replica" for region in regions}
    assert roles(clone) == expected
    slots = {region: index for index, region in enumerate(REGIONS)}
    sums = {region: checksums_of_data(clone, slots[region]) for region in regions}
    assert all(found == sums[writer] for found in sums.values()), sums
    for region in regions:
        with connect(clone, slots[region]) as connection:
            rows = connection.execute("select slot_name, active from pg_replication_slots order by 1").fetchall()
            names = connection.execute("show synchronous_standby_names").fetchone()[0]  # pyright: ignore[reportOptionalSubscript]
        wanted = [(f"main_{other.replace('-', '_')}", True) for other in sorted(regions) if other != writer]
        assert rows == (wanted if region == writer else []), (region, rows)
        if names:
            assert f'"main-{region}"' not in names
            assert names.count('"main-') == len(expected) - 1


def checksums_of_data(clone: Clone, slot: int) -> dict[str, tuple[int, str]]:
    """Without the lease's table: it is unlogged, so each member has its own, and replicas have none to read."""
    with connect(clone, slot) as connection:
        found = connection.execute(
            "select relname from pg_class where relpersistence = 'p' and relkind = 'r' "
            "and relnamespace = 'public'::regnamespace"
        ).fetchall()
        return {
            str(row[0]): connection.execute(CHECKSUM.format(table=f"public.{row[0]}")).fetchone()  # pyright: ignore
            for row in found
        }


def ids(clone: Clone, slot: int) -> set[str]:
    with connect(clone, slot) as connection:
        return {str(row[0]) for row in connection.execute("select id::text from public.orders").fetchall()}


def unchanged(clone: Clone) -> None:
    """The settings say nothing of a failover, and what they describe is what is there."""
    steps = clone.must("preview", "--json").document["resources"]
    assert {step["op"] for step in steps} == {"same"}, [step for step in steps if step["op"] != "same"]


def stateful_unchanged(clone: Clone) -> Outcome:
    """Nothing that holds data would be touched, though servers of a lost region would be started."""
    outcome = clone.must("preview", "--json")
    touched = [
        step for step in outcome.document["resources"] if "postgres" in str(step).lower() and step["op"] != "same"
    ]
    assert not touched, touched
    return outcome
