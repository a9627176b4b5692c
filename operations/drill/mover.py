"""`partition move` as a person types it, and as a drill interrupts it: killed, or held still while a region is lost."""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from operations.drill.commands import LIMIT, Operator, last_words
from operations.errors import Fault
from operations.partitions import journal, move
from operations.partitions.journal import Journal
from operations.partitions.move import Action

LONGEST = 0.06  # seconds of a step before the kill
START = 1.0  # seconds in which the command comes to its first step
UNDONE = 1 / 3  # of those that can be
RESUME = ("partition", "move", "--resume", "--yes")
UNDO = ("partition", "move", "--undo", "--yes")


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far the newest record had come."""

    path: Path | None
    events: int


@dataclass
class Run:
    """One command that runs, read all the time, or it would stand still with a full pipe."""

    process: "subprocess.Popen[str]"
    folder: Path
    since: Place

    def __post_init__(self) -> None:
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self.said = self.process.communicate()[1]

    def begun(self) -> list[Action]:
        """The steps that this command has begun."""
        found = newest(self.folder)
        if found is None:
            return []
        events = found.events[self.since.events :] if found.path == self.since.path else found.events
        return [event["step"] for event in events if event["what"] == "begun"]

    def await_step(self, step: Action) -> bool:
        """Until the step has begun. False: the command came to its end before."""
        while step not in self.begun():
            if self.process.poll() is not None:
                return False
            time.sleep(0.002)
        return True

    def end(self, seconds: float = LIMIT) -> int:
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Fault(f"the move did not end within {seconds:.0f} s") from None
        finally:
            self._reader.join(10)
        return status


@dataclass
class Mover:
    operator: Operator
    folder: Path  # the stack's
    chance: random.Random

    def start(self, *words: str) -> Run:
        return Run(self.operator.start(*words), self.folder, here(self.folder))

    def run_killed(self, *words: str) -> list[str]:
        """Kill it at a random step, and carry on until it is done or undone. Where it was killed, each time."""
        before = here(self.folder)
        steps = move.FORWARD
        killed: list[str] = []
        given = words
        while True:
            if (at := self._kill(self.chance.choice((None, *steps)), given)) is not None:
                killed.append(at)
            left = journal.unfinished(self.folder)
            if left is None:
                if here(self.folder) == before:  # killed before its first word on the disk
                    self.operator.run(*words)
                return killed
            if len(killed) == 1 and move.can_undo(left.state) and self.chance.random() < UNDONE:
                given, steps = UNDO, move.BACK
                continue
            self.operator.run(*RESUME)
            return killed

    def _kill(self, step: Action | None, words: tuple[str, ...]) -> str | None:
        """Once this step has begun, or before any has. The step that it was in; None where it had come to its end."""
        run = self.start(*words)
        if step is None:
            time.sleep(self.chance.uniform(0.0, START))
        elif run.await_step(step):
            time.sleep(self.chance.choice((0.0, self.chance.uniform(0.0, LONGEST))))
        run.process.send_signal(signal.SIGKILL)
        status = run.end()
        if status == -signal.SIGKILL:
            return (run.begun() or ["start"])[-1]
        if status != 0:
            raise Fault(f"`meridian {' '.join(words)}` ended with {status}: {last_words(run.said)}")
        return None


def interrupted(run: Run, step: Action, seconds: float, during: Callable[[], None]) -> str | None:
    """Does something while the command stands still in a step. The step; None where the command had come to its end."""
    reached = run.await_step(step)
    time.sleep(seconds if reached else 0.0)
    if run.process.poll() is None:
        run.process.send_signal(signal.SIGSTOP)
    try:
        was = run.begun()[-1:] if run.process.poll() is None and newest_is_open(run.folder) else []
        during()
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGCONT)
    return was[0] if was else None


def newest(stack_folder: Path) -> Journal | None:
    files = [path for path in journal.folder(stack_folder).glob("*.json") if path.stem.isdigit()]
    return journal.read(max(files, key=lambda path: int(path.stem))) if files else None


def newest_is_open(stack_folder: Path) -> bool:
    return journal.unfinished(stack_folder) is not None


def here(stack_folder: Path) -> Place:
    found = newest(stack_folder)
    return Place(path=found.path if found else None, events=len(found.events) if found else 0)
