"""When a difference is believed, who has which homes, and that everything found has a mend: without any server."""

import json
import random
import shlex
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.local.servers.home_ranges import Ranges, with_range
from operations.partitions import check_homes, check_mends
from operations.partitions.check import (
    LARGEST,
    MISSING,
    SMALLEST,
    STATEMENT_SECONDS,
    Row,
    Suspect,
    differing,
    next_size,
    steady,
)
from operations.partitions.check_homes import Claims, Range
from operations.partitions.check_mends import Words
from operations.partitions.check_report import EXAMPLES, TEXT, Compared, NotCompared, Outcome, document, findings, lines
from operations.partitions.move import State
from topology.homes import born

WORDS = Words(
    command=lambda *words: shlex.join(["./meridian", *words]),
    writers={"main": "main-a", "americas": "americas-b"},
    folders={"main-a": "/data/main-a", "main-b": "/data/main-b"},
    regions={"main-a": "a", "main-b": "b", "americas-b": "b"},
    maps={"a": "/maps/a.json", "b": "/maps/b.json"},
    newest="a",
)

# --- rows that differ -------------------------------------------------------------------------------------------------


def versions(seed: int, count: int, steps: int) -> list[dict[tuple[str, ...], Row]]:
    """A table through its transactions: rows come, change and go, and hold again what they held before."""
    dice = random.Random(seed)
    states: list[dict[tuple[str, ...], Row]] = [
        {(str(n),): Row(hash=f"{n}.0", xmin="1", xmax="0") for n in range(count)}
    ]
    for step in range(1, steps):
        now = dict(states[-1])
        key = (str(dice.randrange(count + 2)),)
        if key in now and dice.random() < 0.3:
            del now[key]
        else:
            now[key] = Row(hash=f"{key[0]}.{dice.randrange(3)}", xmin=str(step), xmax="0")
        states.append(now)
    return states


@given(
    seed=st.integers(0, 10_000),
    looks=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=3),
)
def test_a_replica_that_follows_is_never_blamed(seed: int, looks: list[tuple[int, int, int]]) -> None:
    """Whatever the writer did before, between and after, and wherever between the replica is."""
    states = versions(seed, 4, 82)
    at = 0
    told: list[list[Suspect]] = []
    for gap, ahead, more in looks:
        before = at + gap
        replica = before + ahead
        after = replica + more
        at = after
        found = differing(states[before], states[replica], states[after], ())
        told.append(
            [Suspect(kind="row_differs", partition="main", key=(("id", key[0]),), value=v) for key, v in found.items()]
        )
    turns = iter(told)
    assert steady(lambda: next(turns), sleep=lambda _: None) == []


@given(
    seed=st.integers(0, 10_000),
    looks=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=3),
    damage=st.sampled_from(("changed", "missing", "extra")),
)
def test_a_row_that_stays_wrong_is_always_told(seed: int, looks: list[tuple[int, int, int]], damage: str) -> None:
    """Also where the writer changes that very row all the while, unless the replica has none."""
    states = versions(seed, 4, 82)
    key = ("extra",) if damage == "extra" else ("kept",)
    at = 0
    told: list[list[Suspect]] = []
    for gap, ahead, more in looks:
        before, replica = at + gap, at + gap + ahead
        after = at = replica + more
        writer = [dict(states[step]) for step in (before, after)]
        there = dict(states[replica])
        if damage == "extra":
            there[key] = Row(hash="nobody's", xmin="1", xmax="0")
        else:
            for step, state in zip((before, after), writer, strict=True):
                version = 1 if damage == "missing" else step
                state[key] = Row(hash=f"kept.{version}", xmin=str(version), xmax="0")
            if damage == "changed":
                there[key] = Row(hash="other", xmin="1", xmax="0")
        found = differing(writer[0], there, writer[1], ())
        told.append(
            [Suspect(kind="row_differs", partition="main", key=(("id", k[0]),), value=v) for k, v in found.items()]
        )
    turns = iter(told)
    (suspect,) = steady(lambda: next(turns), sleep=lambda _: None)
    assert suspect.key == (("id", key[0]),)
    assert (suspect.value == MISSING) == (damage == "missing")


def test_what_waits_for_its_standbys_is_no_difference() -> None:
    old, new = Row(hash="old", xmin="7", xmax="9"), Row(hash="new", xmin="9", xmax="0")
    assert differing({("1",): old}, {("1",): new}, {("1",): old}, ()) == {("1",): "new of 9"}
    assert differing({("1",): old}, {("1",): new}, {("1",): old}, ("9",)) == {}
    assert differing({("1",): old}, {}, {("1",): old}, ("9",)) == {}  # a deletion
    assert differing({}, {("1",): new}, {}, ("9",)) == {}
    assert differing({}, {("1",): new}, {}, ("8",)) == {("1",): "new of 9"}


