"""A run against the cluster on paper, that can be killed and carried on with as the command would."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from operations.errors import Fault, Refused
from operations.failover import decision, journal, protocol
from operations.failover.decision import Ground, Kind, Request
from operations.failover.journal import Journal
from operations.failover.loss import Limit
from operations.failover.protocol import State
from operations.failover.runner import Runner
from tests.operations.failover.cluster import Cluster

ANY = Limit()


def ground(cluster: Cluster) -> Ground:
    return Ground(
        partition="main",
        origin=cluster.regions[0],
        regions=cluster.regions,
        legal=frozenset(cluster.regions),
        rules="anywhere",
        home_only=False,
    )


class PaperJournal(Journal):
    """Dies before and after it writes, too; without the wait for the disk."""

    cluster: Cluster

    def write(self) -> None:
        self.cluster.point_of_death()
        self.kept = protocol.to_json(self.state), self.outcome
        self.cluster.point_of_death()


@dataclass
class Run:
    cluster: Cluster
    request: Request
    journal: PaperJournal | None = None
    agree: Callable[[str], bool] = lambda _: False
    thinking: int = 0  # ticks until the person says yes to what was announced

    def begin(self) -> State:
        now = self.cluster.observe()
        decided = decision.decide(ground(self.cluster), self.request, now)
        state = protocol.start(decided, self.request, now, partition="main")
        self.cluster.tick(self.thinking)
        self.journal = PaperJournal(Path("001.json"), "test", state, "nobody", 0.0, clock=lambda: self.cluster.time)
        self.journal.cluster = self.cluster
        self.journal.kept = protocol.to_json(state), None
        return self.carry_on()

    def resume(self, *, undo: bool = False) -> State:
        """From what was kept alone, as another process would."""
        assert self.journal is not None
        kept, self.journal.outcome = self.journal.kept
        self.journal.state = protocol.from_json(kept)
        if self.journal.outcome is not None:
            return self.journal.state
        if undo and protocol.can_undo(self.journal.state):
            self.journal.turned("--undo", protocol.undo(self.journal.state))
        return self.carry_on()

    def carry_on(self) -> State:
        assert self.journal is not None
        cluster = self.cluster
        runner = Runner(
            cluster,
            self.journal,
            ground(cluster),
            self.request,
            cluster.observe(),
            tell=lambda _: None,
            agree=self.agree,
            clock=lambda: cluster.time,
            sleep=lambda seconds: cluster.tick(max(1, round(seconds * 10))),
        )
        return runner.run()


def request(kind: Kind, **words: object) -> Request:
    return replace(Request(kind=kind, limit=ANY, yes=True), **words)  # type: ignore[arg-type]


__all__ = ["Fault", "Refused", "Run", "ground", "journal", "request"]
