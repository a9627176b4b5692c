"""One command at a time changes a stack, and whoever comes second is told who is first."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from operations import lock
from operations.errors import Fault
from tests.operations.conftest import PROJECT, Copy

HOLDER = """
import sys, time
from pathlib import Path
from operations import lock
with lock.held(Path(sys.argv[1]), "up --stack dev"):
    print("held", flush=True)
    time.sleep(30)
"""


def hold(folder: Path) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def end(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_the_second_is_told_who_is_first(tmp_path: Path) -> None:
    child = hold(tmp_path / "dev")
    try:
        with (
            pytest.raises(Fault, match=rf"process {child.pid} \(`meridian up --stack dev`\)"),
            lock.held(tmp_path / "dev", "down"),
        ):
            pytest.fail("the lock was given twice")
        assert str(child.pid) in (lock.holder(tmp_path / "dev") or "")
    finally:
        end(child)
    # The kernel gave it back when its holder was killed.
    assert lock.holder(tmp_path / "dev") is None
    with lock.held(tmp_path / "dev", "up"):
        assert str(os.getpid()) in (lock.holder(tmp_path / "dev") or "")


def test_stacks_do_not_hinder_each_other(tmp_path: Path) -> None:
    with lock.held(tmp_path / "dev", "up"), lock.held(tmp_path / "test", "up"):
        pass


def test_a_folder_removed_under_the_lock_is_locked_anew(tmp_path: Path) -> None:
    """`down` removes the stack's folder, lock and all, before it lets go."""
    with lock.held(tmp_path / "dev", "down"):
        shutil.rmtree(tmp_path / "dev")
        with lock.held(tmp_path / "dev", "up"):
            assert (tmp_path / "dev" / "lock").exists()


def test_looking_for_a_holder_makes_nothing(tmp_path: Path) -> None:
    assert lock.holder(tmp_path / "dev") is None
    assert not (tmp_path / "dev").exists()


def test_a_second_up_ends_with_status_1(copy: Copy) -> None:
    child = hold(copy.stack)
    try:
        outcome = copy.run("up")
    finally:
        end(child)
    assert outcome.status == 1
    assert str(child.pid) in outcome.stderr
    assert "Traceback" not in outcome.stderr
