"""The Pulumi CLI as engine: what a user would type, with the backend and the passphrase of this project."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from operations import consequences, pack, passphrase
from operations.changes import Change, Preview, counted
from operations.engines import records
from operations.engines.embedded import CLI_PAGE, preview_of
from operations.errors import Fault, Refused
from operations.progress import View
from operations.stack import Stack

PROGRAM = "pulumi"
LAST_LINES = 12

# The CLI's words for steps, and ours. A replacement is three steps there, of which one speaks for all.
OPERATIONS = {"create": "create", "update": "update", "replace": "replace", "delete": "delete", "same": "same"}


def installed() -> str | None:
    return shutil.which(PROGRAM)


class PulumiCli:
    name = "pulumi"

    def __init__(self, stack: Stack) -> None:
        program = installed()
        if program is None:
            raise Refused(
                f"engine: the Pulumi CLI is not on PATH. Install it ({CLI_PAGE}), or use --engine embedded, "
                "which needs nothing more and builds the target local."
            )
        self.program = program
        self.stack = stack
        self.backend = records.backend(stack.target)

    def environment(self) -> dict[str, str]:
        given = {**os.environ, **passphrase.environment(), "PULUMI_SKIP_UPDATE_CHECK": "true"}
        # The settings of a stack need no other environment than the one that this command runs in.
        given.pop("PYTHONPATH", None)
        return {**given, "PULUMI_BACKEND_URL": self.backend} if self.backend else given

    @cached_property
    def resources(self) -> list[records.Record] | None:
        """What the backend holds. A file backend is read at once; any other is asked through the CLI."""
        if self.backend is not None and records.checkpoint_path(self.backend, self.stack.project, self.stack.name):
            return records.checkpoint(self.backend, self.stack.project, self.stack.name)
        done = self._run("stack", "export", *self._stack())
        if done.returncode != 0:
            if "no stack named" in done.stderr:
                return None
            raise Fault(f"`pulumi stack export` failed:{_last(done.stderr)}")
        return list((json.loads(done.stdout).get("deployment") or {}).get("resources") or ())

    def has_stack(self) -> bool:
        return bool(self.resources)

    def require_able(self) -> None:
        """The CLI builds every target."""

    def outputs(self) -> Mapping[str, Any] | None:
        return records.outputs(self.resources) if self.resources else None

    def protected(self) -> Mapping[str, Mapping[str, Any]]:
        return records.protected(self.resources or [])

    def preview(self, *, given_up: Collection[str] = ()) -> Preview:
        if not self.resources:
            # The CLI could only look at a stack after making one; what is created from nothing both engines say alike.
            return preview_of(self.stack, None)
        if given_up:
            import engine

            word = passphrase.read() or ""
            return preview_of(self.stack, engine.import_(self.export(), word), given_up)
        with tempfile.TemporaryDirectory() as folder:
            # A copy with the phase in it: given on the command line, the CLI would write it into the settings.
            config = Path(folder) / self.stack.settings_file.path.name
            config.write_text(self.stack.settings_text)
            done = self._run("preview", "--json", "--show-sames", "--config-file", str(config), *self._stack())
        found = parse_preview(done.stdout, done.stderr, done.returncode)
        # With a pack, `--json` says that it failed and not why, so the same rules look at the same resources here.
        refused = pack.problems(pack.previewed(done.stdout), self.stack.topology)
        return replace(found, problems=(*found.problems, *refused))

    def up(self, view: View, *, given_up: Collection[str] = ()) -> Mapping[str, Any]:
        passphrase.ensure()
        if self.backend == records.own_backend():
            from components.local.servers import paths

            paths.make_folder(paths.root() / "pulumi")
        if self.resources is None:
            done = self._run("stack", "init", "--no-select", *self._stack())
            if done.returncode != 0 and "already exists" not in done.stderr:
                raise Fault(f"`pulumi stack init` failed:{_last(done.stderr)}")
        for urn in sorted(given_up):
            done = self._run("state", "unprotect", urn, "--yes", *self._stack())
            if done.returncode != 0:
                raise Fault(f"`pulumi state unprotect` failed:{_last(done.stderr)}")
        with pack.options(self.stack.topology) as words:
            self._show("up", "--yes", "--skip-preview", "--suppress-outputs", *words)
        self.__dict__.pop("resources", None)
        return self.outputs() or {}

    def refresh(self, urns: Collection[str]) -> None:
        """Read these anew from the cloud, and nothing else; the program is not run."""
        targets = [word for urn in sorted(urns) for word in ("--target", urn)]
        done = self._run("refresh", "--yes", "--skip-preview", *targets, *self._stack())
        if done.returncode != 0:
            raise Fault(f"`pulumi refresh` failed:{_last(done.stderr or done.stdout)}")
        self.__dict__.pop("resources", None)

    def destroy(self, view: View) -> None:
        if self.resources is None:
            return
        if self.protected():
            done = self._run("state", "unprotect", "--all", "--yes", *self._stack())
            if done.returncode != 0:
                raise Fault(f"`pulumi state unprotect` failed:{_last(done.stderr)}")
        if self.resources:
            self._show("destroy", "--yes", "--skip-preview", "--suppress-outputs")
        done = self._run("stack", "rm", "--yes", "--preserve-config", *self._stack())
        if done.returncode != 0:
            raise Fault(f"`pulumi stack rm` failed:{_last(done.stderr)}")
        self.__dict__.pop("resources", None)

    def export(self) -> dict[str, Any]:
        done = self._run("stack", "export", *self._stack())
        if done.returncode != 0:
            raise Fault(f"`pulumi stack export` failed:{_last(done.stderr)}")
        return json.loads(done.stdout)

    def _stack(self) -> list[str]:
        return ["--stack", self.stack.name, "--non-interactive"]

    def _run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.program, *words],
            cwd=self.stack.source,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def _show(self, *words: str) -> None:
        """Let the CLI draw its own progress, on stderr."""
        sys.stderr.flush()
        status = subprocess.run(
            [self.program, *words, *self._stack()],
            cwd=self.stack.source,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            check=False,
        ).returncode
        if status != 0:
            raise Fault(f"`pulumi {words[0]}` ended with status {status}; what it said stands above")


def parse_preview(text: str, errors: str, status: int) -> Preview:
    """The document of `pulumi preview --json`."""
    try:
        document = json.loads(text[text.index("{") :])
    except ValueError:
        raise Fault(f"`pulumi preview` failed:{_last(errors or text)}") from None
    changes = []
    for step in document.get("steps") or ():
        state = step.get("newState") or step.get("oldState") or {}
        op = OPERATIONS.get(step["op"])
        if op is None or not counted(state.get("type", "")):
            continue
        changes.append(
            Change(
                op=op,
                urn=step["urn"],
                type=state["type"],
                name=step["urn"].rsplit("::", 1)[1],
                custom=bool(state.get("custom")),
                changed=tuple(step.get("detailedDiff") or _differing(step)) if op in ("update", "replace") else (),
                replace_keys=tuple(step.get("replaceReasons") or ()),
                protected=bool((step.get("oldState") or state).get("protect")),
            )
        )
    problems = tuple(
        item["message"].strip()
        for item in document.get("diagnostics") or ()
        if item.get("severity") == "error" and item.get("message", "").strip()
    )
    if status != 0 and not problems:
        raise Fault(f"`pulumi preview` failed:{_last(errors)}")
    judged = consequences.of_steps(changes, document.get("steps") or ())
    return Preview(changes=judged, problems=(*problems, *consequences.refusals(judged)))


def _differing(step: Mapping[str, Any]) -> list[str]:
    """The inputs that differ, where the provider did not say: dynamic ones never do."""
    old, new = ((step.get(side) or {}).get("inputs") or {} for side in ("oldState", "newState"))
    keys = dict.fromkeys((*old, *new))
    return [key for key in keys if not key.startswith("__") and old.get(key) != new.get(key)]


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()][-LAST_LINES:]
    return "".join(f"\n  {line}" for line in lines)
