"""A run that is killed at any moment is taken up by the next one, which ends where an undisturbed run would have."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from tests.engine.conftest import PAPER, PASSPHRASE, SALT, World, ops

FIRST = """
a = Paper("a")
b = Paper("b", name="b1", near=a.address)
c = Paper("c", name="c1", early=True)
d = Paper("d", near=c.address)
e = Paper("e")
pulumi.export("d", d.address)
"""
SECOND = """
a = Paper("a", size=2)
b = Paper("b", name="b2", near=a.address)
c = Paper("c", name="c2", early=True)
d = Paper("d", near=c.address)
f = Paper("f", note=b.address)
pulumi.export("d", d.address)
"""


@pytest.fixture(scope="module")
def mortal() -> Iterator[subprocess.Popen[str]]:
    root = Path(engine.__file__).parents[1]
    command = [sys.executable, str(PAPER / "mortal.py"), SALT.decode(), PASSPHRASE]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{PAPER}"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def killed_at(mortal: subprocess.Popen[str], world: World, moment: int, what: str = "up") -> bool:
    """Run `up` or `destroy` in a child that kills itself at that moment; False when it got to the end before."""
    assert mortal.stdin is not None
    assert mortal.stdout is not None
    job = {
        "what": what,
        "moment": str(moment),
        "folder": str(world.folder),
        "cloud": str(world.cloud),
        "state": str(world.state_path),
        "passphrase": PASSPHRASE,
    }
    mortal.stdin.write(json.dumps(job) + "\n")
    mortal.stdin.flush()
    outcome = int(mortal.stdout.readline())
    if os.WIFSIGNALED(outcome):
        assert os.WTERMSIG(outcome) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(outcome) == 0
    return False


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_runs_killed_again_and_again_converge(mortal: subprocess.Popen[str], world: World, step: int) -> None:
    """Each run is killed at its `step`th moment, so that every moment of the work is met once by one of the runs."""
    for text, things in ((FIRST, {"a", "b1", "c1", "d", "e"}), (SECOND, {"a", "b2", "c2", "d", "f"})):
        world.write(text)
        runs = 0
        while killed_at(mortal, world, step):
            runs += 1
            assert runs < 40, "the runs make no progress"
            step = step if runs % 6 else step + 1  # a run killed before its first state write starts over
        assert runs > 0
        assert world.things() == things
        assert set(ops(world.up()).values()) == {"same"}
        assert not any(item.delete or item.pending_replacement for item in world.file.load().resources)


@pytest.mark.parametrize("more", ["", 'Paper("k", opts=Opts(protect=True))\n'], ids=["", "early"])
@pytest.mark.parametrize("moment", range(1, 18, 2))
def test_a_run_killed_once_is_finished_by_the_next(
    mortal: subprocess.Popen[str], world: World, moment: int, more: str
) -> None:
    """With something protected, the run is previewed, and carries out early what the preview knows."""
    world.up(more + FIRST)
    world.write(more + SECOND + more.replace("k", "g"))
    killed_at(mortal, world, moment)
    world.up()
    assert world.things() - {"g", "k"} == {"a", "b2", "c2", "d", "f"}
    assert set(ops(world.up()).values()) == {"same"}
    assert engine.destroy(None, world.file, unprotect=True).steps
    assert world.things() == set()


def test_a_killed_destroy_is_finished_by_the_next(mortal: subprocess.Popen[str], world: World) -> None:
    world.up(FIRST)
    assert killed_at(mortal, world, 4, "destroy")
    assert world.things()
    engine.destroy(world.program, world.file)
    assert world.things() == set()
    assert world.file.load().resources == ()
