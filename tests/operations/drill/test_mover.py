"""A command that is killed and carried on with; a stand-in keeps the record of a move as the real one does."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from operations.drill import mover
from operations.drill.mover import Mover, interrupted
from operations.errors import Fault
from operations.partitions import journal, move
from tests.operations.conftest import PROJECT

# Carries a move out without servers, a step each 20 ms; `--undo` and `--resume` as the command takes them.
PROGRAM = """
import sys, time
from pathlib import Path
from operations.partitions import journal, move
from operations.partitions.runner import Runner

folder, words = Path(sys.argv[1]), sys.argv[2:]

class Driver:
    surveyed = False  # ends with the process
    def is_alive(self, state): return True
    def is_surveyed(self): return self.surveyed
    def do(self, state, action):
        time.sleep(0.02)
        self.surveyed |= action == "survey"
        return "1" if action == "close" else None

left = journal.unfinished(folder)
if left is None:
    if "--resume" in words or "--undo" in words:
        sys.exit(2)
    name = journal.next_name(folder)
    left = journal.new(folder, move.State(name=name, first="00/eu/", last="00/eu0", source="main", target="americas"))
elif "--undo" in words:
    left.note("turned", move.undo(left.state), detail="--undo")
elif "--resume" not in words:
    print("left half done", file=sys.stderr)
    sys.exit(2)
Runner(Driver(), left, lambda _: None).run()
"""
MOVE = ("partition", "move", "--homes", "00/eu", "--to", "americas")


class Typist:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words: list[tuple[str, ...]] = []

    def start(self, *words: str) -> "subprocess.Popen[str]":
        self.words.append(words)
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.folder), *words],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> str:
        begun = self.start(*words)
        out, said = begun.communicate(timeout=30)
        if begun.returncode:
            raise Fault(said)
        return out


def made(folder: Path, chance: Any) -> tuple[Mover, Typist]:
    typist = Typist(folder)
    return Mover(cast("Any", typist), folder, chance), typist


class Chosen(random.Random):
    """Says which step it is, and whether what can be undone is."""

    def __init__(self, *steps: str | None, undo: bool = False) -> None:
        super().__init__(1)
        self.steps, self.undo = list(steps), undo

    def choice(self, seq: Any) -> Any:
        return self.steps.pop(0) if None in seq else 0.0

    def random(self) -> float:
        return 0.0 if self.undo else 0.9


@pytest.mark.parametrize("step", [None, "clear", "copy", "close", "open", "clean_up"])
def test_it_is_killed_in_whatever_step_is_chosen_and_carried_on_with(tmp_path: Path, step: str | None) -> None:
    chosen, typist = made(tmp_path, Chosen(step))
    killed = chosen.run_killed(*MOVE)
    found = mover.newest(tmp_path)
    assert found is not None
    assert found.outcome == "done"
    assert killed in ([step], ["start"]) if step else len(killed) <= 1
    assert typist.words[0] == MOVE
    begun = [event["step"] for event in found.events if event["what"] == "begun"]
    if step is not None:
        assert typist.words[1:] == [mover.RESUME]
        assert begun.count(step) == 2, "it was in the middle of it"


def test_what_can_be_undone_is_and_may_be_killed_then_too(tmp_path: Path) -> None:
    chosen, typist = made(tmp_path, Chosen("copy", "reopen", undo=True))
    assert chosen.run_killed(*MOVE) == ["copy", "reopen"]
    found = mover.newest(tmp_path)
    assert found is not None
    assert found.outcome == "undone"
    assert typist.words == [MOVE, mover.UNDO, mover.RESUME]


def test_what_may_have_been_opened_is_not_undone(tmp_path: Path) -> None:
    chosen, typist = made(tmp_path, Chosen("open", undo=True))
    assert chosen.run_killed(*MOVE) == ["open"]
    assert typist.words == [MOVE, mover.RESUME]


def test_a_command_that_fails_by_itself_is_a_fault_with_its_words(tmp_path: Path) -> None:
    state = move.State(name="move_001", first="a", last="b", source="main", target="americas")
    journal.new(tmp_path, state)
    chosen, _ = made(tmp_path, Chosen("copy"))
    with pytest.raises(Fault, match="ended with 2: left half done"):
        chosen.run_killed(*MOVE)


def test_a_command_stands_still_in_a_step_while_something_happens(tmp_path: Path) -> None:
    chosen, _ = made(tmp_path, random.Random(1))
    run = chosen.start(*MOVE)
    events: list[int] = []

    def look() -> None:
        for _ in range(2):
            found = mover.newest(tmp_path)
            events.append(len(found.events) if found else 0)
            time.sleep(0.2)

    assert interrupted(run, "ship", 0.0, look) == "ship"
    assert (events[0], run.end()) == (events[1], 0)


def test_a_move_that_had_come_to_its_end_was_in_no_step(tmp_path: Path) -> None:
    chosen, _ = made(tmp_path, random.Random(1))
    run = chosen.start(*MOVE)
    assert run.end() == 0
    done: list[Callable[[], None]] = []
    assert interrupted(run, "reopen", 0.0, lambda: done.append(print)) is None
    assert len(done) == 1


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    chosen, _ = made(tmp_path, random.Random(1))
    run = chosen.start(*MOVE)
    run.process.send_signal(signal.SIGSTOP)
    with pytest.raises(Fault, match="did not end within"):
        run.end(0.1)
