"""One drill from its beginning to its end: users come, something breaks, somebody answers, it is repaired, measured.

Nothing here knows how a writer is moved: the commands do it, as they would without a drill.
"""

import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from components.local.servers.errors import ServerFault
from components.local.servers.partition_map import MAIN
from components.local.servers.postgres_files import DATABASE
from operations.drill import audit, expectation, measures, servers
from operations.drill.commands import Operator, Watcher
from operations.drill.expectation import Contradiction, expected
from operations.drill.faults import TABLE, Faults
from operations.drill.ledger import Users
from operations.drill.measures import Window
from operations.drill.places import Cast
from operations.drill.result import Elsewhere, Mark, Move, Result
from operations.drill.scenario import Action, Scenario
from operations.drivers.local_failover import LocalDriver
from operations.errors import Fault, Refused
from operations.failover import journal
from operations.failover.driver import Observation
from operations.failover.journal import Journal
from operations.failover.protocol import TEXT
from operations.reconciliation import tails
from topology.summary import Summary

WARM_SECONDS = 2.0  # reads begin 1.5 s after the first order (SETTLED in load.py)
AFTER_SECONDS = 1.0  # of users after the last move: `ordinary_write` takes what began half a second after its first
NOTICE_SECONDS = 30.0
RECOVER_SECONDS = 60.0
REDUNDANT_SECONDS = 120.0
CHANGES, CANCELS = 0.15, 0.05  # of the writes
CLOSE_BYTES = 2**18  # under load a replica is never at 0 for long; after it, it has to be
LOST_TELL = "is lost"
DONE_TWICE = "changes that were done twice"


