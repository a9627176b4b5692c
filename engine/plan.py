"""What a preview or a run consists of: steps, events while it goes on, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Operation = Literal["create", "update", "replace", "delete", "same"]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Pulumi program in Python: the folder holds `__main__.py` and goes on the path, as under the Pulumi CLI."""

    project: str
    stack: str
    folder: Path
    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Full keys (`meridian:phase`) to text, as Pulumi would hand it over."""
    secret_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens, or would happen, to one resource."""

    op: Operation
    urn: str
    type: str
    name: str
    custom: bool = True
    changed: tuple[str, ...] = ()
    """Paths of the inputs that differ (`endpoint.port`, `members[0]`)."""
    replace_keys: tuple[str, ...] = ()
    """The properties that the provider says cannot be changed in place."""
    delete_before_replace: bool = False
    protected: bool = False
    retained: bool = False
    """Deleted from the state only (`retain_on_delete`)."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Progress: a step begins, is done, failed or was skipped, or a message was logged (`info`, `warning`, `error`)."""

    kind: Literal["begin", "done", "failed", "skipped", "info", "warning", "error"]
    step: Step | None = None
    message: str = ""
    urn: str = ""


OnEvent = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `up` would do. `problems` is why it would refuse: `up` raises them as one `Refusal`."""

    steps: tuple[Step, ...]
    outputs: Mapping[str, Any]
    """Values not known before `up` are `engine.UNKNOWN`, secrets are `engine.Secret`."""
    duration: float
    problems: tuple[str, ...] = ()
    requests: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What the program registered, as it came over the wire, by URN."""
    basis: Any = field(default=None, repr=False, compare=False)
    """The program and the state that it is a plan for."""

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that are not `same`."""
        return tuple(step for step in self.steps if step.op != "same")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What `up` or `destroy` did."""

    steps: tuple[Step, ...]
    outputs: Mapping[str, Any]
    duration: float

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that are not `same`."""
        return tuple(step for step in self.steps if step.op != "same")