def test_nothing_is_looked_at_twice_that_was_well() -> None:
    looks: list[int] = []
    assert steady(lambda: looks.append(1) or [], sleep=lambda _: None) == []
    assert looks == [1]


@given(size=st.integers(SMALLEST, LARGEST), cost=st.floats(1e-7, 1.0))
def test_parts_come_to_take_the_time_that_a_statement_should(size: int, cost: float) -> None:
    for _ in range(20):
        following = next_size(size, size * cost)
        assert SMALLEST <= following <= LARGEST
        assert following <= 2 * size
        size = following
    assert size in (SMALLEST, LARGEST) or size * cost == pytest.approx(STATEMENT_SECONDS, rel=0.05)


# --- homes ------------------------------------------------------------------------------------------------------------

SLOTS = {"main": 0, "americas": 1, "asia": 2}


def founded(slot: int) -> list[Range]:
    """As `found_partition` does (service/schema.sql)."""
    owned = {"": slot == 0, born(slot)[0]: True, born(slot)[1]: False, "A": slot == 0}
    return [Range(first=first, owned=each) for first, each in owned.items()]


def changed(ranges: list[Range], first: str, last: str, **change: object) -> list[Range]:
    """As `begin_range` and an update do."""
    for bound in (first, last):
        if bound not in [each.first for each in ranges]:
            covering = max((each for each in ranges if each.first <= bound), key=lambda each: each.first)
            ranges = sorted([*ranges, replace(covering, first=bound)], key=lambda each: each.first)
    return [replace(each, **change) if first <= each.first < last else each for each in ranges]  # pyright: ignore


def start() -> Claims:
    mapped: Ranges = (("", "main"),)
    for name, slot in SLOTS.items():
        if slot:
            mapped = with_range(mapped, *born(slot), name)
    return Claims(
        databases={name: founded(slot) for name, slot in SLOTS.items()},
        slots=SLOTS,
        members={name: f"{name}-writer" for name in SLOTS},
        map=mapped,
    )


def set_at(claims: Claims, name: str, first: str, last: str, **change: object) -> Claims:
    return replace(
        claims, databases={**claims.databases, name: changed(list(claims.databases[name]), first, last, **change)}
    )


HOME = st.builds("{:02d}/{}/{:02x}".format, st.integers(0, 2), st.sampled_from(("eu", "us")), st.integers(0, 255))
NAME = st.sampled_from(tuple(SLOTS))


@given(moves=st.lists(st.tuples(HOME, HOME, NAME), max_size=4))
def test_moves_that_came_to_their_end_leave_everything_in_order(moves: list[tuple[str, str, str]]) -> None:
    claims = start()
    assert check_homes.suspects(claims) == []
    for number, (one, two, target) in enumerate(moves):
        first, last = min(one, two), max(one, two) + "~"
        source = check_homes.written_by(claims.databases, first)
        # A move takes homes of one partition; those of others in between are left out here.
        spans = [
            (max(first, low), min(last, high))
            for low, high in stretches(claims)
            if low < last and high > first and check_homes.written_by(claims.databases, max(first, low)) == source
        ]
        if source is None or source == target:
            continue
        for low, high in spans:
            state = State(name=f"move_{number}", first=low, last=high, source=source, target=target)
            claims = replace(claims, move=state)
            claims = set_at(claims, source, low, high, moving_to=target)
            assert check_homes.suspects(claims) == []
            assert "move_note" in {each.kind for each in check_homes.suspects(replace(claims, move=None))}
            claims = set_at(claims, source, low, high, owned=False)
            assert check_homes.suspects(claims) == []
            assert "homes_of_none" in {each.kind for each in check_homes.suspects(replace(claims, move=None))}
            claims = set_at(claims, target, low, high, owned=True, moving_to=None, moved_to=None)
            claims = set_at(claims, source, low, high, moving_to=None, moved_to=target)
            assert check_homes.suspects(claims) == []
            claims = replace(claims, map=with_range(claims.map, low, high, target), move=None)
            assert check_homes.suspects(claims) == []


def stretches(claims: Claims) -> list[tuple[str, str]]:
    bounds = sorted({each.first for ranges in claims.databases.values() for each in ranges} | {"~"})
    return list(pairwise(bounds))


