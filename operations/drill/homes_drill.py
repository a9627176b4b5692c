"""A drill of a move of homes: there and back under load, with the command killed on the way, or a region lost."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from components.local.servers import home_move, partition_map
from components.local.servers.errors import ServerFault
from components.local.servers.home_ranges import Ranges
from components.local.servers.partition_map import MAIN
from components.local.servers.postgres_files import DATABASE
from operations.drill import expectation, homes_audit, measures, mover, partners, servers
from operations.drill.expectation import expected
from operations.drill.measures import Window
from operations.drill.mover import Mover
from operations.drill.result import HomesMove, Move, Result
from operations.drill.runner import DONE_TWICE, Drill, answerable, load_name
from operations.drill.scenario import Action
from operations.errors import Fault
from operations.failover import journal as operations_journal
from operations.partitions import homes, journal, move, runner
from operations.partitions.journal import Journal

PEOPLE = "select customer, home from public.customers"
AROUND_SECONDS = 1.0  # of the users' orders before and after a switch
TOLD = ("ended", "again", "turned", "failed")
FLOOR = {"close": "transactions in flight", "ship": "last change", "open": "first commit"}


@dataclass(frozen=True, kw_only=True)
class Carried:
    """One move as the drill knew it when it began."""

    record: Journal
    customers: frozenset[str]
    rows: int
    killed: tuple[str, ...] = ()
    lost: str = ""
    lost_in: str = ""


@dataclass
class HomesDrill(Drill):
    target: str = ""  # the partition that gets the homes, and gives them back

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mover = Mover(self.operator, self.stack_folder, self.chance)
        self.carried: list[Carried] = []

    def whole(self) -> str | None:
        if (why := super().whole()) is not None or journal.unfinished(self.stack_folder) is None:
            return why
        try:
            self.operator.run(*mover.RESUME)
        except Fault as fault:
            return str(fault)
        return None

    # --- what happens ------------------------------------------------------------------------------------------------

    def _own(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return records  # homes change hands

    def _untouched(self) -> list[str]:
        moved = {self.target, *(each.state.partition for each, _ in self.journals)}
        return [name for name in self.others if name not in moved]

    def _break(self) -> None:
        """It breaks during the answer."""

    def _answer(self, watcher: Any) -> None:
        first, last = homes.parse(wanted := self._choose())
        given = ("partition", "move", "--homes", wanted, "--to", self.target, "--yes")
        back = ("partition", "move", "--homes", wanted, "--to", self.partition, "--yes")
        if self._carry(given, first, last, self.partition).outcome == "done":
            time.sleep(self.scenario.seconds)
            self._carry(back, first, last, self.target, again=True)

    def _choose(self) -> str:
        """Half of the customers of one region."""
        people = self._people(self.partition)
        counts: dict[str, int] = {}
        for home in people.values():
            counts[home] = counts.get(home, 0) + 1
        known = partition_map.newest(self.stack_folder) or {}
        ranges: Ranges = tuple((first, name) for first, name in known.get("ranges", [["", MAIN]]))
        found = partners.half(counts, homes.of(ranges, self.partition))
        if found is None:
            raise Fault(f"{self.partition} has no customers whose homes could be moved")
        return found

    def _people(self, partition: str) -> dict[str, str]:
        with self._writer_of(partition) as connection:
            return {str(customer): str(home) for customer, home in connection.execute(PEOPLE).fetchall()}

    def _writer_of(self, partition: str) -> Any:
        driver = self.drivers[partition]
        writer = driver.observe().writer
        if writer is None:
            raise Fault(f"nobody writes {partition}")
        return driver.ground.owner(writer, DATABASE)

    def _carry(self, words: tuple[str, ...], first: str, last: str, source: str, *, again: bool = False) -> Journal:
        people = frozenset(who for who, home in self._people(source).items() if first <= home < last)
        with self._writer_of(source) as connection:
            rows = home_move.content(connection, home_move.Homes(name="", first=first, last=last)).total
        before, killed, lost = mover.here(self.stack_folder), (), ("", "")
        if self._is_killed:
            killed = tuple(self.mover.run_killed(*words))
        elif self.scenario.actions and not again:
            lost = self._with_a_region_lost(words)
        else:
            self.operator.run(*words)
        record = mover.newest(self.stack_folder)
        if record is None or record.path == before.path or record.outcome is None:
            raise Fault(f"`meridian {' '.join(words)}` left no record of a move that came to its end")
        self.carried.append(
            Carried(record=record, customers=people, rows=rows, killed=killed, lost=lost[0], lost_in=lost[1])
        )
        for event in record.events:
            if event["what"] in TOLD:
                self._mark(*told(record, event), event["at"])
        return record

    def _with_a_region_lost(self, words: tuple[str, ...]) -> tuple[str, str]:
        """What an operator does then: fail its partitions over, `main` first; bring it up again, and them back; and
        carry on with the move."""
        (action,) = self.scenario.actions
        partition = self.chance.choice((self.partition, self.target))
        region = self.writers[partition] or ""
        step = self.chance.choice(move.FORWARD)
        run = self.mover.start(*words)
        at = mover.interrupted(run, step, self.chance.choice((0.0, 0.06)), lambda: self._lose(action, region))
        self._mark(f"{region}, which writes {partition}, is lost ({at or 'the move had come to its end'})", "fault")
        try:
            self._answer_loss(region)
        finally:
            run.end()
        if journal.unfinished(self.stack_folder) is not None:
            self._mark("the move is carried on with", "repair")
            self.operator.run(*mover.RESUME)
        return f"{region} of {partition}", at or ""

    def _lose(self, action: Action, region: str) -> None:
        self.fault_at = time.time()
        self.faults.begin(replace(action, where=region))

    def _answer_loss(self, region: str) -> None:
        stand = next(each for each in self.cast.used if each != region)
        names = sorted((name for name in self.drivers if self.writers[name] == region), key=lambda name: name != MAIN)
        for name in names:
            self._move_of(name, "failover", *self.scenario.answer.words, "--from", stand)
        self.faults.heal()
        self.operator.run("up", "--yes")
        for name in names:
            self._move_of(name, "failback", "--to", region)
        self.await_redundancy("after the region was lost")
        self._mark("every member follows again", "good")

    def _move_of(self, partition: str, command: str, *more: str) -> None:
        begun = time.time()
        self.operator.run(command, "--partition", partition, "--yes", *more)
        found = operations_journal.last(self.stack_folder, partition)
        if found is None or found.since < begun or found.outcome != "done":
            raise Fault(f"`meridian {command} --partition {partition}` left no record of having moved the writer")
        self._note(found, 0)

    # --- what was seen -----------------------------------------------------------------------------------------------

    def _measured(self, records: list[dict[str, Any]], back: float | None) -> Result:
        acked = measures.acknowledged(records)
        begin = min((each.record.events[0]["at"] for each in self.carried), default=self.began)
        window = Window(begin=begin, end=self.outage_end)
        result = replace(
            self._blank(),
            reads=self._seen(records, "read", window),
            writes=self._seen(records, "write", window),
            acknowledged=measures.writes(records),
            redundancy=None if back is None or self.fault_at is None else round(back - self.fault_at, 3),
            homes=tuple(self._moved_homes(each, records) for each in self.carried),
        )
        fresh = [record for record in acked.values() if record["status"] == 201]
        try:
            self.await_redundancy("in the end", close=0)
            found = homes_audit.findings(
                homes_audit.gather(
                    {name: driver.ground.members for name, driver in self.drivers.items()}, load_name(records)
                ),
                self._maps(),
                expected(records),
            )
        except (Fault, ServerFault) as fault:
            self.problems.append(str(fault))
            return replace(result, faults=tuple(self.problems), marks=self._sorted_marks(), alike=False)
        moves, overlap, wrote = self._writers_moved(acked, records, fresh, window)
        done = sum(each.record.outcome == "done" for each in self.carried)
        left = journal.unfinished(self.stack_folder)
        return replace(
            result,
            moves=moves,
            writes=self._seen(answerable(records, found.told), "write", window),
            **self._lost(found.told),
            doubled=len(found.wrong[homes_audit.DOUBLED]),
            alike=not found.wrong[homes_audit.DIFFERING],
            overlap=overlap,
            reigns=tuple(measures.reigns(record for record in fresh if record["partition"] == self.partition)),
            rejoined=self._rejoined(),
            wrong={
                **found.wrong,
                DONE_TWICE: expectation.twice(found.told),
                "partitions that two regions wrote at once": wrote,
                "customers whom two partitions wrote at once": homes_audit.turns(fresh, done),
                "moves without an end": (str(left),) if left else (),
            },
            marks=self._sorted_marks(),
            faults=tuple(self.problems),
        )

    def _maps(self) -> dict[str, Ranges]:
        copies = {region: partition_map.read(self.stack_folder, region) for region in self.cast.used}
        return {
            region: tuple((first, name) for first, name in (copy or {}).get("ranges", []))
            for region, copy in copies.items()
        }

    def _writers_moved(
        self, acked: Mapping[str, Any], records: list[dict[str, Any]], fresh: list[Any], window: Window
    ) -> tuple[tuple[Move, ...], float, tuple[str, ...]]:
        """The failovers and failbacks, each in its partition; how long two members of one were out of recovery; and the
        partitions whose regions took turns more often than their writer was moved."""
        moves: list[Move] = []
        overlap, wrote = 0.0, []
        for name, driver in self.drivers.items():
            logs = servers.read(
                {region: spec.home / "postgres.log" for region, spec in driver.ground.members.items()}, self.began
            )
            own = {order: record for order, record in acked.items() if record.get("partition") == name}
            made = [
                self._moved(found, killed, own, records, logs)
                for found, killed in self.journals
                if found.state.partition == name
            ]
            moves += made
            spans = servers.spans(logs, self.writers[name] or "", (window.begin, time.time()), self.faults.killed)
            if not any(each.fenced == "expired" for each in made):
                overlap += servers.overlap(spans)
            turns = measures.reigns(record for record in fresh if record["partition"] == name)
            if measures.interleaved(turns, len(made)):
                wrote.append(f"{name}: {', '.join(turn.region for turn in turns)}")
        return tuple(moves), round(overlap, 3), tuple(wrote)

    def _silent(self) -> float | None:
        """When a region was lost."""
        return min(self.faults.killed.values(), default=None)

    def _moved_homes(self, carried: Carried, records: list[dict[str, Any]]) -> HomesMove:
        record, state = carried.record, carried.record.state
        took = {event["step"]: float(event["seconds"]) for event in record.events if event["what"] == "ended"}
        pause = runner.pause(record) if record.outcome == "done" else None
        found = HomesMove(
            name=state.name,
            first=state.first,
            last=state.last,
            source=state.source,
            target=state.target,
            outcome=record.outcome or "",
            customers=len(carried.customers),
            rows=carried.rows,
            seconds=round(record.events[-1]["at"] - record.events[0]["at"], 3),
            copied=took.get("copy"),
            pause=None if pause is None else round(pause, 4),
            floor={name: took[step] for step, name in FLOOR.items() if step in took} if pause is not None else {},
            killed=carried.killed,
            lost=carried.lost,
            lost_in=carried.lost_in,
        )
        closed = max((e["at"] for e in record.events if e["what"] == "begun" and e["step"] == "close"), default=None)
        said = max((e["at"] for e in record.events if e["what"] == "ended" and e["step"] == "hand_over"), default=None)
        if pause is None or closed is None or said is None:
            return found
        own = [each for each in records if each.get("customer") in carried.customers]
        return replace(found, **switch_as_seen(own, closed, said))


def told(record: Journal, event: Mapping[str, Any]) -> tuple[str, str]:
    """An event of a move for the timeline, and of what kind it is."""
    step = f" {move.text(record.state, event['step'])}" if "step" in event else ""
    if event["what"] == "ended":
        return f"{record.state.name}:{step}", {"close": "noticed", "hand_over": "good"}.get(event["step"], "step")
    detail = f": {event['detail']}" if event.get("detail") else ""
    return f"{record.state.name}:{step} ({event['what']}{detail})", "fault"


def switch_as_seen(orders: list[dict[str, Any]], closed: float, said: float) -> dict[str, float | None]:
    """What the customers who were moved saw of the switch, and what an order of theirs takes at another time."""
    window = Window(begin=closed - AROUND_SECONDS, end=said + AROUND_SECONDS)
    good = [each for each in orders if "status" in each]
    around = [each for each in good if each["ended"] >= closed and each["begun"] <= said]
    calm = [each["ended"] - each["begun"] for each in good if window.begin <= each["ended"] < closed]
    return {
        "longest_gap": measures.seen(orders, "write", window).longest_gap if good else None,
        "slowest": round(max(each["ended"] - each["begun"] for each in around), 4) if around else None,
        "ordinary": round(median(calm), 4) if calm else None,
    }
