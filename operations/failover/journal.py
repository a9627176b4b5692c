"""What a run has done, on disk before and after each step, so that a killed one can be carried on with.

Each run is a file `operations/NNN.json` in the stack's folder. An unfinished one keeps every other run, and `up`, out.
"""

import getpass
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from components.local.servers import paths
from operations import lock
from operations.errors import Fault, Refused
from operations.failover.protocol import State, Step, from_json, to_json
from operations.stack import Stack

VERSION = 1

Outcome: TypeAlias = Literal["done", "undone", "superseded"]


def folder(stack_folder: Path) -> Path:
    return stack_folder / "operations"


@contextmanager
def held(stack_folder: Path, command: str) -> Iterator[None]:
    """One operation at a time. A lock of its own: a failover must not wait for an `up` that hangs in a lost region."""
    with lock.held(stack_folder, command, lock.OPERATION):
        yield


@dataclass
class Journal:
    """One run's file."""

    path: Path
    command: str
    state: State
    by: str
    since: float
    events: list[dict[str, Any]] = field(default_factory=list)
    outcome: Outcome | None = None
    clock: Callable[[], float] = time.time

    @property
    def number(self) -> str:
        return self.path.stem

    def __str__(self) -> str:
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"operation {self.number} (`meridian {self.command}`, by {self.by}, since {began})"

    def begun(self, step: Step, state: State) -> None:
        self._note(step, "begun", state)

    def ended(self, step: Step, state: State, *, seconds: float, detail: str, already: bool) -> None:
        """On disk with the next entry: writes may stand still, and a step whose end is not known is made again."""
        self._add(step, "ended", state, seconds=round(seconds, 4), detail=detail, already=already)

    def failed(self, step: Step, state: State, why: str) -> None:
        self._note(step, "failed", state, detail=why)

    def turned(self, why: str, state: State) -> None:
        """The run goes another way than it was decided."""
        self.events.append({"at": self.clock(), "what": "turned", "detail": why})
        self.state = state
        self.write()

    def close(self, outcome: Outcome, **more: Any) -> None:
        self.outcome = outcome
        self.events.append({"at": self.clock(), "what": outcome, **more})
        self.write()

    def _note(self, step: Step, what: str, state: State, **more: Any) -> None:
        self._add(step, what, state, **more)
        self.write()

    def _add(self, step: Step, what: str, state: State, **more: Any) -> None:
        self.state = state
        self.events.append({"at": self.clock(), "step": step.key, "what": what, **more})

    def write(self) -> None:
        record = {
            "version": VERSION,
            "command": self.command,
            "by": self.by,
            "since": self.since,
            "outcome": self.outcome,
            "state": to_json(self.state),
            "events": self.events,
        }
        paths.write_json(self.path, record, durable=True)

    def durations(self) -> Iterator[Mapping[str, Any]]:
        """The steps that ended, in order."""
        return (event for event in self.events if event["what"] == "ended")


def new(stack_folder: Path, command: str, state: State) -> Journal:
    """The next run's journal, written. Call it with the operations' lock held."""
    numbers = [int(path.stem) for path in _files(stack_folder)]
    path = folder(stack_folder) / f"{max(numbers, default=0) + 1:03}.json"
    made = Journal(path, command, state, _who(), time.time())
    made.write()
    return made


def read(path: Path) -> Journal:
    record = paths.read_json(path)
    try:
        if record["version"] != VERSION:  # type: ignore[index]
            raise Fault(f"{path} was written by another version of this project, which has to carry on with it.")
        return Journal(
            path,
            str(record["command"]),  # type: ignore[index]
            from_json(record["state"]),  # type: ignore[index]
            str(record["by"]),  # type: ignore[index]
            float(record["since"]),  # type: ignore[index]
            list(record["events"]),  # type: ignore[index]
            record["outcome"],  # type: ignore[index]
        )
    except (KeyError, TypeError, ValueError) as fault:
        # Never taken for "no operation": what it had begun is not known.
        raise Fault(
            f"{path} cannot be read ({type(fault).__name__}: {fault}). See with `status` and `psql` which member "
            "writes, and move the file away once a single one does."
        ) from None


def unfinished(stack_folder: Path) -> Journal | None:
    """The run that did not come to its end. There is one at most."""
    for path in reversed(_files(stack_folder)):
        found = read(path)
        if found.outcome is None:
            return found
    return None


def last(stack_folder: Path, partition: str) -> Journal | None:
    """The newest run of a partition, finished or not."""
    for path in reversed(_files(stack_folder)):
        found = read(path)
        if found.state.partition == partition:
            return found
    return None


def command_of(state: State) -> str:
    """The command that began such a run, and carries on with it."""
    return "failback" if state.kind == "rejoin" else state.kind


def resume_command(stack: Stack, state: State) -> str:
    partition = ["--partition", state.partition] if state.partition != "main" else []
    return stack.command(command_of(state), *partition, "--resume")


def refuse_unfinished(stack: Stack, what: str) -> None:
    """Raises where an operation runs, or did not come to its end."""
    stack_folder = stack.folder
    if (holder := lock.holder(stack_folder, lock.OPERATION)) is not None:
        raise Refused(f"{what} waits for the operation of {holder} to end: it may be moving a writer.")
    found = unfinished(stack_folder)
    if found is not None:
        raise Refused(
            f"{found} did not come to its end; {what} would build on what it left half done. "
            f"`{resume_command(stack, found.state)}` carries on with it."
        )


def _files(stack_folder: Path) -> list[Path]:
    found = [path for path in folder(stack_folder).glob("*.json") if path.stem.isdigit()]
    return sorted(found, key=lambda path: int(path.stem))


def _who() -> str:
    name = str(os.getuid())
    with suppress(KeyError, OSError):  # a user without an entry in the system's list
        name = getpass.getuser()
    return f"{name}@{platform.node()}"
