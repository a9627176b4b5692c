"""What a drill found: figures, and what was expected of them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from operations.drill.measures import Reign, Seen

Verdict: TypeAlias = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Something that happened, for the timeline."""

    at: float
    text: str
    kind: Literal["fault", "noticed", "step", "repair", "good"] = "step"


@dataclass(frozen=True, kw_only=True)
class Move:
    """One operation that moved the writer, as users saw it and next to what it could not do without."""

    kind: str
    source: str
    target: str
    seconds: float  # the operation itself
    pause: float | None  # planned: the longest time without an acknowledged write; else from the fault to the first one
    floor: Mapping[str, float]
    steps: Mapping[str, float]
    announced_seconds: float | None = None  # what a failover said it may lose
    announced_bytes: int | None = None
    fenced_at: float | None = None
    fenced: str | None = None
    resumed: int = 0  # how often it was killed and carried on with
    partition: str = "main"

    @property
    def floor_seconds(self) -> float:
        return sum(self.floor.values())

    @property
    def ratio(self) -> float | None:
        if self.pause is None or not self.floor_seconds:
            return None
        return round(self.pause / self.floor_seconds, 2)


@dataclass(frozen=True, kw_only=True)
class HomesMove:
    """Homes that went to another partition: by the move's own record, and as their customers saw it."""

    name: str
    first: str
    last: str
    source: str
    target: str
    outcome: str
    customers: int
    rows: int  # of these homes as the move began
    seconds: float  # the whole move
    copied: float | None  # seconds
    pause: float | None  # for which the homes were written nowhere, by the record
    floor: Mapping[str, float]  # for the transactions in flight, for the last change, for the first commit there
    killed: tuple[str, ...] = ()  # in which steps, and then carried on with
    lost: str = ""  # the region that was lost meanwhile, and which partition it wrote
    lost_in: str = ""  # in which step; empty: the move had come to its end
    longest_gap: float | None = None  # between two answers to orders of these customers, around the switch
    slowest: float | None = None  # of their orders then
    ordinary: float | None = None  # and what one takes that waits for nothing

    @property
    def floor_seconds(self) -> float:
        return sum(self.floor.values())

    @property
    def ratio(self) -> float | None:
        return round(self.pause / self.floor_seconds, 2) if self.pause is not None and self.floor_seconds else None

    @property
    def users_ratio(self) -> float | None:
        """The slowest order next to one that waits for the floor alone."""
        if self.slowest is None or self.ordinary is None or not self.floor_seconds:
            return None
        return round(self.slowest / (self.floor_seconds + self.ordinary), 2)

    @property
    def rows_a_second(self) -> float | None:
        return round(self.rows / self.copied, 1) if self.copied else None


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """What users saw of a partition that the drill is not about."""

    partition: str
    answered: int
    failed: int  # after the retries
    lost: int  # orders that its writer does not have as they were told


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was expected."""

    name: str
    wanted: str
    found: str
    met: bool


@dataclass(frozen=True, kw_only=True)
class Result:
    scenario: str
    title: str
    stack: str
    phase: int
    durability: str
    began: float
    round: int
    writer: str
    rate: float
    event: str = ""  # what is lost, where the planner takes it as a figure of this stack
    took: float = 0.0  # the whole round
    marks: tuple[Mark, ...] = ()
    detection: float | None = None  # from the fault to the alarm
    moves: tuple[Move, ...] = ()
    homes: tuple[HomesMove, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()
    wrong: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by what an audit looked for
    reads: Mapping[str, Seen] = field(default_factory=dict)  # by user region, and "all"
    writes: Mapping[str, Seen] = field(default_factory=dict)
    acknowledged: int = 0  # orders, changes and cancellations
    lost: int = 0  # acknowledged, and on no member that the writer knows of
    lost_changes: int = 0  # of them
    lost_cancels: int = 0
    kept: int = 0  # of those, saved and listed by `reconcile`
    lost_seconds: float | None = None  # how old the oldest of them was when the old writer was silent
    doubled: int = 0
    overlap: float = 0.0  # seconds in which two servers were out of recovery, by their logs
    reigns: tuple[Reign, ...] = ()
    alike: bool = True
    redundancy: float | None = None  # from the fault until every member followed again
    restored: float | None = None  # until the first write after a restore, or once a lost region was there again
    rejoined: str | None = None
    checks: tuple[Check, ...] = ()
    faults: tuple[str, ...] = ()  # what went wrong in the drill itself

    @property
    def verdict(self) -> Verdict:
        return "passed" if not self.faults and all(check.met for check in self.checks) else "failed"

    def as_json(self) -> dict[str, Any]:
        moves = [
            {**asdict(move), "floor_seconds": round(move.floor_seconds, 3), "ratio": move.ratio} for move in self.moves
        ]
        homes = [
            {
                **asdict(move),
                "floor_seconds": round(move.floor_seconds, 4),
                "ratio": move.ratio,
                "users_ratio": move.users_ratio,
                "rows_a_second": move.rows_a_second,
            }
            for move in self.homes
        ]
        return {"verdict": self.verdict, **asdict(self), "moves": moves, "homes": homes}
