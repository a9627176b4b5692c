"""A drill of a move of homes, with stand-ins for users, databases and commands."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from operations.drill import homes_drill, partners, report, runner
from operations.drill.checks import judged
from operations.drill.faults import Faults
from operations.drill.homes_audit import Held
from operations.drill.homes_drill import HomesDrill, switch_as_seen
from operations.drill.places import Cast
from operations.drill.result import HomesMove, Result
from operations.drill.scenario import Scenario, known
from operations.errors import Fault, Refused
from operations.partitions import journal, move

RANGES = [["", "main"], ["01/", "americas"], ["02/", "main"]]
PEOPLE = {"ada": "00/eu-central/10", "bob": "00/eu-central/90", "eve": "01/us-east/00"}
WRITERS = {"main": "eu-central", "americas": "us-east"}


def order(at: float, number: int, customer: str, partition: str = "main", took: float = 0.01) -> dict[str, Any]:
    return {
        "kind": "write", "region": "eu-central", "key": str(number), "item": f"x-{number}", "customer": customer,
        "quantity": 1, "begun": at - took, "ended": at, "tries": 1, "status": 201, "id": f"order-{number}",
        "partition": partition,
        "at": datetime.fromtimestamp(at - 0.001, UTC).isoformat(), "written": WRITERS[partition],
    }  # fmt: skip


class Stack:
    """Two partitions; a move takes no time and leaves a record, and the audit finds what a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **left: Any) -> None:
        self.folder, self.words, self.left = folder, [], left
        self.records: list[dict[str, Any]] = [order(time.time(), 0, "ada")]
        self.undone, self.breaks, self.where = False, False, dict.fromkeys(WRITERS, "") | WRITERS
        self.faults = Faults(
            stack_folder=folder, addresses=cast("Any", None), slots={}, members={}, cast=cast("Any", None)
        )
        cast("Any", self.faults).begin = lambda action: self.faults.killed.update({action.where: time.time()})
        for name in ("WARM_SECONDS", "AFTER_SECONDS"):
            monkeypatch.setattr(runner, name, 0.0)
        monkeypatch.setattr(runner, "Users", lambda *_, **__: self)
        copy = {"ranges": RANGES, "version": 1}
        monkeypatch.setattr(homes_drill.partition_map, "newest", lambda _: copy)
        monkeypatch.setattr(homes_drill.partition_map, "read", lambda *_: copy)
        monkeypatch.setattr(homes_drill.home_move, "content", lambda *_: SimpleNamespace(total=40))
        monkeypatch.setattr(homes_drill.homes_audit, "gather", lambda *_: self.members())
        monkeypatch.setattr(homes_drill.operations_journal, "last", self.last)

    def members(self) -> list[Held]:
        orders = tuple((each["id"], each["item"], 1, 1) for each in self.records)
        owned = {"main": (("", True), ("01/", False)), "americas": (("", False), ("01/", True))}
        return [
            Held(
                partition=name, region=region, writes=True, tables={},
                customers={who: home for who, home in PEOPLE.items() if home.startswith("01") == (name != "main")},
                orders=orders if name == "main" else (), ranges=owned[name],
                **({"homes": (), **self.left} if name == "main" else {"homes": ()}),
            )
            for name, region in WRITERS.items()
        ]  # fmt: skip

    def driver(self, name: str) -> Any:
        @contextmanager
        def owner(*_: Any) -> Iterator[Any]:
            found = [each for each in PEOPLE.items() if each[1].startswith("01") == (name != "main")]
            yield SimpleNamespace(execute=lambda *_: SimpleNamespace(fetchall=lambda: found))

        def observe() -> Any:
            facts = SimpleNamespace(reachable=True, role="writer", accepts_writes=True)
            return SimpleNamespace(writer=self.where[name], members={self.where[name]: facts})

        return SimpleNamespace(ground=SimpleNamespace(owner=owner, members={}), observe=observe)

    def drill(self, scenario: Scenario) -> HomesDrill:
        regions = [SimpleNamespace(name=name, in_use=True) for name in WRITERS.values()]
        partitions = [SimpleNamespace(name=name, durability="async") for name in WRITERS]
        found = HomesDrill(
            scenario=replace(scenario, seconds=0.0), stack="dev", stack_folder=self.folder, outputs={"entry": ""},
            running=cast("Any", SimpleNamespace(regions=regions, partitions=partitions, phase=5)),
            driver=self.driver("main"), others={"americas": self.driver("americas")}, partition="main",
            target="americas", folder=self.folder, chance=random.Random(1),
        )  # fmt: skip
        cast("Any", found)._faults = lambda: self.faults
        found.operator = found.mover.operator = cast("Any", SimpleNamespace(run=self.run))
        return found

    def run(self, *words: str) -> str:
        self.words.append(words)
        if words[:2] == ("partition", "move"):
            if "--resume" in words:
                left = journal.unfinished(self.folder)
                assert left is not None
            else:
                source = "main" if words[-2] == "americas" else "americas"
                name = journal.next_name(self.folder)
                state = move.State(
                    name=name, first="00/eu-central/90", last="00/eu-central/91", source=source, target=words[-2]
                )
                left = journal.new(self.folder, state)
            self.carry(left)
        elif words[0] in ("failover", "failback"):
            self.where[words[2]] = "us-east" if words[0] == "failover" else words[words.index("--to") + 1]
        return ""

    def carry(self, record: journal.Journal) -> None:
        """The switch takes 0.3 s, of which 0.2 s are its floor, and stands between two orders of bob."""
        begun = time.time() - 2.0
        took = {"copy": 2.0, "close": 0.1, "ship": 0.06, "compare": 0.05, "open": 0.04, "hand_over": 0.05}
        at = begun
        for step in move.FORWARD:
            record.events.append({"at": at, "what": "begun", "step": step})
            at += took.get(step, 0.0) if step != "copy" else 0.0
            record.events.append({"at": at, "what": "ended", "step": step, "seconds": took.get(step, 0.0)})
        record.close("undone" if self.undone else "done")
        n = len(self.records)
        self.records += [order(begun - 0.5, n, "bob", took=0.02), order(at + 0.1, n + 1, "bob", took=0.33)]

    def last(self, _: Path, partition: str) -> Any:
        state = SimpleNamespace(
            partition=partition, kind="failback", planned=True, writer="", target=self.where[partition], quorum=False,
            announced=None, fenced_at=None, fenced=None, away=None,
        )  # fmt: skip
        since = time.time()
        return SimpleNamespace(
            state=state, since=since, outcome="done", events=[{"at": since, "what": "done"}], durations=tuple
        )

    def await_record(self, *_: Any) -> dict[str, Any]:
        return self.records[0]

    def end(self) -> list[dict[str, Any]]:
        return self.records


