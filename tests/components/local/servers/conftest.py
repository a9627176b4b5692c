"""A stack's folder of its own for each test, with its own registry of address blocks, and nothing left running."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from components.local.servers import addresses, paths, process
from components.local.servers.addresses import Addresses


@dataclass(frozen=True)
class Stack:
    folder: Path
    addresses: Addresses


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that was started for something below this folder."""
    found = []
    for candidate in psutil.process_iter():
        try:
            if candidate.environ().get(process.MARK_FOLDER, "").startswith(f"{folder}/"):
                found.append(candidate)
        except psutil.Error:
            continue
    return found


@contextmanager
def stack_of_its_own() -> Iterator[Stack]:
    """Not below pytest's own folder: that one is closed to the account that servers fall back to."""
    home = Path(tempfile.mkdtemp(prefix="meridian-")).resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERIDIAN_HOME", str(home / "runtime"))
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        folder = paths.make_folder(paths.stack_folder("test"))
        block = addresses.claim(folder)
        try:
            yield Stack(folder, Addresses(block))
        finally:
            for left in processes_of(home):
                try:
                    for child in left.children(recursive=True):
                        child.kill()
                    left.kill()
                    left.wait(10)
                except psutil.Error:
                    continue
            addresses.release(folder)
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def stack() -> Iterator[Stack]:
    with stack_of_its_own() as made:
        yield made


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[Stack]:
    """For the tests of a module that build on each other's servers."""
    with stack_of_its_own() as made:
        yield made
