"""Who writes a partition, as each region's copy says it, and how operations change it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.local.servers import partition_map, paths
from components.local.servers.errors import ServerFault
from service.partitions import PartitionMap

ORIGINS = {"main": "a", "us": "b"}
BORN = {"main": ("00/", "01/"), "us": ("01/", "02/"), "jp": ("02/", "03/")}
REGIONS = ("a", "b", "c")


def made(stack: Path) -> None:
    for region in REGIONS:
        assert partition_map.ensure(stack, region, ORIGINS, BORN)


def writers(stack: Path, region: str) -> dict[str, str]:
    copy = partition_map.read(stack, region)
    assert copy is not None
    return {name: entry["writer"] for name, entry in copy["partitions"].items()}


def test_all_copies_become_one_newer_one_and_the_other_partitions_stay(tmp_path: Path) -> None:
    made(tmp_path)
    assert partition_map.point(tmp_path, REGIONS, "main", "b")
    assert all(writers(tmp_path, region) == {"main": "b", "us": "b"} for region in REGIONS)
    assert len({(partition_map.read(tmp_path, region) or {})["version"] for region in REGIONS}) == 1
    assert not partition_map.point(tmp_path, REGIONS, "main", "b")


def test_what_was_interrupted_is_completed_with_the_same_version(tmp_path: Path) -> None:
    made(tmp_path)
    partition_map.point(tmp_path, ("a",), "main", "b")
    version = (partition_map.read(tmp_path, "a") or {})["version"]
    assert partition_map.point(tmp_path, REGIONS, "main", "b")
    assert {(partition_map.read(tmp_path, region) or {})["version"] for region in REGIONS} == {version}


def test_a_region_that_cannot_be_reached_is_not_touched_and_overtaken(tmp_path: Path) -> None:
    made(tmp_path)
    kept = paths.partition_map(tmp_path, "a").read_bytes()
    partition_map.point(tmp_path, ("b", "c"), "main", "c")
    assert paths.partition_map(tmp_path, "a").read_bytes() == kept
    assert partition_map.writers(tmp_path, ORIGINS)["main"] == "c"
    # A region that is added learns of the writer of the moment.
    partition_map.ensure(tmp_path, "d", ORIGINS, BORN)
    assert writers(tmp_path, "d")["main"] == "c"


def test_a_damaged_copy_is_replaced(tmp_path: Path) -> None:
    made(tmp_path)
    paths.partition_map(tmp_path, "b").write_text("{")
    assert partition_map.read(tmp_path, "b") is None
    assert partition_map.point(tmp_path, REGIONS, "main", "c")
    assert writers(tmp_path, "b")["main"] == "c"


def test_a_partition_that_is_new_comes_into_every_copy_and_moves_nobody(tmp_path: Path) -> None:
    for region in REGIONS:
        partition_map.ensure(tmp_path, region, {"main": "a"}, BORN)
    partition_map.point(tmp_path, REGIONS, "main", "c")
    before = partition_map.read(tmp_path, "a")
    assert before is not None
    for region in REGIONS:
        assert partition_map.ensure(tmp_path, region, ORIGINS, BORN)
        assert not partition_map.ensure(tmp_path, region, ORIGINS, BORN)
    copies = [partition_map.read(tmp_path, region) for region in REGIONS]
    assert copies[0] is not None
    assert all(copy == copies[0] for copy in copies)
    assert copies[0]["version"] > before["version"]
    assert copies[0]["partitions"] == {"main": {"writer": "c"}, "us": {"writer": "b"}}, "what operations set stays"
    assert copies[0]["ranges"] == [["", "main"], ["01/", "us"], ["02/", "main"]]
    assert copies[0]["newcomers"] == {}


def test_new_customers_are_welcomed_by_all_copies_alike(tmp_path: Path) -> None:
    made(tmp_path)
    wanted = {"b": "01/b/"}
    assert partition_map.welcome(tmp_path, REGIONS, wanted)
    assert all(partition_map.welcomes(tmp_path, region, wanted) for region in REGIONS)
    assert not partition_map.welcome(tmp_path, REGIONS, wanted)
    assert not partition_map.welcomes(tmp_path, "d", wanted)
    partition_map.ensure(tmp_path, "d", ORIGINS, BORN)
    assert partition_map.welcomes(tmp_path, "d", wanted)


def test_what_is_written_is_a_map_that_the_service_reads(tmp_path: Path) -> None:
    made(tmp_path)
    partition_map.welcome(tmp_path, REGIONS, {"b": "01/b/"})
    found = PartitionMap.parse(paths.partition_map(tmp_path, "a").read_bytes())
    assert found.partition_of(found.first_home("b", b"\x10")) == "us"
    assert found.partition_of(found.first_home("a", b"\x10")) == "main"


def test_a_map_of_before_there_were_several_partitions_is_carried_on(tmp_path: Path) -> None:
    old = {"version": 7, "partitions": {"main": {"writer": "c"}}, "homes": {"*": "main"}}
    paths.write_json(paths.partition_map(tmp_path, "a"), old)
    assert partition_map.ensure(tmp_path, "a", ORIGINS, BORN)
    found = PartitionMap.parse(paths.partition_map(tmp_path, "a").read_bytes())
    assert (found.version, found.writers) == (8, {"main": "c", "us": "b"})
    assert found.partition_of("eu-central") == "main"


def test_changes_at_the_same_time_are_all_in_the_map(tmp_path: Path) -> None:
    """A failover points while a move gives homes away."""
    made(tmp_path)
    with ThreadPoolExecutor(2) as pool:
        for number in range(20):
            given = pool.submit(partition_map.give, tmp_path, REGIONS, f"00/{number:02}", f"00/{number:02}0", "us")
            pointed = pool.submit(partition_map.point, tmp_path, REGIONS, "main", "ab"[number % 2])
            assert given.result()
            pointed.result()
            copies = [partition_map.read(tmp_path, region) for region in REGIONS]
            assert copies[0] is not None
            assert all(copy == copies[0] for copy in copies)
            assert copies[0]["partitions"]["main"] == {"writer": "ab"[number % 2]}
            assert [f"00/{number:02}", "us"] in copies[0]["ranges"]


def test_when_the_other_partitions_go_main_has_every_home(tmp_path: Path) -> None:
    made(tmp_path)
    partition_map.welcome(tmp_path, REGIONS, {"b": "01/b/"})
    before = partition_map.read(tmp_path, "a")
    assert before is not None
    partition_map.welcome(tmp_path, REGIONS, {})
    assert partition_map.forget(tmp_path, REGIONS)
    found = PartitionMap.parse(paths.partition_map(tmp_path, "a").read_bytes())
    assert (found.writers, found.partition_of("01/b/00"), found.newcomers) == ({"main": "a"}, "main", {})
    assert found.version > before["version"]
    # A service must not take a home of before for one of a partition that comes later.
    assert (found.is_given_up("01/b/00"), found.is_given_up("00/b/00")) == (True, False)
    with pytest.raises(ServerFault, match="slot"):
        partition_map.ensure(tmp_path, "a", ORIGINS, BORN)
    assert partition_map.ensure(tmp_path, "a", {"main": "a", "jp": "c"}, BORN)


def test_one_partition_goes_and_the_others_keep_what_they_have(tmp_path: Path) -> None:
    three = {**ORIGINS, "jp": "c"}
    for region in REGIONS:
        partition_map.ensure(tmp_path, region, three, BORN)
    for first, last, name in (
        ("02/c/00", "02/c/10", "main"),  # left the partition that goes, for ones that stay
        ("02/c/10", "02/c/20", "us"),
        ("01/b/00", "01/b/10", "jp"),  # came to it, from ones that stay
        ("00/a/00", "00/a/10", "jp"),
        ("00/a/10", "00/a/20", "us"),
    ):
        partition_map.give(tmp_path, REGIONS, first, last, name)
    partition_map.point(tmp_path, REGIONS, "us", "a")
    assert not partition_map.forget(tmp_path, REGIONS, ("us", "jp"))
    assert not partition_map.is_without_others(tmp_path, "a", ("us",))

    assert partition_map.forget(tmp_path, REGIONS, ("us",))
    assert not partition_map.forget(tmp_path, REGIONS, ("us",))
    assert all(partition_map.is_without_others(tmp_path, region, ("us",)) for region in REGIONS)
    found = PartitionMap.parse(paths.partition_map(tmp_path, "b").read_bytes())
    assert found.writers == {"main": "a", "us": "a"}
    owners = {"02/c/00": "main", "02/c/10": "us", "01/b/00": "us", "00/a/00": "main", "00/a/10": "us", "01/b/80": "us"}
    assert {home: found.partition_of(home) for home in owners} == owners
    assert not any(found.is_given_up(home) for home in owners)
    assert all(found.is_given_up(home) for home in ("02/c/20", "02/c/ff", "02/a/00", "02/z/ff"))
    assert not found.is_given_up("03/c/20")
    assert partition_map.retired(tmp_path) == {"02/"}

    # What moved out of the first one goes with the second one, where that has it.
    assert partition_map.forget(tmp_path, REGIONS)
    found = PartitionMap.parse(paths.partition_map(tmp_path, "b").read_bytes())
    assert (found.is_given_up("02/c/10"), found.is_given_up("02/c/00"), found.is_given_up("02/c/30")) == (
        True,
        False,
        True,
    )
    assert not found.is_given_up("00/a/10")
    assert partition_map.retired(tmp_path) == {"01/", "02/"}