def checked(drill: HomesDrill) -> Result:
    return judged(drill.run(), drill.scenario, rto=None, rpo=None)


def test_homes_go_there_and_back_and_the_switch_stands_next_to_its_floor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack = Stack(monkeypatch, tmp_path)
    found = checked(stack.drill(known()["move"]))
    assert (found.faults, found.verdict) == ((), "passed"), [each for each in found.checks if not each.met]
    homes = ("partition", "move", "--homes", "00/eu-central/90-90", "--to")
    assert stack.words == [(*homes, "americas", "--yes"), (*homes, "main", "--yes")]
    there, back = found.homes
    assert (there.source, there.target, back.source, back.target) == ("main", "americas", "americas", "main")
    assert (there.customers, there.rows, there.rows_a_second) == (1, 40, 20.0)
    assert there.floor == {"transactions in flight": 0.1, "last change": 0.06, "first commit": 0.04}
    assert (there.pause, there.ratio) == (pytest.approx(0.3, abs=0.001), 1.5)
    assert there.slowest == pytest.approx(0.33, abs=0.001)
    assert there.users_ratio == pytest.approx(0.33 / 0.22, abs=0.01)
    assert there.longest_gap is not None
    assert there.longest_gap >= 0.8
    text = report.markdown(found)
    assert "| main to americas, done | 1 customers, 40 rows | 20 | 0.300 s | 0.200 s = transactions" in text
    assert "written nowhere for 0.300 s" in report.line(found)
    ratio = report.ratio(known()["move"], [found])
    assert ratio is not None
    assert (ratio.met, ratio.found) == (True, "1.50")
    table = report.table([found.as_json()])
    assert "| 5, async | move | 2 / 0 | - | 20.00 / 20.00 / 20.00 | 0.300 / 0.300 / 0.300 | 0.200" in table


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ({"gaps": ("ada",)}, "customers whose orders have gaps"),
        ({"left": ("slot move_001",)}, "left behind by a move"),
        ({"homes": ("01/us-east/00",)}, "rows outside their home's partition"),
    ],
)
def test_what_the_audit_finds_fails_the_drill(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left: dict[str, Any], words: str
) -> None:
    stack = Stack(monkeypatch, tmp_path, **left)
    found = checked(stack.drill(known()["move"]))
    assert [each.name for each in found.checks if not each.met] == [words]


def test_an_acknowledged_order_that_no_partition_has_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = Stack(monkeypatch, tmp_path)
    rest = stack.members
    stack.members = lambda: [replace(each, orders=each.orders[1:]) for each in rest()]  # type: ignore[method-assign]
    found = checked(stack.drill(known()["move"]))
    assert (found.lost, [each.name for each in found.checks if not each.met]) == (1, ["acknowledged writes lost"])


def test_what_was_undone_has_no_way_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = Stack(monkeypatch, tmp_path)
    stack.undone = True
    found = checked(stack.drill(known()["move"]))
    assert (len(stack.words), [each.outcome for each in found.homes]) == (1, ["undone"])
    assert (found.homes[0].pause, found.homes[0].ratio) == (None, None)


