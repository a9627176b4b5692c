"""The first invariant on any cloud: climbing only adds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from components.replacement import Consequence
from engine.recorder import Graph, Registered

STEPS = tuple(itertools.combinations(range(1, 6), 2))


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """What differs between the clouds."""

    stateful: Collection[str]
    consequences: Callable[[str, Mapping[str, Any], Mapping[str, Any], Iterable[str]], Iterable[Consequence]]
    # What is replaced on purpose: each change is another revision, and nothing is lost with the one before.
    is_revision: Callable[[Registered], bool]

    def faults(self, before: Graph, after: Graph) -> list[str]:
        """What a step does to what was there: anything that vanishes and holds data, and any argument that would
        replace, detach or promote.
        """
        found: list[str] = []
        for resource in before:
            if not resource.custom:
                continue
            now = after.resources.get(resource.urn)
            if now is None:
                if resource.type in self.stateful or resource.protect:
                    found.append(f"{resource.name} ({resource.type}) is gone")
                continue
            found += [f"{resource.name}: {what}" for what in self.changes(resource, now)]
        return found

    def changes(self, was: Registered, now: Registered) -> list[str]:
        if was.type.startswith("pulumi:providers:") and dict(was.inputs) == dict(now.inputs):
            return []
        if self.is_revision(now):
            return []
        found = self.consequences(was.type, dict(was.inputs), dict(now.inputs), now.ignore_changes)
        return [str(what) for what in found]


def edited(graph: Graph, resource: Registered, **inputs: Any) -> Graph:
    """The same program with other inputs for one resource."""
    return Graph(resources={**graph.resources, resource.urn: replace(resource, inputs={**resource.inputs, **inputs})})


def without(graph: Graph, resource: Registered) -> Graph:
    return Graph(resources={urn: each for urn, each in graph.resources.items() if urn != resource.urn})
