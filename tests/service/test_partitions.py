"""The partition map and its file."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.partitions import MapFile, PartitionMap
from tests.service.servers import write_map

GOOD: dict[str, Any] = {
    "version": 3,
    "partitions": {"main": {"writer": "a"}, "second": {"writer": "b"}},
    "ranges": [["", "main"], ["01/", "second"], ["01/b/80", "main"], ["01/c/", "second"], ["02/", "main"]],
    "newcomers": {"b": "01/b/", "c": "01/c/"},
}


def test_every_home_has_a_partition() -> None:
    found = PartitionMap.parse(json.dumps(GOOD).encode())
    homes = {"00/b/ff": "main", "01/b/7f": "second", "01/b/80": "main", "01/c/00": "second", "02/z/00": "main"}
    assert {home: found.partition_of(home) for home in homes} == homes
    assert found.partition_of("eu-central") == "main", "a home of an earlier version"
    assert (found.near("b"), found.near("a")) == ("second", "main")


def test_the_home_of_a_new_customer_says_where_and_which_part() -> None:
    found = PartitionMap.parse(json.dumps(GOOD).encode())
    assert found.first_home("b", b"\x7f\x01") == "01/b/7f"
    assert found.first_home("a", b"\x00") == "00/a/00"


def test_a_map_of_one_partition_needs_no_ranges() -> None:
    """As they were written before there were several."""
    found = PartitionMap.parse(json.dumps({"version": 1, "partitions": {"main": {"writer": "a"}}}).encode())
    assert found.partition_of("anything") == "main"


@pytest.mark.parametrize(
    "change",
    [
        {"version": None},
        {"version": "3"},
        {"partitions": []},
        {"partitions": {"main": {}}},
        {"partitions": {"main": {"writer": ""}}},
        {"partitions": {"second": {"writer": "b"}}, "ranges": [["", "second"]]},
        {"ranges": []},
        {"ranges": [["01/", "main"]]},
        {"ranges": [["", "main"], ["02/", "second"], ["01/", "main"]]},
        {"ranges": [["", "main"], ["01/", "second"], ["01/", "main"]]},
        {"ranges": [["", "gone"]]},
        {"ranges": [["", 3]]},
        {"ranges": 3},
        {"newcomers": 3},
        {"newcomers": {"b": 1}},
    ],
)
def test_a_map_that_is_not_whole_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        PartitionMap.parse(json.dumps({**GOOD, **change}).encode())


documents = st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists)


@given(st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode()))
def test_other_data_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(ValueError):
        PartitionMap.parse(data)


def test_the_last_good_map_stays_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "partitions.json"
    file = MapFile(path)

    def writer() -> tuple[int, str] | None:
        file.refresh()
        return file.current and (file.current.version, file.current.writers["main"])

    with caplog.at_level(logging.WARNING):
        assert writer() is None
        write_map(path, 1, "a")
        assert writer() == (1, "a")
        caplog.clear()
        path.write_text("{")
        assert writer() == (1, "a")
        assert writer() == (1, "a")
        assert len(caplog.records) == 1, "a damaged file is told once"
        write_map(path, 3, "b")
        assert writer() == (3, "b")
        write_map(path, 2, "a")
        assert writer() == (3, "b"), "an older map is ignored"
        path.unlink()
        assert writer() == (3, "b")
        write_map(path, 4, "a")
        assert writer() == (4, "a")


def test_whoever_waits_for_another_writer_is_told(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "partitions.json"
        write_map(path, 1, "a")
        file = MapFile(path)
        file.refresh()
        waiting = [asyncio.create_task(file.moved("main", "a")) for _ in range(2)]
        write_map(path, 2, "a")
        file.refresh()
        await asyncio.sleep(0)
        waiting[0].cancel()  # one that gives up takes nothing from the other
        assert not waiting[1].done()
        write_map(path, 3, "b")
        file.refresh()
        await asyncio.wait_for(waiting[1], 1)
        await asyncio.wait_for(file.moved("main", "a"), 1)

    asyncio.run(run())