@pytest.mark.parametrize(
    ("writers", "names"), [(WRITERS, ["main"]), ({**WRITERS, "americas": "eu-central"}, ["main", "americas"])]
)
def test_a_lost_region_is_answered_as_an_operator_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writers: dict[str, str], names: list[str]
) -> None:
    stack = Stack(monkeypatch, tmp_path)
    stack.where = dict(writers)
    drill = stack.drill(known()["lost-region-mid-move"])
    state = move.State(
        name="move_001", first="00/eu-central/90", last="00/eu-central/91", source="main", target="americas"
    )

    def interrupted(_run: Any, step: str, _seconds: float, during: Any) -> str:
        journal.new(tmp_path, state)
        during()
        return step

    drill.chance = cast("Any", SimpleNamespace(choice=lambda given: given[0]))
    cast("Any", drill.mover).start = lambda *_: SimpleNamespace(end=lambda: 1)
    monkeypatch.setattr(homes_drill.mover, "interrupted", interrupted)
    found = checked(drill)
    assert found.faults == ()
    commands = [(words[0], *words[2:3]) if words[0].startswith("fail") else words[:1] for words in stack.words]
    assert commands == [
        *(("failover", name) for name in names), ("up",), *(("failback", name) for name in names),
        ("partition",), ("partition",), ("up",),
    ]  # fmt: skip
    assert stack.words[0][3:] == ("--yes", "--max-loss", "any", "--from", "us-east")
    assert "--resume" in stack.words[2 * len(names) + 1]
    assert (found.homes[0].lost, found.homes[0].lost_in) == ("eu-central of main", "clear")
    assert "eu-central of main lost in clear" in report.line(found)
    assert "| clear 1 |" in report.table([found.as_json()])
    assert [each.partition for each in found.moves] == [name for name in names for _ in range(2)]


def test_a_round_that_went_wrong_leaves_no_move_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = Stack(monkeypatch, tmp_path)
    drill = stack.drill(known()["move"])
    state = move.State(name="move_001", first="00/", last="01/", source="main", target="americas")
    journal.new(tmp_path, state)
    assert drill.whole() is None
    assert stack.words[-1] == ("partition", "move", "--resume", "--yes")

    def refuse(*words: str) -> str:
        if "--resume" in words:
            raise Fault("12 orders are not at the target")
        return ""

    journal.new(tmp_path, replace(state, name="move_002"))
    drill.operator = cast("Any", SimpleNamespace(run=refuse))
    assert drill.whole() == "12 orders are not at the target"


def test_half_of_a_regions_customers_as_the_command_takes_them() -> None:
    counts = {"00/eu/10": 2, "00/eu/40": 1, "00/eu/90": 3, "00/us/00": 1, "A-old": 9}
    assert partners.half(counts, [("", "01/"), ("A", "~")]) == "00/eu/90-90"
    # What was moved away lies in between.
    assert partners.half(counts, [("", "00/eu/20"), ("00/eu/50", "01/")]) == "00/eu/90-90"
    assert partners.half({"00/eu/10": 1}, [("", "01/")]) == "00/eu/10-10"
    assert partners.half({}, [("", "01/")]) is None


def test_an_order_that_waited_is_seen_and_one_of_another_time_is_not() -> None:
    orders = [order(9.5, 1, "bob", took=0.1), order(10.4, 2, "bob", took=0.5), order(30.0, 3, "bob", took=9.0)]
    found = switch_as_seen(orders, closed=10.0, said=10.3)
    assert found == {"longest_gap": 0.9, "slowest": 0.5, "ordinary": 0.1}
    assert set(switch_as_seen([], closed=10.0, said=10.3).values()) == {None}


def test_homes_stay_where_residency_would_not_let_them_back() -> None:
    grounds: Any = {name: SimpleNamespace(members=("eu",)) for name in ("main", "bound", "free")}
    facts = SimpleNamespace(name="eu", facts="eu")

    class Rules(SimpleNamespace):
        primary_jurisdictions = None
        copy_jurisdictions = None

    topology: Any = SimpleNamespace(regions=[facts], partition=lambda name: Rules(name=name))
    refused = {("bound", "main")}

    def require(source: str, target: str, *_: Any) -> None:
        if (source, target) in refused:
            raise Refused("residency forbids it.")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partners.homes, "require_residency", require)
        writers = dict.fromkeys(grounds, "eu")
        assert partners.partner(topology, grounds, writers, "main") == "free"
        del grounds["free"]
        with pytest.raises(Refused, match="residency forbids it"):
            partners.partner(topology, grounds, writers, "main")


def test_an_undone_move_has_no_figures() -> None:
    found = HomesMove(
        name="move_001", first="a", last="b", source="main", target="americas", outcome="undone", customers=1, rows=1,
        seconds=1.0, copied=None, pause=None, floor={},
    )  # fmt: skip
    assert (found.ratio, found.users_ratio, found.rows_a_second) == (None, None, None)


def test_the_region_of_either_partition_is_a_place_of_a_move_alone() -> None:
    cast_of = Cast(regions=("eu",), members=("eu",), used=("eu",), writer="eu")
    assert known()["lost-region-mid-move"].actions[0].where == "either"
    with pytest.raises(Refused, match="no region of this stack"):
        cast_of.find("either")