@given(home=HOME, name=NAME)
def test_a_home_with_two_writers_is_told_though_a_move_is_under_way(home: str, name: str) -> None:
    claims = start()
    owner = check_homes.written_by(claims.databases, home)
    assert owner is not None
    if name == owner:
        return
    last = home + "~"
    claims = set_at(claims, name, home, last, owned=True)
    move = State(name="move_001", first=home, last=last, source=owner, target=name)
    for each in (claims, replace(claims, move=move)):
        (found,) = check_homes.suspects(each)
        assert (found.kind, found.partition, found.value, found.member) == (
            "homes_of_two",
            name,
            owner,
            f"{name}-writer",
        )
        assert dict(found.key) == {"first": home, "last": last}


def test_homes_that_nobody_has_and_ways_that_lead_nowhere_are_told() -> None:
    closed = set_at(start(), "americas", "01/us/", "01/us0", owned=False)
    (found,) = check_homes.suspects(closed)
    assert (found.kind, found.partition, found.key) == (
        "homes_of_none",
        "americas",
        (("first", "01/us/"), ("last", "01/us0")),
    )
    astray = set_at(start(), "americas", "02/", "03/", moved_to="americas")
    assert [each.kind for each in check_homes.suspects(astray)] == ["homes_astray"]
    # Over another partition is a way, round in a circle is none.
    over = set_at(set_at(start(), "americas", "00/", "01/", moved_to="asia"), "asia", "00/", "01/", moved_to="main")
    assert check_homes.suspects(over) == []
    circle = set_at(over, "asia", "00/", "01/", moved_to="americas")
    assert {each.kind for each in check_homes.suspects(circle)} == {"homes_astray"}
    old = replace(start(), map=(("", "main"),))
    assert {(each.kind, each.partition) for each in check_homes.suspects(old)} == {
        ("map_contradicts", "americas"),
        ("map_contradicts", "asia"),
    }


# --- what is told -----------------------------------------------------------------------------------------------------

KEY = {"customer": "o'hara", "sequence": "3", "id": "0f", "key": "k", "home": "00/a/7f", "digest": "\\x01"}
KEY |= {"first": "00/a/", "last": "00/a0", "slot": "main_c", "publication": "move_001", "subscription": "move_001"}


@pytest.mark.parametrize("kind", TEXT)
def test_everything_that_is_found_says_how_it_is_mended(kind: str) -> None:
    found = Suspect(
        kind=kind,  # pyright: ignore
        partition="main",
        member="main-b",
        other="b" if kind == "map_old" else "americas",
        table="public.orders",
        key=tuple(KEY.items()),
        home="00/a/7f",
        value="main",
    )
    (finding,) = findings([found], {found.group: 1}, WORDS)
    assert finding.count == 1
    assert finding.mend
    assert "{" not in finding.what
    for line in finding.mend:
        assert line.startswith(("./meridian ", "cp ", "mv ", "pid=", "in /maps/")), line
        assert "'o'hara'" not in "".join(shlex.split(line)) if line.startswith("./") else True
    assert set(check_mends._MENDS) == set(TEXT)


def test_many_rows_of_one_trouble_are_one_finding_and_only_some_are_shown() -> None:
    rows = [
        Suspect(kind="orphaned_key", partition="main", member="main-a", table="t", key=(("key", str(n)),))
        for n in range(100)
    ]
    outcome = Outcome(
        compared=(Compared(partition="main", writer="main-a", rows=1000, tables=7, members=("main-b",)),),
        findings=findings(rows, {rows[0].group: 300}, WORDS),
        not_compared=(),
        under_way=(),
        seconds=1.25,
    )
    (finding,) = outcome.findings
    assert (finding.count, len(finding.examples), len(finding.mend)) == (300, 100, EXAMPLES)
    told = list(lines(outcome))
    assert sum("    key " in line for line in told) == EXAMPLES
    assert "300 things differ." in told
    assert told[-1] == "1000 rows were compared in 1.2 s."
    assert json.loads(json.dumps(document(outcome)))["findings"][0]["count"] == 300


def test_what_was_not_compared_is_not_well() -> None:
    good = Outcome(compared=(), findings=(), not_compared=(), under_way=("a move",), seconds=1)
    assert good.well
    assert not replace(good, not_compared=(NotCompared(what="main-b", why="lags"),)).well
    restless = Compared(partition="main", writer="main-a", rows=9, tables=1, members=("main-b",), restless=2)
    assert not replace(good, compared=(restless,)).well
    assert any("2 rows" in line for line in lines(replace(good, compared=(restless,))))
