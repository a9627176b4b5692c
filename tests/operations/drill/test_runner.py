"""One drill from its beginning to its end, with stand-ins for users, servers and commands."""

import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from components.local.servers.errors import ServerFault
from operations.drill import faults, runner
from operations.drill.audit import Audit
from operations.drill.checks import judged
from operations.drill.expectation import Expected, contradictions
from operations.drill.faults import Faults
from operations.drill.measures import instant
from operations.drill.report import markdown
from operations.drill.result import Result
from operations.drill.runner import Drill
from operations.drill.scenario import Scenario, known
from operations.errors import Fault
from operations.failover.driver import MemberFacts, Observation

REGIONS = ("eu-central", "us-east")


def written(at: float, number: int = 0, region: str = "eu-central") -> dict[str, Any]:
    return {
        "kind": "write",
        "region": "eu-central",
        "key": str(number),
        "item": f"load-{number}",
        "quantity": 1,
        "begun": at - 0.01,
        "ended": at,
        "tries": 1,
        "status": 201,
        "id": f"order-{number}",
        "at": datetime.fromtimestamp(at - 0.005, UTC).isoformat(),
        "written": region,
    }


class Ground:
    """Users whose orders come through while there is a table, and an operator whose commands bring it back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, *, fault: Exception | None = None) -> None:
        self.words: list[tuple[str, ...]] = []
        self.begun: list[str] = []
        self.records: list[dict[str, Any]] = [written(time.time(), 0)]
        self.fault = fault
        self.standing = True
        self.writer = "eu-central"
        self.serving = "full"  # what us-east does
        self.lost: tuple[str, ...] = ()
        self.rows: dict[str, tuple[int, int]] = {}
        self.gone_at, self.dropped_at = 0.0, 0.0
        self.folder = folder
        monkeypatch.setattr(runner, "WARM_SECONDS", 0.0)
        monkeypatch.setattr(runner, "AFTER_SECONDS", 0.0)
        monkeypatch.setattr(runner, "REDUNDANT_SECONDS", 0.05)
        monkeypatch.setattr(runner, "Users", lambda *_, **__: self)
        monkeypatch.setattr(runner.audit, "audit", self.audit)

    def drill(self, scenario: Scenario) -> Drill:
        serving = {"eu-central": "full", "us-east": self.serving}
        regions = [
            SimpleNamespace(name=name, in_use=True, serving=SimpleNamespace(value=serving[name])) for name in REGIONS
        ]
        found = Drill(
            scenario=scenario,
            stack="dev",
            stack_folder=self.folder,
            outputs={"entry": "http://127.0.0.1:1"},
            running=cast("Any", SimpleNamespace(
                regions=regions, phase=2, partitions=[SimpleNamespace(name="main", durability="async")]
            )),
            driver=cast("Any", SimpleNamespace(observe=self.observe, ground=None)),
            partition="main",
            folder=self.folder,
            chance=random.Random(1),
        )  # fmt: skip
        found.operator = cast("Any", SimpleNamespace(run=self.run))
        self.faults = Faults(
            stack_folder=self.folder, addresses=cast("Any", None), slots={}, members={}, cast=cast("Any", None)
        )
        monkey = cast("Any", self.faults)
        monkey.begin = self.begin
        cast("Any", found)._faults = lambda: self.faults
        return found

    def observe(self) -> Observation:
        def member(role: Any) -> MemberFacts:
            return cast("Any", SimpleNamespace(
                reachable=self.standing, role=role, accepts_writes=role == "writer", lag_bytes=0, following="x"
            ))  # fmt: skip

        members = {region: member("writer" if region == self.writer else "replica") for region in REGIONS}
        return cast("Any", SimpleNamespace(writer=self.writer, members=members))

    def begin(self, action: Any) -> None:
        if self.fault is not None:
            raise self.fault
        self.begun.append(action.do)
        self.records.append(written(time.time(), 1))  # while the statement waits
        self.faults.dropped_at = self.dropped_at = time.time() - 0.2
        self.faults.gone_at = self.gone_at = time.time() + 0.001
        self.faults.copied_after = 0.02
        self.lost = ("order-1",)

    def run(self, *words: str) -> str:
        self.words.append(words)
        if "--copy" in words:
            self.records.append(written(time.time() + 0.05, 2))
        return ""

    def await_record(self, wanted: Callable[[dict[str, Any]], bool], *_: Any) -> dict[str, Any]:
        return next(record for record in self.records if wanted(record))

    def end(self) -> list[dict[str, Any]]:
        return self.records

    def audit(self, _members: Any, orders: dict[str, Expected], _load: str) -> Audit:
        rows = {number: (1, 1) for number in orders if number not in self.lost} | self.rows
        return Audit(wrong=dict.fromkeys(REGIONS, tuple(contradictions(orders, rows))), doubled=(), tables={})


@pytest.fixture
def dropped_table() -> Scenario:
    return replace(known()["dropped-table"], seconds=0.0)


def checked(found: Result, scenario: Scenario) -> Result:
    return judged(found, scenario, rto=None, rpo=None)


def test_a_dropped_table_is_restored_to_just_before_and_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dropped_table: Scenario
) -> None:
    ground = Ground(monkeypatch, tmp_path)
    found = ground.drill(dropped_table).run()
    assert (found.faults, ground.begun) == ((), ["drop-table"])
    restore, copy, drop = ground.words
    assert restore[:3] == copy[:3] == drop[:3] == ("restore", "--partition", "main")
    assert restore[3] == "--to"
    assert instant(restore[4]) == pytest.approx(ground.dropped_at, abs=1e-5)
    assert (copy[3:5], drop[3]) == (("--copy", "public.orders"), "--drop")
    # RTO: until the first write after the rows were back. RPO: since the oldest order that nothing brought back.
    begun = next(mark.at for mark in found.marks if mark.kind == "fault")
    assert found.restored == pytest.approx(ground.records[-1]["ended"] - begun, abs=0.002)
    assert found.lost_seconds == pytest.approx(ground.gone_at - instant(ground.records[1]["at"]), abs=0.002)
    assert (found.lost, found.writer, checked(found, dropped_table).verdict) == (1, "eu-central", "passed")
    assert found.took > 0


@pytest.mark.parametrize("fault", [Fault("it broke"), ServerFault("it broke"), OSError("it broke")])
def test_a_round_that_goes_wrong_is_a_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dropped_table: Scenario, fault: Exception
) -> None:
    ground = Ground(monkeypatch, tmp_path, fault=fault)
    found = checked(ground.drill(dropped_table).run(), dropped_table)
    assert (found.verdict, found.faults[0], found.scenario) == ("failed", "it broke", "dropped-table")


def test_a_stack_that_is_not_whole_begins_no_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dropped_table: Scenario
) -> None:
    ground = Ground(monkeypatch, tmp_path)
    drill = ground.drill(dropped_table)
    assert drill.whole() is None
    assert ground.words == [("up", "--yes")]
    ground.standing = False
    found = drill.run()
    assert "before the drill not every member follows" in found.faults[0]
    assert (found.alike, ground.begun) == (False, [])
    assert "not every member follows" in (drill.whole() or "")
    monkeypatch.setattr(runner.journal, "unfinished", lambda _: "operation 007")
    assert drill.whole() == "operation 007 did not come to its end"


class Person(Ground):
    """Whoever moves the writer to a region where nobody is served; users come back with the way back."""

    def begin(self, action: Any) -> None:
        self.killed = self.faults.killed["eu-central"] = time.time()

    def drill(self, scenario: Scenario) -> Drill:
        found = super().drill(scenario)

        def move(command: str, *more: str, killed: bool = False) -> Any:
            assert not killed
            self.words.append((command, *more))
            back = command == "failback"
            source, self.writer = self.writer, "eu-central" if back else "us-east"
            state = SimpleNamespace(
                quorum=False, partition="main",
                kind=command, planned=back, promotes=True, writer=source, target=self.writer, away=None,
                announced=SimpleNamespace(seconds=1.0, bytes=1), fenced_at=time.time(), fenced=None,
            )  # fmt: skip
            since = time.time()
            made = SimpleNamespace(state=state, since=since, events=[{"at": since, "what": "done"}], durations=tuple)
            found.journals.append((cast("Any", made), 0))
            if back:
                self.records.append(written(since + 0.05, 2))
            return made

        cast("Any", found)._move = move
        return found


def test_where_no_service_stands_beside_the_copy_users_come_back_with_the_region(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ground = Person(monkeypatch, tmp_path)
    ground.serving = "none"
    scenario = replace(known()["lost-region-by-hand"], seconds=0.0)
    found = checked(ground.drill(scenario).run(), scenario)
    assert found.faults == ()
    failover, up, failback = ground.words
    assert failover == ("failover", *scenario.answer.words, "--from", "us-east")
    assert {"--old-writer-is-fenced", "--despite-capacity"} <= set(failover)
    assert up == ("up", "--yes")
    assert failback == ("failback", "--to", "eu-central", "--despite-capacity")
    back = ground.records[-1]["ended"] - ground.killed
    assert found.restored == pytest.approx(back, abs=0.005)
    assert found.writes["all"].longest_gap == pytest.approx(back, abs=0.01)
    assert (found.moves[0].pause, found.verdict) == (None, "passed")


def altered(kind: str, at: float, based_on: int, key: str, number: int = 2) -> dict[str, Any]:
    return {
        "kind": kind, "region": "eu-central", "key": key, "id": f"order-{number}", "based_on": based_on,
        "begun": at - 0.01, "ended": at, "tries": 1, "status": 200, "revision": based_on + 1, "quantity": 9,
        "written": "eu-central",
    }  # fmt: skip


@pytest.mark.parametrize(("saved", "verdict"), [(("1", "c1", "c2", "c3"), "passed"), (("1", "c1", "c3"), "failed")])
def test_changes_and_cancellations_that_a_failover_lost_are_lost_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, saved: tuple[str, ...], verdict: str
) -> None:
    ground = Person(monkeypatch, tmp_path)
    ground.serving = "none"
    now = time.time()
    told = [written(now - 0.5, number) for number in (1, 3, 4)]
    told += [altered("change", now - 0.4, 1, "c1", 3), altered("change", now - 0.3, 2, "c2", 3)]
    told += [altered("cancel", now - 0.2, 1, "c3", 4)]
    told += [altered("change", now - 0.1, 1, "c4", 1)]  # of an order that is lost with it
    ground.records += told
    ground.lost, ground.rows = ("order-1",), {"order-3": (1, 1), "order-4": (1, 1)}
    kept = [SimpleNamespace(key=key) for key in (*saved, "c4")]
    tail = SimpleNamespace(saved_at=time.time() + 9, orders=kept[:1], changes=kept[1:])
    monkeypatch.setattr(runner, "tails", lambda _: [tail])
    monkeypatch.setattr(Drill, "_rejoined", lambda _: "rewound")
    scenario = replace(known()["lost-region-by-hand"], seconds=0.0)
    found = checked(ground.drill(scenario).run(), scenario)
    assert (found.faults, found.verdict) == ((), verdict)
    assert (found.lost, found.lost_changes, found.lost_cancels, found.kept) == (5, 3, 1, len(saved) + 1)
    assert found.acknowledged == len(ground.records)
    assert found.lost_seconds == pytest.approx(ground.killed - instant(told[0]["at"]), abs=0.002)
    assert "5 (3 changes and 1 cancellations among them)" in markdown(found)
    done_twice = replace(found, wrong={runner.DONE_TWICE: ("order-3: revision 4",)})
    assert runner.DONE_TWICE in {check.name for check in checked(done_twice, scenario).checks if not check.met}


def test_where_one_stands_the_drill_waits_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ground = Person(monkeypatch, tmp_path)
    scenario = replace(known()["lost-region-by-hand"], seconds=0.0)
    with pytest.raises(StopIteration):  # of the stand-in: us-east never writes
        ground.drill(scenario).run()


class Table:
    """A table that is gone on each member a while after it was dropped at the writer."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = dict.fromkeys(REGIONS, 0)
        self.dropped: str | None = None

    @contextmanager
    def session(self, _folder: Path, region: str, *_: str) -> Iterator[Any]:
        yield SimpleNamespace(execute=lambda *words: self.execute(region, str(words[0])))

    def execute(self, region: str, statement: str) -> Any:
        answer: Any = None
        if "clock_timestamp" in statement:
            answer = (1234.5,)
        elif statement.startswith("drop table"):
            self.dropped = region
        else:
            self.asked[region] += 1
            answer = (self.dropped is None or self.asked[region] < 3,)
        return SimpleNamespace(fetchone=lambda: answer)


