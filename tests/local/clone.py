"""A clone of the project in a folder of its own, driven as a user drives it: by its commands and its URL."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.components.local.servers.conftest import processes_of

PROJECT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".meridian", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis"
)


def lives(pid: int) -> bool:
    """Whether it runs; what its parent has not reaped yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Clone:
    """`run("up")` is `./meridian up`, with this interpreter's packages instead of an environment of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    cli: bool = False  # whether the Pulumi CLI is on the path of its commands

    @classmethod
    def make(cls, folder: Path, **environment: str) -> "Clone":
        project = folder / "meridian"
        shutil.copytree(PROJECT, project, ignore=LEFT_OUT)
        (project / ".venv").symlink_to(sys.prefix)  # where the Pulumi CLI looks for the program's packages
        return cls(project, {"XDG_STATE_HOME": str(folder / "claims"), **environment})

    def run(self, *words: str, timeout: float = 180, **environment: str) -> Outcome:
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.variables(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.variables(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "operations", *words]

    def variables(self, **environment: str) -> dict[str, str]:
        # Kept from writing bytecode, every command would compile the whole project anew.
        foreign = ("PULUMI", "MERIDIAN", "PYTEST", "PYTHONDONTWRITEBYTECODE")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        if not self.cli:
            folders = kept.get("PATH", os.defpath).split(os.pathsep)
            kept["PATH"] = os.pathsep.join(folder for folder in folders if not (Path(folder) / "pulumi").exists())
        return {**kept, **self.environment, **environment}

    def must(self, *words: str, timeout: float = 180, **environment: str) -> Outcome:
        outcome = self.run(*words, timeout=timeout, **environment)
        assert outcome.status == 0, (
            f"meridian {' '.join(words)} ended with {outcome.status}:\n{outcome.stderr}\n{outcome.stdout}"
        )
        return outcome

    def end(self) -> None:
        """End whatever it started: sooner than `down` would, and also where that would fail."""
        left = processes_of(self.folder)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                # PostgreSQL takes its shared memory along when it is told to quit, and not when it is killed.
                process.send_signal(signal.SIGQUIT if process.name() == "postgres" else signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(lives(process.pid) for process in left):
            assert time.monotonic() < deadline, f"these do not end: {[process.pid for process in left]}"
            time.sleep(0.02)

    def status(self) -> Any:
        return self.must("status", "--json").document

    @property
    def stack(self) -> Path:
        return self.folder / ".meridian" / "stacks" / "dev"
