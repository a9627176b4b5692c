"""What a move has done, on disk before and after each step, so that a killed one can be carried on with.

Each move is a file `moves/NNN.json` in the stack's folder. It has a lock and a journal of its own, apart from those of
failovers: a region may be lost in the middle of a move, and its writer has to be moved without waiting.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.local.servers import paths
from operations import lock
from operations.errors import Fault, Refused
from operations.partitions.move import Action, State, from_json, to_json
from operations.stack import Stack

VERSION = 1


@contextmanager
def held(stack_folder: Path, command: str) -> Iterator[None]:
    with lock.held(stack_folder, command, lock.MOVE):
        yield


@dataclass
class Journal:
    path: Path
    state: State
    events: list[dict[str, Any]] = field(default_factory=list)
    outcome: str | None = None

    def __str__(self) -> str:
        state = self.state
        return f"{state.name} (homes {state.first} to {state.last}, from {state.source} to {state.target})"

    def note(
        self,
        what: str,
        state: State,
        action: Action | None = None,
        *,
        durable: bool = True,
        later: bool = False,
        **more: Any,
    ) -> None:
        """`later`: written with what is noted next; until then a kill makes it unsaid."""
        self.state = state
        self.events.append({"at": time.time(), "what": what, **({"step": action} if action else {}), **more})
        if not later:
            self.write(durable=durable)

    def close(self, outcome: str) -> None:
        self.outcome = outcome
        self.note(outcome, self.state)

    def write(self, *, durable: bool = True) -> None:
        record = {
            "version": VERSION,
            "outcome": self.outcome,
            "state": to_json(self.state),
            "events": self.events,
        }
        paths.write_json(self.path, record, durable=durable)


def folder(stack_folder: Path) -> Path:
    return stack_folder / "moves"


def next_name(stack_folder: Path) -> str:
    """A slot's name too, so letters, digits and underscores."""
    return f"move_{max((int(path.stem) for path in _files(stack_folder)), default=0) + 1:03}"


def new(stack_folder: Path, state: State) -> Journal:
    made = Journal(folder(stack_folder) / f"{state.name.removeprefix('move_')}.json", state)
    made.write()
    return made


def read(path: Path) -> Journal:
    record = paths.read_json(path)
    try:
        if record["version"] != VERSION:  # type: ignore[index]
            raise Fault(f"{path} was written by another version of this project, which has to carry on with it.")
        return Journal(path, from_json(record["state"]), list(record["events"]), record["outcome"])  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as fault:
        raise Fault(f"{path} cannot be read ({type(fault).__name__}: {fault}). Restore it from a copy.") from None


def unfinished(stack_folder: Path) -> Journal | None:
    """The move that did not come to its end. There is one at most."""
    for path in reversed(_files(stack_folder)):
        found = read(path)
        if found.outcome is None:
            return found
    return None


def refuse_unfinished(stack: Stack, what: str) -> None:
    """Raises where homes are being moved, or a move did not come to its end."""
    if (holder := lock.holder(stack.folder, lock.MOVE)) is not None:
        raise Refused(f"{what} waits for the move of {holder} to end.")
    found = unfinished(stack.folder)
    if found is not None:
        raise Refused(
            f"{found} did not come to its end; {what} would build on what it left half done. "
            f"`{stack.command('partition', 'move', '--resume')}` carries on with it."
        )


def _files(stack_folder: Path) -> list[Path]:
    found = [path for path in folder(stack_folder).glob("*.json") if path.stem.isdigit()]
    return sorted(found, key=lambda path: int(path.stem))
