"""Records what a program registers, without an engine: for tests of components, and as the floor of benchmarks.

Pulumi's own mocks show neither parents nor guards and merge duplicate names silently; here both are visible and a
duplicate is an error. Outputs equal inputs, and an id is the resource's name unless the caller names another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import sdk
from engine.values import bare

STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One resource as the program asked for it."""

    urn: str
    type: str
    name: str
    parent: str
    custom: bool
    provider: str  # "URN::id" of the explicit provider; empty for a default one
    inputs: Mapping[str, Any]
    protect: bool
    ignore_changes: tuple[str, ...]
    retain_on_delete: bool
    dependencies: frozenset[str]


@dataclass
class Graph:
    """All resources by URN, and the stack's outputs."""

    resources: dict[str, Registered] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Registered]:
        return iter(sorted(self.resources.values(), key=lambda resource: resource.urn))

    def of_type(self, type_: str) -> list[Registered]:
        return [resource for resource in self if resource.type == type_]

    def named(self, name: str) -> Registered:
        return next(resource for resource in self if resource.name == name)


class RecordingMonitor:
    """Answers every registration at once. Raises for a name that is used twice."""

    def __init__(self, project: str, stack: str, ids: Mapping[str, str]) -> None:
        self.graph = Graph()
        self._ids = ids
        self._project, self._stack = project, stack
        self._lock = threading.Lock()

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802
        return sdk.FEATURES

    def SignalAndWaitForShutdown(self, request: Any) -> Any:  # noqa: N802
        return sdk.EMPTY

    def Log(self, request: Any) -> Any:  # noqa: N802
        return sdk.EMPTY

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if f"::{STACK_TYPE}::" in request.urn:
            self.graph.outputs = bare(sdk.from_struct(request.outputs))
        return sdk.EMPTY

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        chain = request.type
        above = request.parent.split("::")[2] if request.parent else STACK_TYPE
        if above != STACK_TYPE:
            chain = f"{above}${chain}"
        urn = f"urn:pulumi:{self._stack}::{self._project}::{chain}::{request.name}"
        if request.type == STACK_TYPE:
            return sdk.RegisterResponse(urn=urn)
        resource = Registered(
            urn=urn,
            type=request.type,
            name=request.name,
            parent=request.parent,
            custom=request.custom,
            provider=request.provider,
            inputs=bare(sdk.from_struct(request.object)),
            protect=request.protect,
            ignore_changes=tuple(request.ignoreChanges),
            retain_on_delete=request.retainOnDelete,
            dependencies=frozenset(request.dependencies),
        )
        with self._lock:
            if urn in self.graph.resources:
                raise ValueError(f"two resources are called {request.name!r} ({urn})")
            self.graph.resources[urn] = resource
        return sdk.RegisterResponse(
            urn=urn, id=self._ids.get(request.name, request.name) if request.custom else "", object=request.object
        )


def record(
    entry: Callable[[], None],
    *,
    project: str = "meridian",
    stack: str = "test",
    config: Mapping[str, str] | None = None,
    ids: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Graph:
    """Run `entry` as a Pulumi program and return what it registered. Raises whatever the program raises.

    `ids` gives resources, by name, an id of another form where the program looks into it.
    """
    monitor = RecordingMonitor(project, stack, ids or {})
    sdk.run(
        entry,
        monitor=monitor,
        log=monitor,
        project=project,
        stack=stack,
        folder=Path.cwd(),
        settings_values=config or {},
        secret_keys=frozenset(),
        dry_run=dry_run,
        threads=8,
    )
    return monitor.graph
