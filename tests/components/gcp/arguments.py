"""Holds every argument of every resource of a graph on Google Cloud against what the SDK and Google know of it.

    assert check_graph(record(...)) == []

Three readings: the SDK's own input types (../signatures.py), the words that its documentation lists (enumerations.py),
limits of names and labels (limits.py); and that nothing falls into the provider's default project or region.
An output that no input has (a self link) is nothing at all to a recorder, or unknown if the graph was recorded with
`dry_run`; only then does a missing argument count.
"""

import re
from collections.abc import Iterator
from typing import Any

from engine.recorder import Graph, Registered
from engine.values import UNKNOWN, has_unknown
from tests.components import signatures
from tests.components.fault import Fault, told
from tests.components.gcp import enumerations
from tests.components.gcp.limits import label_faults, name_faults
from tests.components.sdk import arguments_class
from topology.catalogue import catalogue

PACKAGES = ("gcp", "random")


def check_graph(graph: Graph) -> list[str]:
    """Every finding, each with the resource, the argument, its value, what is allowed, and who says so."""
    answered = any(has_unknown(resource.inputs) for resource in graph)
    return [
        told(resource, fault)
        for resource in graph
        if resource.custom and resource.type.split(":")[0] in PACKAGES
        for fault in _findings(resource)
        if answered or not fault.missing
    ]


def _findings(resource: Registered) -> Iterator[Fault]:
    yield from signatures.faults(resource.type, resource.inputs)
    if not resource.type.startswith("gcp:") or signatures.signature(resource.type) is None:
        return
    yield from enumerations.faults(arguments_class(resource.type), resource.inputs)
    yield from name_faults(resource.type, resource.inputs)
    yield from label_faults(resource.type, resource.inputs)
    yield from _place(resource)


def _place(resource: Registered) -> Iterator[Fault]:
    if not re.search(r"[:$]pulumi:providers:gcp::", resource.provider):
        allowed = "the stack's own provider"
        yield Fault(path=("provider",), value=resource.provider or None, allowed=allowed, source="facts: gcp")
    found = signatures.signature(resource.type)
    assert found is not None
    for argument in ("project", "region", "location"):
        value: Any = resource.inputs.get(argument)
        if argument not in found.types or value is UNKNOWN:
            continue
        if value is None:
            allowed = f"an explicit {argument}: without one it is the provider's"
            yield Fault(path=(argument,), value=None, allowed=allowed, source="facts: gcp")
        elif argument != "project" and value not in _places(argument):
            allowed = "a region of Google Cloud"
            yield Fault(path=(argument,), value=value, allowed=allowed, source="topology: catalogue")


def _places(argument: str) -> set[str]:
    return {*catalogue("gcp"), *(["global"] if argument == "location" else [])}
