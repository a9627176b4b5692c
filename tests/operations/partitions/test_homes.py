"""Which homes are meant, whose they are, and who may have them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.local.servers import home_ranges, partition_map
from components.local.servers.home_ranges import Ranges
from operations.drivers import local
from operations.errors import Refused
from operations.partitions import homes
from operations.settings_file import SettingsFile
from operations.stack import Stack
from tests.topology.plans import topology
from topology import from_summary, to_summary
from topology.catalogue import catalogue
from topology.residency import Residency

RANGES: Ranges = (("", "main"), ("01/", "americas"), ("01/us-east/80", "main"), ("02/", "asia"), ("03/", "main"))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("01", ["01/us-east/00", "01/a/ff"], ["00/us-east/00", "02/a/00"]),
        ("01/us-east", ["01/us-east/00", "01/us-east/ff"], ["01/us-east-1/00", "01/us-west/00", "02/us-east/00"]),
        ("01/us-east/10-1f", ["01/us-east/10", "01/us-east/1f"], ["01/us-east/0f", "01/us-east/20"]),
        ("01/us-east/80-ff", ["01/us-east/80", "01/us-east/ff"], ["01/us-east/7f", "01/us-west/00"]),
        ("01/us-east/7f", ["01/us-east/7f"], ["01/us-east/7e", "01/us-east/80"]),
    ],
)
def test_homes_are_named_from_where_to_where(text: str, inside: list[str], outside: list[str]) -> None:
    first, last = homes.parse(text)
    assert all(first <= home < last for home in inside)
    assert not any(first <= home < last for home in outside)


@pytest.mark.parametrize(
    "text", ["", "us-east", "1/us-east", "01/", "01/us-east/", "01/us-east/1", "01/us-east/9-3", "*"]
)
def test_what_names_no_homes_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="--homes"):
        homes.parse(text)


def test_whose_homes_they_are() -> None:
    assert homes.owners(RANGES, *homes.parse("01/us-east/00-7f")) == ("americas",)
    assert homes.owners(RANGES, *homes.parse("01/us-east")) == ("americas", "main")
    assert homes.owners(RANGES, *homes.parse("02")) == ("asia",)
    assert homes.of(RANGES, "main") == [("", "01/"), ("01/us-east/80", "02/"), ("03/", "A"), ("A", "~")]
    assert all(first <= "eu-central" < last for first, last in homes.of(RANGES, "main")[-1:])


@given(st.dictionaries(st.from_regex(r"00/[ab]/[0-9a-f]{2}", fullmatch=True), st.integers(1, 9), min_size=2))
def test_the_halves_of_a_split_are_as_equal_as_they_can_be(counts: dict[str, int]) -> None:
    at = homes.half(counts)
    assert at is not None

    def difference(bound: str) -> int:
        below = sum(count for home, count in counts.items() if home < bound)
        return abs(2 * below - sum(counts.values()))

    assert difference(at) == min(map(difference, sorted(counts)[1:]))


def test_one_home_cannot_be_split() -> None:
    assert homes.half({"00/a/00": 7}) is None


def test_the_rows_stay_under_their_rule() -> None:
    facts = catalogue("local")
    rules = Residency(primary=("US",), copies=("US", "EU"))
    homes.require_residency("bound", "other", rules, ["us-east", "eu-central"], "us-east", facts)
    with pytest.raises(Refused, match="ap-northeast"):
        homes.require_residency("bound", "other", rules, ["us-east", "ap-northeast"], "us-east", facts)
    with pytest.raises(Refused, match="written in eu-central"):
        homes.require_residency("bound", "other", rules, ["us-east", "eu-central"], "eu-central", facts)


def test_ranges_that_were_given_away_are_whose_they_were_given_to() -> None:
    given_ = home_ranges.with_range(RANGES, *homes.parse("00/eu-central"), "asia")
    assert homes.owners(given_, *homes.parse("00/eu-central")) == ("asia",)
    assert home_ranges.owner(given_, "00/us-east/00") == "main"


def test_the_slot_of_a_partition_that_was_given_up_is_never_used_again(tmp_path: Path) -> None:
    regions = ("eu-central", "us-east", "ap-northeast")
    origins = {"main": "eu-central", "americas": "us-east"}
    ranges = {"main": ("00/", "01/"), "americas": ("01/", "02/")}
    local.require_new_slots(tmp_path, topology(5))
    for region in regions:
        partition_map.ensure(tmp_path, region, origins, ranges)
    local.require_new_slots(tmp_path, topology(5))
    partition_map.forget(tmp_path, regions)
    local.require_new_slots(tmp_path, topology(4))
    with pytest.raises(Refused, match="americas has slot 1"):
        local.require_new_slots(tmp_path, topology(5))
    partition = {"name": "americas", "slot": 2, "origin": "us-east", "serves": ["US"]}
    local.require_new_slots(tmp_path, topology(5, partitions=[partition]))


@pytest.mark.parametrize(
    "text", ["00", "01", "00/us-east", "00/us-east/00-7f", "00/us-east/80-ff", "00/us-east/7f", "02/a/10-1f", "02/a/ff"]
)
def test_homes_are_written_as_they_are_read(text: str) -> None:
    assert homes.written(*homes.parse(text)) == text


@pytest.mark.parametrize(
    "span", [("", "01/"), ("A", "~"), ("00/a/00", "00/b/80"), ("00/a/", "01/"), ("00/a/80", "01/")]
)
def test_what_takes_more_than_one_text_has_none(span: tuple[str, str]) -> None:
    assert homes.written(*span) is None


def test_a_partition_is_not_given_up_with_customers_of_one_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stack, "folder", tmp_path)
    stack = Stack(SettingsFile(tmp_path / "Pulumi.test.yaml", "test", "meridian", {}, {}))
    both = [
        {"name": "americas", "slot": 1, "origin": "us-east", "serves": ["US"]},
        {"name": "asia", "slot": 2, "origin": "ap-northeast", "serves": ["JP"]},
    ]
    before, after = from_summary(to_summary(topology(5, partitions=both))), topology(5, partitions=both[:1])
    regions = ("eu-central", "us-east", "ap-northeast")
    origins = {"main": "eu-central", "americas": "us-east", "asia": "ap-northeast"}
    born_ = {"main": ("00/", "01/"), "americas": ("01/", "02/"), "asia": ("02/", "03/")}

    def check() -> None:
        local.require_homes_kept(stack, before, after)

    check()  # nothing runs
    for region in regions:
        partition_map.ensure(tmp_path, region, origins, born_)
    partition_map.give(tmp_path, regions, *homes.parse("02/ap-northeast"), "main")
    check()
    partition_map.give(tmp_path, regions, *homes.parse("01/us-east/00-7f"), "asia")
    partition_map.give(tmp_path, regions, *homes.parse("00/us-west"), "asia")
    with pytest.raises(Refused) as refused:
        check()
    assert [line.rsplit("`")[1] for line in str(refused.value).splitlines()] == [
        "./meridian partition move --homes 00/us-west --to main --stack test",
        "./meridian partition move --homes 01/us-east/00-7f --to americas --stack test",
    ]
    local.require_homes_kept(stack, before, topology(5, partitions=both))  # as it is, it stays
    with pytest.raises(Refused, match="00/us-west"):
        local.require_homes_kept(stack, before, topology(4))
    partition_map.give(tmp_path, regions, *homes.parse("01/us-east/00-7f"), "americas")
    partition_map.give(tmp_path, regions, *homes.parse("00/us-west"), "main")
    check()
