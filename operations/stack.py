"""One stack: its settings, what they plan, and where it keeps what runs."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.local.servers import paths
from operations import passphrase, project
from operations.errors import Refused
from operations.settings_file import Config, SettingsFile

if TYPE_CHECKING:
    from topology import Settings, Topology


DEFAULT_STACK = "dev"


@dataclass(frozen=True)
class Stack:
    """A stack as its settings file describes it, with the phase that was asked for instead, where one was, and with
    regions that are not in it yet."""

    settings_file: SettingsFile
    phase: str | None = None
    added: tuple[str, ...] = ()

    @classmethod
    def open(cls, name: str, phase: str | None = None, added: Sequence[str] = ()) -> "Stack":
        if phase == "":  # in the settings it means the default; here it is a shell variable that nobody set
            raise Refused("phase: is empty. Name one, such as async-replica, or leave --phase out.")
        return cls(SettingsFile.read(name, project.FOLDER), phase, tuple(added))

    @property
    def name(self) -> str:
        return self.settings_file.stack

    @property
    def project(self) -> str:
        return self.settings_file.namespace

    @property
    def source(self) -> Path:
        """Where the program is."""
        return self.settings_file.path.parent

    @property
    def folder(self) -> Path:
        """Where the stack keeps what runs."""
        return paths.stack_folder(self.name)

    @cached_property
    def config(self) -> Config:
        changed: dict[str, Any] = {} if self.phase is None else {"phase": self.phase}
        if self.added:
            more = [{"name": name, "slot": slot} for name, slot in self.added_slots.items()]
            changed["regions"] = [*self._listed, *more]
        return self.settings_file.config(self._decrypt, **changed)

    @cached_property
    def added_slots(self) -> dict[str, int]:
        """The regions that are not in the file, each with the next slot that nothing had: what is to be written there.

        A slot between two others may have belonged to a region that was dropped.
        """
        if not self.added:
            return {}
        used = [region.slot for region in self._written.topology.regions]
        return {name: slot for slot, name in enumerate(self.added, max(used) + 1)}

    @property
    def settings_text(self) -> str:
        """The settings file as it would be with the changes that were asked for."""
        file = self.settings_file
        text = file.with_phase(self.phase) if self.phase else file.path.read_text()
        return file.with_regions(text, self.added_slots) if self.added else text

    @cached_property
    def _written(self) -> "Stack":
        """The stack as it stands in the file."""
        return Stack(self.settings_file)

    @property
    def _listed(self) -> list[Any]:
        return json.loads(self._written.config.own(self.project)["regions"])

    @cached_property
    def settings(self) -> "Settings":
        from topology import load

        return load(self.config.own(self.project), self.name)

    @cached_property
    def topology(self) -> "Topology":
        from topology import plan

        return plan(self.settings)

    @property
    def target(self) -> str:
        """The target as written, which may not be one."""
        return self.config.own(self.project).get("target", "")

    def _decrypt(self, sealed: str) -> str:
        from engine.secrets import Crypter

        word, salt = passphrase.read(), self.settings_file.salt
        if word is None or salt is None:
            raise Refused(
                f"{self.settings_file.path.name} holds a secret value, and "
                + (f"{passphrase.WORD} is not set" if word is None else "no `encryptionsalt` to read it with")
            )
        return Crypter(word, salt).decrypt(sealed)

    def command(self, *words: str) -> str:
        """A command for this stack, as a user would type it."""
        stack = ["--stack", self.name] if self.name != DEFAULT_STACK else []
        return shlex.join(["./meridian", *words, *stack])