def test_a_table_is_dropped_at_the_writer_and_waited_for_everywhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dropped_table: Scenario
) -> None:
    table = Table()
    monkeypatch.setattr(faults, "session", table.session)
    found = Faults(
        stack_folder=tmp_path,
        addresses=cast("Any", None),
        slots={},
        members=cast("Any", {region: SimpleNamespace(endpoint=region) for region in REGIONS}),
        cast=cast("Any", SimpleNamespace(find=lambda _: ("us-east",))),
    )
    (action,) = dropped_table.actions
    found.prepare(action)
    before = time.time()
    found.begin(action)
    assert table.dropped == "us-east"
    assert table.asked == dict.fromkeys(REGIONS, 3)
    assert found.dropped_at == 1234.5
    assert found.gone_at is not None
    assert found.gone_at >= before
    assert found.copied_after is not None
    table.asked = dict.fromkeys(REGIONS, -(10**9))
    monkeypatch.setattr(faults, "COPIED_SECONDS", 0.01)
    with pytest.raises(Fault, match="eu-central, us-east still has"):
        found.begin(action)


class Partitions(Person):
    """Three partitions, of which a test says who writes them; customers of each order all the while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **writers: str) -> None:
        super().__init__(monkeypatch, folder)
        self.writers = {"americas": "us-east", "asia": "us-east", **writers}
        self.there = dict(self.writers)
        self.lacks: dict[str, tuple[str, ...]] = {}
        monkeypatch.setattr(runner.audit, "states", self.states)
        monkeypatch.setattr(runner.journal, "last", self.last)

    def drill(self, scenario: Scenario) -> Drill:
        found = super().drill(scenario)
        found.others = cast("Any", {name: self.other(name) for name in self.writers})
        return found

    def states(self, name: Any, orders: Collection[str]) -> dict[str, tuple[int, int]]:
        return {number: (1, 1) for number in orders if number not in self.lacks.get(name, ())}

    def other(self, name: str) -> Any:
        @contextmanager
        def owner(*_: Any) -> Iterator[Any]:
            yield name

        def observe() -> Any:
            facts = SimpleNamespace(reachable=True, role="writer", accepts_writes=True)
            return SimpleNamespace(writer=self.there[name], members={self.there[name]: facts})

        return SimpleNamespace(observe=observe, ground=SimpleNamespace(owner=owner))

    def run(self, *words: str) -> str:
        if words[0] in ("failover", "failback"):
            self.there[words[2]] = "us-east" if words[0] == "failover" else words[words.index("--to") + 1]
        return super().run(*words)

    def last(self, _: Path, partition: str) -> Any:
        state = SimpleNamespace(partition=partition, target=self.there[partition])
        return SimpleNamespace(state=state, since=time.time(), outcome="done")


def elsewhere(partition: str, number: int, **change: Any) -> dict[str, Any]:
    return {**written(time.time(), number, "us-east"), "customer": partition, "partition": partition, **change}


@pytest.mark.parametrize(
    ("partition", "writers", "expected"),
    [
        ("main", {}, ["failover", "up", "failback"]),
        ("main", {"asia": "eu-central"}, ["failover", "failover asia", "up", "failback", "failback asia"]),
        ("africa", {"main": "eu-central"}, ["failover main", "failover", "up", "failback", "failback main"]),
    ],
)
def test_a_lost_region_moves_every_partition_that_it_wrote_and_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, partition: str, writers: dict[str, str], expected: list[str]
) -> None:
    ground = Partitions(monkeypatch, tmp_path, **writers)
    ground.serving = "none"
    scenario = replace(known()["lost-region-by-hand"], seconds=0.0)
    ground.records += [elsewhere("americas", 7), elsewhere("asia", 8)]
    drill = ground.drill(scenario)
    drill.partition = partition
    drill.running.partitions[0].name = partition  # type: ignore[misc]
    found = checked(drill.run(), scenario)
    assert found.faults == ()
    said = [" ".join((words[0], *(words[2:3] if words[1:2] == ("--partition",) else ()))) for words in ground.words]
    assert said == expected
    assert [each.partition for each in found.elsewhere] == [name for name in ground.writers if name not in writers]
    assert (found.elsewhere[0].answered, found.verdict) == (1, "passed")


def test_a_request_of_another_partition_that_fails_fails_the_drill(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ground = Partitions(monkeypatch, tmp_path)
    ground.serving = "none"
    scenario = replace(known()["lost-region-by-hand"], seconds=0.0)
    failed = {key: value for key, value in elsewhere("asia", 9).items() if key not in ("status", "id", "partition")}
    ground.records += [elsewhere("americas", 7), elsewhere("asia", 8), failed]
    ground.lacks = {"americas": ("order-7",)}
    found = checked(ground.drill(scenario).run(), scenario)
    by_name = {each.partition: (each.answered, each.failed, each.lost) for each in found.elsewhere}
    assert by_name == {"americas": (1, 0, 1), "asia": (1, 1, 0)}
    assert [check.name for check in found.checks if not check.met] == [
        "requests of americas that failed", "requests of asia that failed",
    ]  # fmt: skip
