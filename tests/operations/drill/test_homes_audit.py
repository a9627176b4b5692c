"""What the audit of homes finds: each case plants one mistake into partitions that are in order."""

from dataclasses import replace
from typing import Any

import pytest

from operations.drill import homes_audit
from operations.drill.expectation import expected
from operations.drill.homes_audit import Held, findings, turns

RANGES = (("", "main"), ("00/eu/80", "americas"), ("00/eu0", "main"), ("01/", "americas"), ("02/", "main"))
MAPS = {"eu": RANGES, "us": RANGES}
TABLES = {"public.orders": (2, "17")}

MAIN = Held(
    partition="main",
    region="eu",
    writes=True,
    tables=TABLES,
    homes=("00/eu/10",),
    customers={"ada": "00/eu/10"},
    orders=(("o1", "x-1", 1, 1), ("o2", "x-2", 1, 1)),
    ranges=(("", True), ("00/eu/80", False), ("00/eu0", True), ("01/", False)),
)
COPY = replace(MAIN, region="us", writes=False)
OTHER = Held(
    partition="americas",
    region="us",
    writes=True,
    tables=TABLES,
    homes=("00/eu/90", "01/us/00"),
    customers={"bob": "00/eu/90", "eve": "01/us/00"},
    orders=(("o3", "x-3", 1, 1),),
    ranges=(("", False), ("00/eu/80", True), ("00/eu0", False), ("01/", True), ("02/", False)),
)
KNOWN = expected(
    {"kind": "write", "id": number, "key": number, "ended": 1.0, "status": 201, "quantity": 1}
    for number in ("o1", "o2", "o3")
)


def wrong(*members: Held, maps: Any = MAPS) -> dict[str, tuple[str, ...]]:
    return {name: found for name, found in findings(members, maps, KNOWN).wrong.items() if found}


def test_partitions_in_order_are_found_in_order() -> None:
    found = findings((MAIN, COPY, OTHER), MAPS, KNOWN)
    assert (found.told, wrong(MAIN, COPY, OTHER)) == ((), {})
    assert len(found.wrong) == 10


def test_an_order_that_only_a_replica_has_is_missing() -> None:
    found = findings((replace(MAIN, orders=MAIN.orders[:1]), COPY, OTHER), MAPS, KNOWN)
    assert [(each.kind, each.id) for each in found.told] == [("order gone", "o2")]
    changed = replace(MAIN, orders=(MAIN.orders[0], ("o2", "x-2", 2, 1)))
    (twice,) = findings((changed, COPY, OTHER), MAPS, KNOWN).told
    assert (twice.kind, twice.writes) == ("change done twice", ())


@pytest.mark.parametrize(
    ("member", "change", "name", "words"),
    [
        (COPY, {"tables": {"public.orders": (2, "18")}}, "members that differ", "main in us"),
        (COPY, {"homes": ("00/eu/10", "00/eu/90")}, "rows outside their home's partition", "has rows of 00/eu/90"),
        (OTHER, {"orders": (*OTHER.orders, ("o1", "x-9", 1, 1))}, homes_audit.DOUBLED, "order o1: main, americas"),
        (OTHER, {"orders": (*OTHER.orders, ("o4", "x-3", 1, 1))}, homes_audit.DOUBLED, "item x-3: americas, americas"),
        (OTHER, {"customers": {**OTHER.customers, "ada": "01/us/00"}}, "customers with two homes", "ada: 00/eu/10"),
        (OTHER, {"ranges": (("", False), ("01/", True))}, "homes that none or several write", "00/eu/90: nobody"),
        (MAIN, {"ranges": (("", True), ("01/", False))}, "homes that none or several write", "main, americas"),
        (MAIN, {"gaps": ("ada",)}, "customers whose orders have gaps", "main in eu: ada"),
        (MAIN, {"turned": ("ada",)}, "customers whose orders are out of order", "ada"),
        (OTHER, {"keys": ("bob k1",)}, "keys without their order", "americas in us: bob k1"),
        (COPY, {"left": ("slot move_001",)}, "left behind by a move", "main in us: slot move_001"),
    ],
)  # fmt: skip
def test_a_planted_mistake_is_found_and_nothing_else(
    member: Held, change: dict[str, Any], name: str, words: str
) -> None:
    found = wrong(*(replace(each, **change) if each is member else each for each in (MAIN, COPY, OTHER)))
    assert set(found) == {name}
    assert words in found[name][0]


def test_a_partition_that_nobody_writes_is_no_copy_of_anything() -> None:
    assert "members that differ" in wrong(replace(MAIN, writes=False), COPY, OTHER)


def test_a_region_with_another_map_is_named() -> None:
    assert wrong(MAIN, COPY, OTHER, maps={**MAPS, "us": RANGES[:1]}) == {"partition maps that differ": ("us",)}


def order(second: int, partition: str, customer: str = "ada") -> dict[str, Any]:
    return {"customer": customer, "partition": partition, "at": f"2026-01-01T00:00:{second:02}+00:00"}


def test_two_partitions_that_write_a_customer_at_once_take_turns_too_often() -> None:
    there_and_back = [order(1, "main"), order(2, "americas"), order(3, "main"), order(2, "main", "bob")]
    assert turns(there_and_back, 2) == ()
    # The target wrote, and the source once more behind it, before the homes came back.
    late = [*there_and_back, order(5, "americas"), order(4, "main"), order(6, "main")]
    assert turns(late, 2) == ("ada: main, americas, main, americas, main",)
