"""A small world for the engine's tests: a program folder, a state file and a paper cloud (see paper/paper.py)."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

import engine
from engine import Event, Plan, Program, Result, StateFile

PAPER = Path(__file__).parent / "paper"
# Deriving a key takes a quarter of a second, so the tests share one salt (the engine keeps the key for the process).
SALT = b"eightbyt"
PASSPHRASE = "correct horse"
HEAD = """
import pulumi
from pulumi import ComponentResource, Output, ResourceOptions as Opts
from paper import Lazy, Paper
"""


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "program"
        self.cloud = folder / "cloud"
        self.state_path = folder / "state.json"
        self.config: dict[str, str] = {}
        self.secret_keys: frozenset[str] = frozenset()
        self.events: list[Event] = []
        for path in (self.folder, self.cloud):
            path.mkdir()

    def write(self, text: str) -> Program:
        (self.folder / "__main__.py").write_text(HEAD + textwrap.dedent(text))
        return self.program

    @property
    def program(self) -> Program:
        return Program(project="toy", stack="dev", folder=self.folder, config=self.config, secret_keys=self.secret_keys)

    @property
    def file(self) -> StateFile:
        return StateFile(self.state_path, PASSPHRASE)

    def up(self, text: str | None = None, **more: Any) -> Result:
        if text is not None:
            self.write(text)
        return engine.up(self.program, self.file, on_event=self.events.append, **more)

    def preview(self, text: str | None = None) -> Plan:
        if text is not None:
            self.write(text)
        return engine.preview(self.program, self.file.load(new=True), on_event=self.events.append)

    def things(self) -> set[str]:
        return {file.stem for file in self.cloud.glob("*.json")}

    def calls(self, *kinds: str) -> list[str]:
        """The provider's calls since the last look, of these kinds (all but `diff` unless told)."""
        log = self.cloud / "calls.log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.write_text("")
        return [line for line in lines if line.split()[0] in (kinds or ("create", "update", "delete"))]

    def resources(self) -> dict[str, engine.Resource]:
        return {item.name: item for item in self.file.load().resources}


def ops(outcome: Plan | Result) -> dict[str, str]:
    """Operation by name, the stack itself left out."""
    return {step.name: step.op for step in outcome.steps if step.type != "pulumi:pulumi:Stack"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    monkeypatch.setattr("engine.secrets.fresh_salt", lambda: SALT)
    monkeypatch.setenv("PAPER_CLOUD", str(made.cloud))
    monkeypatch.syspath_prepend(str(PAPER))
    return made
