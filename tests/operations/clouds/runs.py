"""A run of the protocol against a cloud's driver, that can break at any call and be taken up as the command would."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from operations.drivers import trial
from operations.failover import protocol
from operations.failover.decision import Decision, Ground, Kind, Request
from operations.failover.driver import Driver
from operations.failover.journal import Journal
from operations.failover.loss import Limit, Loss
from operations.failover.protocol import State
from operations.failover.runner import Runner


class PaperJournal(Journal):
    def write(self) -> None:
        self.kept = protocol.to_json(self.state)


def ground(regions: list[str], partition: str = "main") -> Ground:
    return Ground(
        partition=partition,
        origin=regions[0],
        regions=tuple(regions),
        legal=frozenset(regions),
        rules="anywhere",
        home_only=True,
    )


def begun(kind: Kind, driver: Driver, writer: str, target: str, *, away: str | None = None) -> PaperJournal:
    now = driver.observe()
    decided = Decision(
        kind=kind,
        writer=writer,
        target=target,
        away=away,
        term=None if now.lease is None else now.lease.term + 1,
        loss=Loss(seconds=1.0, bytes=None),
        hold_out=frozenset() if kind == "rejoin" else frozenset({writer}),
    )
    request = Request(kind=kind, limit=Limit(), yes=True)
    made = PaperJournal(Path("001.json"), "test", protocol.start(decided, request, now, partition="main"), "me", 0.0)
    made.write()
    return made


def carry_on(journal: PaperJournal, driver: Driver, regions: list[str]) -> State:
    journal.state = protocol.from_json(journal.kept)
    request = Request(kind=journal.state.kind, limit=Limit(), yes=True)
    time = Time()
    return Runner(
        driver,
        journal,
        ground(regions),
        request,
        driver.observe(),
        tell=lambda _: None,
        clock=lambda: time.now,
        sleep=time.pass_by,
    ).run()


@dataclass
class Time:
    """Nobody waits; what waits too long ends all the same."""

    now: float = 0.0

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def steps(journal: Journal) -> list[str]:
    return [event["step"] for event in journal.durations()]


def reached_from_here(monkeypatch: pytest.MonkeyPatch, says: Callable[[str], int | None]) -> None:
    """What each region's own name answers, and an entry that takes an order and gives it back."""

    def answers(urls: dict[str, str], seconds: float = 0.0) -> dict[str, int | None]:
        return {region: says(region) for region in urls}

    def go_on(self: Any) -> None:
        self.written, self.read = {"id": "1"}, True

    monkeypatch.setattr(trial, "answers", answers)
    monkeypatch.setattr(trial.Trial, "go_on", go_on)
