"""A small project in a folder of its own, and the command run there as a user runs it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("operations", "topology", "engine", "components", "service", "policies")


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """What stdout holds, which has to be one JSON document and nothing else."""
        return json.loads(self.stdout)


@dataclass
class Copy:
    """A copy of the project without anything that runs, driven by `python -m operations`."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, **environment: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "operations", *words],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def snapshot(self) -> dict[str, bytes | None]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else None
            for path in self.folder.rglob("*")
            if "__pycache__" not in path.parts
        }

    @property
    def stack(self) -> Path:
        return self.folder / ".meridian" / "stacks" / "dev"

    @property
    def settings(self) -> Path:
        return self.folder / "Pulumi.dev.yaml"


def clean_environment(folder: Path) -> dict[str, str]:
    """Without the settings of whoever runs the tests, and without a Pulumi CLI."""
    ours = ("PULUMI", "MERIDIAN", "PYTEST", "PIP_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    path = os.pathsep.join(
        part for part in kept.get("PATH", "").split(os.pathsep) if part and not (Path(part) / "pulumi").exists()
    )
    return {**kept, "PATH": path, "XDG_STATE_HOME": str(folder / "claims"), "TMPDIR": str(folder)}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    folder = tmp_path / "project"
    folder.mkdir()
    for room in ROOMS:
        (folder / room).symlink_to(PROJECT / room)
    # Packages are reached through links, but a link's target is where Python says that they are.
    for room in ("operations", "components"):
        (folder / room).unlink()
        shutil.copytree(PROJECT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    stacks = [f"Pulumi.{name}.yaml" for name in ("dev", "production-aws", "production-gcp")]
    for name in ("__main__.py", "Pulumi.yaml", *stacks):
        shutil.copy(PROJECT / name, folder / name)
    return Copy(folder, clean_environment(tmp_path))


@pytest.fixture
def fake_pulumi(tmp_path: Path) -> Callable[[str], str]:
    """Puts a program named pulumi on a PATH of its own; the PATH is returned. It logs how it was called."""

    def make(body: str = "exit 0") -> str:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "pulumi"
        program.write_text(f'#!/bin/sh\necho "$*" >> "{tmp_path}/pulumi-calls"\n{body}\n')
        program.chmod(0o755)
        return f"{folder}{os.pathsep}{clean_environment(tmp_path)['PATH']}"

    return make


URN = "urn:pulumi:dev::meridian::"
MEMBER_URN = f"{URN}meridian:local:Database$pulumi-python:dynamic/local:Postgres::main-eu-central-postgres"


def resources() -> list[dict[str, Any]]:
    """What either engine's state holds of a stack with one member."""
    return [
        {"urn": f"{URN}pulumi:pulumi:Stack::meridian-dev", "custom": False, "type": "pulumi:pulumi:Stack"},
        {
            "urn": MEMBER_URN,
            "custom": True,
            "id": "main-eu-central",
            "type": "pulumi-python:dynamic/local:Postgres",
            "inputs": {"member": "main-eu-central", "region": "eu-central", "stack": "dev"},
            "outputs": {"member": "main-eu-central", "region": "eu-central", "stack": "dev"},
            "protect": True,
        },
    ]


def write_embedded_state(stack: Path) -> Path:
    stack.mkdir(parents=True, exist_ok=True)
    path = stack / "state.json"
    path.write_text(json.dumps({"version": 3, "deployment": {"resources": resources()}}))
    return path


def write_checkpoint(folder: Path) -> Path:
    path = folder / ".pulumi" / "stacks" / "meridian" / "dev.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": resources()}}}))
    return path
