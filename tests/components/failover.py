"""What a stack's state looks like when the writer has moved, and what the program would then do to it, on any cloud.

A cloud's table says which properties a refresh finds changed, by type: everything at once, upgrades, rotations and
imports included. Rows of the kind `output` are no arguments; `recorded_after` runs the program on them, because an
argument may be made from one.

A property that the program does not set counts as emptied where the state has it, as for an argument that is optional
and not computed in the provider's schema. For those that are computed as well this is the darker view.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

from components.replacement import Consequence, any_change, at, path_keys, put_back
from engine import recorder, sdk
from engine.recorder import Graph, RecordingMonitor, Registered

State = Mapping[str, Any]
Off = frozenset[tuple[str, str]]  # type and entry, as registered


@dataclass(frozen=True, kw_only=True)
class Row:
    type: str
    property: str  # dotted below the top
    kind: str  # input or output
    of: str  # which resources: writer, others (all members but the writer), former (the writer before), every
    value: str
    cause: str  # failover, upgrade, operations, import
    source: str


@dataclass(frozen=True, kw_only=True)
class Failover:
    """A partition's writer moved from one region to another."""

    graph: Graph
    members: Mapping[str, Registered]  # the partition's, by region, the origin first
    partition: str
    former: str
    writer: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What `up` would do to one argument of one resource: update, or what the cloud's table of replacements says."""

    name: str
    type: str
    argument: str
    effect: str


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """What differs between the clouds."""

    path: Path  # of the table
    values: Mapping[str, Callable[[Failover, Registered], Any]]  # what the table's values stand for
    consequences: Callable[[str, State, State], Iterable[Consequence]]
    members: Callable[[Graph, str], Mapping[str, Registered]]
    # The partition and the region of what belongs to one partition alone; None for what belongs to all.
    place: Callable[[Graph, Registered], tuple[str, str] | None]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        with self.path.open(encoding="utf-8", newline="") as file:
            return tuple(Row(**row) for row in csv.DictReader(file))

    def concerns(self, row: Row, event: Failover, resource: Registered) -> bool:
        if row.type != resource.type:
            return False
        place = self.place(event.graph, resource)
        if place is None:
            return row.of == "every"
        partition, region = place
        found = {"every": True, "writer": region == event.writer, "others": region != event.writer}
        return partition == event.partition and (found | {"former": region == event.former})[row.of]

    def found_after(self, graph: Graph, partition: str, writer: str, kind: str) -> dict[str, dict[str, Any]]:
        """What a refresh finds changed, by URN and path."""
        members = self.members(graph, partition)
        former = next(region for region in members if region != writer)
        event = Failover(graph=graph, members=members, partition=partition, former=former, writer=writer)
        return {
            resource.urn: {
                row.property: self.values[row.value](event, resource)
                for row in self.rows
                if row.kind == kind and self.concerns(row, event, resource)
            }
            for resource in graph
        }

    def after_failover(self, graph: Graph, partition: str, writer: str) -> dict[str, State]:
        """The arguments of every resource as the refreshed state has them, by URN."""
        changed = self.found_after(graph, partition, writer, "input")
        return {urn: changed_to(graph.resources[urn].inputs, values) for urn, values in changed.items() if values}

    def verdicts(self, graph: Graph, states: Mapping[str, State], *, off: Off = frozenset()) -> list[Verdict]:
        """What the program that `graph` is of would do to those states. `off` takes entries off ignore lists."""
        return [
            verdict for urn, state in sorted(states.items()) for verdict in self.judge(graph.resources[urn], state, off)
        ]

    def judge(self, resource: Registered, state: State, off: Off) -> Iterator[Verdict]:
        news: Any = resource.inputs
        for entry in resource.ignore_changes:
            if (resource.type, entry) not in off:
                news = put_back(state, news, path_keys(entry))
        effects: dict[str, set[str]] = {path: {"update"} for path in differences(state, news)}
        for each in self.consequences(resource.type, state, news):
            for path in [path for path in effects if path.startswith(f"{each.argument}.")]:
                del effects[path]
            effects[each.argument] = (effects.get(each.argument, set()) - {"update"}) | {each.effect}
        for argument in sorted(effects):
            for effect in sorted(effects[argument]):
                yield Verdict(name=resource.name, type=resource.type, argument=argument, effect=effect)

    def recorded_after(self, program: Callable[[], Graph], before: Graph, partition: str, writer: str) -> Graph:
        """The program once more, each resource answering with what it is after the failover, its outputs included."""
        kinds = [self.found_after(before, partition, writer, kind) for kind in ("input", "output")]

        class Monitor(RecordingMonitor):
            def RegisterResource(self, request: Any) -> Any:
                response = super().RegisterResource(request)
                values = {path: value for kind in kinds for path, value in kind.get(response.urn, {}).items()}
                if values:
                    state = changed_to(before.resources[response.urn].inputs, values)
                    tops = {path.partition(".")[0] for path in values}
                    response.object.MergeFrom(sdk.to_struct({top: state[top] for top in tops}))
                return response

        with patch.object(recorder, "RecordingMonitor", Monitor):
            return program()


def changed_to(inputs: State, values: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with other values at those paths."""
    state: dict[str, Any] = deepcopy(dict(inputs))
    for path, value in values.items():
        *above, last = path.split(".")
        inner = state
        for key in above:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return state


def differences(old: Any, new: Any, prefix: str = "") -> Iterator[str]:
    """The paths at which two sets of arguments differ, down to the last that both of them have."""
    for key in sorted({*old, *new}):
        was, now = at(old, [key]), at(new, [key])
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from differences(was, now, f"{prefix}{key}.")
        elif any_change(was, now):
            yield f"{prefix}{key}"


def named(found: Iterable[Verdict], entry: str) -> set[str]:
    """The effects on an argument, or on what is below it."""
    return {each.effect for each in found if f"{each.argument}.".startswith(f"{entry}.")}