@dataclass
class Drill:
    scenario: Scenario
    stack: str
    stack_folder: Path
    outputs: Mapping[str, Any]
    running: Summary
    driver: LocalDriver
    partition: str
    folder: Path  # where this drill's ledger and report go
    automatic: bool = False  # whether the watcher acts by itself
    rate: float = 200.0
    reads: float = 0.5
    retries: int = 1
    round: int = 1
    chance: random.Random = field(default_factory=random.Random)
    others: Mapping[str, LocalDriver] = field(default_factory=dict)  # of the other partitions, by name

    def __post_init__(self) -> None:
        self.operator = Operator(self.stack, self.stack_folder)
        self.marks: list[Mark] = []
        self.problems: list[str] = []
        self.journals: list[tuple[Journal, int]] = []  # of this partition
        self.moved_too: list[Journal] = []  # of the others, which the same region wrote
        self.fault_at: float | None = None
        self.alarm_at: float | None = None
        self.restored_after: float | None = None
        self.began = time.time()
        self.writer = ""
        self.writers: dict[str, str | None] = {}  # of every partition, as the drill began
        self.records: list[dict[str, Any]] = []  # the ledger

    def run(self) -> Result:
        """What was found; what could not be measured is a fault of the drill, and said."""
        try:
            found = self._run()
        except (Fault, Refused, ServerFault, OSError) as fault:
            self.problems.append(str(fault))
            found = replace(self._blank(), faults=tuple(self.problems), marks=self._sorted_marks(), alike=False)
        return replace(found, took=round(time.time() - self.began, 3))

    def whole(self) -> str | None:
        """After a round that went wrong: why no other may begin. An ordinary `up` starts what should run."""
        try:
            if (left := journal.unfinished(self.stack_folder)) is not None:
                return f"{left} did not come to its end"
            self.operator.run("up", "--yes")
            self.await_redundancy("after a round that went wrong")
        except (Fault, Refused, ServerFault, OSError) as fault:
            return str(fault)
        return None

    def _run(self) -> Result:
        now = self.await_redundancy("before the drill")
        self.cast = Cast.of(self.running, now)
        self.writer = self.cast.writer
        self.faults = self._faults()
        for action in self.scenario.actions:
            self.faults.prepare(action)
        self.users = Users(
            str(self.outputs["entry"]),
            self.folder / "ledger.jsonl",
            self.cast.regions,
            rate=self.rate,
            reads=self.reads,
            retries=self.retries,
            changes=CHANGES,
            cancels=CANCELS,
        )
        watcher = None
        redundant: float | None = None
        try:
            if self.scenario.answer.by == "watcher":
                watcher = Watcher(self.operator, self.stand, self.partition, once=not self.automatic or self._is_killed)
                watcher.await_line("watching", 20.0)
            self.users.await_record(lambda record: record["kind"] == "write", 15.0, "the first order")
            time.sleep(WARM_SECONDS)
            self._break()
            self._answer(watcher)
            self._go_on()
            self.outage_end = time.time()
            redundant = self._repair()
        except (Fault, ServerFault) as fault:
            self.problems.append(str(fault))
            self.outage_end = time.time()
            with suppress(Fault, ServerFault):
                redundant = self._repair()
        finally:
            if watcher is not None:
                watcher.end()
            with suppress(ServerFault):
                self.faults.heal()
            every = self.users.end()
            self.records = self._own(every)
        elsewhere = self._elsewhere(every)
        return replace(self._measured(self.records, redundant), elsewhere=elsewhere)

    # --- what happens ------------------------------------------------------------------------------------------------

    @property
    def drivers(self) -> dict[str, LocalDriver]:
        return {self.partition: self.driver, **self.others}

    def _own(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return measures.of_partition(records, self.partition)

    @property
    def stand(self) -> str:
        """Where the watcher and the operator are: beside the member that would take over."""
        return self.cast.others[0]

    @property
    def _is_killed(self) -> bool:
        return self.scenario.answer.killed != ""

    def _faults(self) -> Faults:
        ground = self.driver.ground
        return Faults(
            stack_folder=self.stack_folder,
            addresses=ground.addresses,
            slots=ground.slots,
            members=ground.members,
            cast=self.cast,
        )

    def _mark(self, text: str, kind: Any = "step", at: float | None = None) -> None:
        self.marks.append(Mark(at=time.time() if at is None else at, text=text, kind=kind))

    def _break(self) -> None:
        begin = time.monotonic()
        lasting: list[float] = []
        for action in sorted(self.scenario.actions, key=lambda each: each.at):
            time.sleep(max(0.0, begin + action.at - time.monotonic()))
            at = time.time()
            self.fault_at = self.fault_at or at
            self._mark(words(action, self.cast), "fault", at)
            self.faults.begin(action)
            if action.seconds:
                lasting.append(begin + action.at + action.seconds)
        if lasting:
            time.sleep(max(0.0, max(lasting) - time.monotonic()))
            self.faults.heal()
            self._mark("it is over", "repair")

    def _answer(self, watcher: Watcher | None) -> None:
        answer = self.scenario.answer
        if answer.by == "nobody":
            return
        if watcher is not None:
            self.alarm_at = watcher.await_line(LOST_TELL, NOTICE_SECONDS, after=self.fault_at or 0.0)
            self._mark("the watcher gives the alarm", "noticed", self.alarm_at)
        if answer.command == "restore":
            self._restore()
            return
        lost_too = self._lost_too() if answer.command == "failover" else []
        first = [name for name in lost_too if name == MAIN]  # who is new to any of the others waits for it
        for name in first:
            self._move_other(name, answer.command, *answer.words, "--from", self.stand)
        if watcher is not None and self.automatic and not self._is_killed:
            found = self._await_automatic(watcher)
        else:
            found = self._move(answer.command, *answer.words, "--from", self.stand, killed=self._is_killed)
        for name in lost_too:
            if name not in first:
                self._move_other(name, answer.command, *answer.words, "--from", self.stand)
        if not found.state.promotes or self._serves_nobody(found.state.target):
            return
        self.users.await_record(
            lambda record: (
                record.get("written") == found.state.target and record["ended"] > found.since and self._is_ours(record)
            ),
            RECOVER_SECONDS,
            f"the first write by {found.state.target}",
        )

    def _is_ours(self, record: Mapping[str, Any]) -> bool:
        return record.get("partition", self.partition) == self.partition

    def _serves_nobody(self, region: str) -> bool:
        """In phase 2 the data have a copy without a service: users come back with the region."""
        return next(each.serving.value for each in self.running.regions if each.name == region) == "none"

    def _restore(self) -> None:
        """As it was just before the mistake, beside the member; then only what is missing is brought back."""
        if self.faults.copied_after is not None:
            self._mark(f"no member has {TABLE} any more ({self.faults.copied_after:.2f} s)", "fault")
        to = datetime.fromtimestamp(self.faults.dropped_at or time.time(), UTC).isoformat()
        words = ("--partition", self.partition)
        self.operator.run("restore", *words, "--to", to, "--yes")
        self._mark(f"restored beside the member, as of {to}")
        self.operator.run("restore", *words, "--copy", TABLE, "--yes")
        copied = time.time()
        self._mark(f"{TABLE} is back", "good", copied)
        found = self.users.await_record(
            lambda record: "written" in record and record["ended"] > copied and self._is_ours(record),
            RECOVER_SECONDS,
            "the first write after it",
        )
        self.restored_after = found["ended"] - (self.fault_at or copied)
        self.operator.run("restore", *words, "--drop", "--yes")

    def _await_automatic(self, watcher: Watcher) -> Journal:
        deadline = time.monotonic() + RECOVER_SECONDS
        while True:
            found = journal.last(self.stack_folder, self.partition)
            if found is not None and found.since >= (self.fault_at or 0.0) and found.outcome == "done":
                self._note(found, 0)
                return found
            if (refused := watcher.said("not moved", after=self.alarm_at or 0.0)) or time.monotonic() > deadline:
                line = next((line for at, line in watcher.lines if at == refused), "it took too long")
                raise Fault(f"the watcher did not move the writer: {line}")
            time.sleep(0.02)

    def _move(self, command: str, *more: str, killed: bool = False) -> Journal:
        given = (command, "--partition", self.partition, "--yes", *more)
        begun = time.time()
        times = self.operator.run_killed(self.chance, *given) if killed else 0
        if not killed:
            self.operator.run(*given)
        found = journal.last(self.stack_folder, self.partition)
        if found is None or found.since < begun or found.outcome != "done":
            raise Fault(f"`meridian {command}` left no record of having moved the writer")
        self._note(found, times)
        return found

    def _lost_too(self) -> list[str]:
        """The other partitions that a lost region wrote."""
        gone = {
            region
            for action in self.scenario.actions
            if action.do == "isolate" or (action.do, action.what) == ("kill", "region")
            for region in self.cast.find(action.where)
        }
        return [name for name in self.others if self.writers[name] in gone]

    def _move_other(self, partition: str, command: str, *more: str) -> Journal:
        """A partition that this drill is not about."""
        begun = time.time()
        self.operator.run(command, "--partition", partition, "--yes", *more)
        found = journal.last(self.stack_folder, partition)
        if found is None or found.since < begun or found.outcome != "done":
            raise Fault(f"`meridian {command} --partition {partition}` left no record of having moved the writer")
        self.moved_too.append(found)
        self._mark(f"{partition}: {command} to {found.state.target}")
        return found

    def _note(self, found: Journal, killed: int) -> None:
        self.journals.append((found, killed))
        for event in found.durations():
            self._mark(_done(str(event["step"])), "step", event["at"])

    def _go_on(self) -> None:
        """Some more seconds of users, so that what comes late is seen too."""
        time.sleep(self.scenario.seconds)

    def _repair(self) -> float | None:
        self._mark("repair begins", "repair")
        self.faults.heal()
        repair = self.scenario.repair
        if repair.up:
            self.operator.run("up", "--yes")
        if repair.rejoin and self._writes() != self.cast.writer:
            self._move("failback", "--to", self.cast.writer, "--rejoin-only")
        if repair.failback and self._writes() != self.cast.writer:
            planned = self.scenario.answer.command == "switchover"
            same = [word for word in self.scenario.answer.words if word == "--despite-capacity"]
            self._move(
                "switchover" if planned else "failback",
                *("--to", self.cast.writer, *same),
                killed=planned and self._is_killed,
            )
        if repair.failback:
            for name, driver in self.others.items():
                back = self.writers[name]
                if back is not None and driver.observe().writer != back:
                    self._move_other(name, "failback", "--to", back)
        self.await_redundancy("after the repair", close=CLOSE_BYTES)
        at = time.time()
        self._mark("every member follows again", "good", at)
        if repair.failback:
            time.sleep(AFTER_SECONDS)
        return at

    def _writes(self) -> str | None:
        return self.driver.observe().writer

    def await_redundancy(self, when: str, *, close: int = CLOSE_BYTES) -> Observation:
        deadline = time.monotonic() + REDUNDANT_SECONDS
        while True:
            now = {name: driver.observe() for name, driver in self.drivers.items()}
            lacking = [name for name, each in now.items() if not redundant(each, close)]
            if not lacking:
                self.writers = self.writers or {name: each.writer for name, each in now.items()}
                return now[self.partition]
            if time.monotonic() > deadline:
                standing = "; ".join(f"{name}: {_standing(now[name])}" for name in lacking)
                raise Fault(f"{when} not every member follows the writer: {standing}")
            time.sleep(0.1)

    # --- what was seen -----------------------------------------------------------------------------------------------

    def _measured(self, records: list[dict[str, Any]], back: float | None) -> Result:
        end = time.time()
        acked = measures.acknowledged(records)
        begin = self.fault_at or (self.journals[0][0].since if self.journals else self.began)
        restored = self._restored(acked)
        # Users who come back only with the repair were without an answer until then.
        window = Window(begin=begin, end=max(self.outage_end, begin + (restored or 0.0)))
        result = replace(
            self._blank(),
            detection=None if self.alarm_at is None else round(self.alarm_at - begin, 3),
            reads=self._seen(records, "read", window),
            writes=self._seen(records, "write", window),
            acknowledged=measures.writes(records),
            redundancy=None if back is None else round(back - begin, 3),
            restored=restored,
        )
        try:
            now = self.await_redundancy("in the end", close=0)
            found = audit.audit(self.faults.members, expected(records), load_name(records))
        except (Fault, ServerFault) as fault:
            self.problems.append(str(fault))
            return replace(result, faults=tuple(self.problems), marks=self._sorted_marks(), alike=False)
        logs = servers.read(
            {name: spec.home / "postgres.log" for name, spec in self.faults.members.items()}, self.began
        )
        spans = servers.spans(logs, self.cast.writer, (window.begin, end), self.faults.killed)
        moves = tuple(self._moved(one, killed, acked, records, logs) for one, killed in self.journals)
        wrong = found.wrong[now.writer or self.cast.writer]
        known = answerable(records, wrong)
        return replace(
            result,
            reads=self._seen(known, "read", window),
            writes=self._seen(known, "write", window),
            moves=moves,
            **self._lost(wrong),
            wrong={DONE_TWICE: expectation.twice(wrong)},
            doubled=len(found.doubled),
            overlap=servers.overlap(spans),
            # An answer given again says who knows of the order, not who wrote it.
            reigns=tuple(measures.reigns(record for record in acked.values() if record["status"] == 201)),
            alike=found.alike,
            rejoined=self._rejoined(),
            marks=self._sorted_marks(),
            faults=tuple(self.problems),
        )

    def _blank(self) -> Result:
        return Result(
            scenario=self.scenario.name,
            title=self.scenario.title,
            event=self.scenario.event,
            stack=self.stack,
            phase=int(self.running.phase),
            durability=next(each.durability for each in self.running.partitions if each.name == self.partition),
            began=self.began,
            round=self.round,
            writer=self.writer,
            rate=self.rate,
        )

    def _untouched(self) -> list[str]:
        touched = {each.state.partition for each in self.moved_too}
        return [name for name in self.others if name not in touched]

    def _elsewhere(self, records: list[dict[str, Any]]) -> tuple[Elsewhere, ...]:
        """What users saw of the partitions that nothing was done to. Whose a request was that nobody can tell of is
        counted with this partition's."""
        found = []
        for name in self._untouched():
            own = measures.of_partition(records, name, unknown=False)
            failed = sum("status" not in record for record in own)
            orders = expected(own)
            try:
                with self.others[name].ground.owner(self.writers[name] or "", DATABASE) as connection:
                    lost = len(expectation.contradictions(orders, audit.states(connection, orders)))
            except (Fault, ServerFault) as fault:
                self.problems.append(f"{name}: {fault}")
                lost = len(orders)
            found.append(Elsewhere(partition=name, answered=len(own) - failed, failed=failed, lost=lost))
        return tuple(found)

    def _restored(self, acked: Mapping[str, Any]) -> float | None:
        """Where the operation alone brought no users back: from the fault until something had."""
        if self.restored_after is not None:
            return round(self.restored_after, 3)
        moved = [one for one, _ in self.journals if one.state.promotes]
        if self.fault_at is None or not moved or not self._serves_nobody(moved[0].state.target):
            return None
        first = min((each["ended"] for each in acked.values() if each["begun"] > moved[0].since), default=None)
        return None if first is None else round(first - self.fault_at, 3)

    def _seen(self, records: list[dict[str, Any]], kind: str, window: Window) -> dict[str, measures.Seen]:
        """Gaps are of the outage; what failed is of the whole drill, repair and way back included."""
        whole = replace(window, end=float("inf"))

        def of(region: str | None) -> measures.Seen:
            failed = measures.seen(records, kind, whole, region).failed
            return replace(measures.seen(records, kind, window, region), failed=failed)

        return {"all": of(None), **{region: of(region) for region in self.cast.regions}}

    def _sorted_marks(self) -> tuple[Mark, ...]:
        return tuple(sorted(self.marks, key=lambda mark: mark.at))

    def _moved(
        self,
        found: Journal,
        killed: int,
        acked: Mapping[str, Any],
        records: list[dict[str, Any]],
        logs: list[servers.Event],
    ) -> Move:
        state, events = found.state, found.events
        steps = measures.durations(events)
        first = measures.first_by(acked.values(), state.target, measures.begun(events, "promote") or found.since)
        ordinary = measures.ordinary_write(acked.values(), state.target, (first or found.since) + 0.5)
        promoted = servers.between(logs, state.target, servers.PROMOTED, servers.OPEN, found.since)
        promotion = steps.get("promote", 0.0) if promoted is None else promoted
        # A commit that waits for a quorum waits for a replica that has gone over to the new timeline.
        attached = servers.attached(logs, state.target, found.since) if state.quorum else None
        standby = {} if attached is None else {"standby": attached}
        if state.planned:
            stopped = servers.between(logs, state.writer, servers.CLOSED[0], "is shut down", found.since)
            floor = {
                "stop": steps.get("stop_writer", 0.0) if stopped is None else stopped,
                "replay": steps.get("catch_up", 0.0),
                "promotion": promotion,
                **standby,
                "first commit": ordinary,
            }
            pause = self._pause(records, events, first)
        else:
            fault = self.fault_at or found.since
            floor = {
                "detection": (self.alarm_at or fault) - fault,
                "lease expiry": steps.get("fence", 0.0) + steps.get("await_fenced", 0.0),
                "promotion": promotion,
                **standby,
                "first commit": ordinary,
            }
            pause = None if first is None else first - fault
        return Move(
            kind=state.kind,
            source=state.writer,
            target=state.target,
            seconds=round(events[-1]["at"] - found.since, 3),
            pause=None if pause is None else round(pause, 3),
            floor={name: round(seconds, 4) for name, seconds in floor.items()},
            steps={name: round(seconds, 4) for name, seconds in steps.items()},
            announced_seconds=state.announced.seconds if state.kind == "failover" else None,
            announced_bytes=state.announced.bytes if state.kind == "failover" else None,
            fenced_at=state.fenced_at,
            fenced=state.fenced.how if state.fenced else None,
            resumed=killed,
            partition=state.partition,
        )

    @staticmethod
    def _pause(records: list[dict[str, Any]], events: list[dict[str, Any]], first: float | None) -> float | None:
        """The longest time without an acknowledged write around the move."""
        held = measures.begun(events, "hold_writes")
        if held is None or first is None:
            return None
        window = Window(begin=held - 1.0, end=first + 1.0)
        return measures.seen(records, "write", window).longest_gap

    def _lost(self, wrong: Sequence[Contradiction]) -> dict[str, Any]:
        """What is said of the writes that users were told of and that are not there."""
        lost = expectation.lost(wrong)
        kinds = Counter(record["kind"] for record in lost.values())
        silent = self._silent()
        since = None if not lost or silent is None else silent - min(map(measures.told_at, lost.values()))
        return {
            "lost": len(lost),
            "lost_changes": kinds["change"],
            "lost_cancels": kinds["cancel"],
            "kept": len(self._kept() & set(lost)),
            "lost_seconds": None if since is None else round(max(0.0, since), 3),
        }

    def _silent(self) -> float | None:
        """When the writer fell silent: by its death, by its lease, or by the mistake."""
        fenced = (one.state.fenced_at for one, _ in self.journals if one.state.kind == "failover")
        known = [at for at in (self.faults.killed.get(self.writer), self.faults.gone_at, *fenced) if at is not None]
        return min(known, default=None)

    def _kept(self) -> set[str]:
        """By their keys, what was saved before the old writer's data were rewound, and what `reconcile` lists."""
        saved = [tail for tail in tails(self.stack_folder) if tail.saved_at >= self.began]
        return {each.key for tail in saved for each in (*tail.orders, *tail.changes) if each.key is not None}

    def _rejoined(self) -> str | None:
        """How the old writer came back: the last word of the last rejoin."""
        for found, _ in reversed(self.journals):
            for event in reversed(list(found.durations())):
                if event["step"].startswith("rejoin ") and found.state.away == event["step"].split()[1]:
                    return str(event["detail"] or "followed")
        return None


def answerable(records: Sequence[dict[str, Any]], wrong: Sequence[Contradiction]) -> list[dict[str, Any]]:
    """Where an order is lost nobody can answer for it: that is counted once, as a loss."""
    gone = {each.id for each in wrong if each.kind == "order gone"}
    return [record for record in records if record["kind"] == "write" or record["id"] not in gone]


def _done(step: str) -> str:
    action, _, region = step.partition(" ")
    return f"{action}: {TEXT[cast('Any', action)].format(region=region)}"


def redundant(now: Observation, close: int) -> bool:
    """Every member is there, one writes, and the others follow it closely."""
    if now.writer is None:
        return False
    for region, facts in now.members.items():
        if not facts.reachable:
            return False
        if region == now.writer:
            if facts.role != "writer" or not facts.accepts_writes:
                return False
        elif facts.role != "replica" or facts.lag_bytes is None or facts.lag_bytes > close or facts.following is None:
            return False
    return True


def words(action: Action, cast: Cast) -> str:
    where = ", ".join(cast.find(action.where))
    ends = f" and {', '.join(cast.find(action.to))}" if action.to else ""
    return {
        "kill": f"{action.what} of {where} is killed" if action.what != "region" else f"{where} is lost",
        "cut": f"the paths between {where}{ends or ' and all others'} are cut",
        "isolate": f"{where} is cut off",
        "slow": f"{where} is {action.milliseconds:g} ms away{ends}",
        "fill-disk": f"the disk of {where} is full",
        "deploy": f"a bad version is deployed in {where}",
        "drop-table": f"a table is dropped in {where}",
    }[action.do]


def load_name(records: list[dict[str, Any]]) -> str:
    return next((str(record["item"]).rpartition("-")[0] for record in records if "item" in record), "none")


def _standing(now: Observation) -> str:
    return ", ".join(
        f"{region} {facts.role or 'unreachable'}"
        + ("" if facts.lag_bytes is None else f" {facts.lag_bytes:,} bytes behind")
        for region, facts in now.members.items()
    )
