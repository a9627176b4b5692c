"""What `pulumi stack export` would hold of a stack that was brought up: made from what its program registers.

A resource's outputs are its inputs: an ARN and the like is missing, so that what is made from one seems to change. What
holds data hangs on none of these.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.recorder import STACK_TYPE, Graph, Registered


def entry(resource: Registered) -> dict[str, Any]:
    found: dict[str, Any] = {
        "urn": resource.urn,
        "custom": resource.custom,
        "type": resource.type,
        "inputs": dict(resource.inputs),
        "outputs": dict(resource.inputs),
        "parent": resource.parent,
        "protect": resource.protect,
        "provider": resource.provider,
        "ignoreChanges": list(resource.ignore_changes),
    }
    # A local stack's addresses come from the id of its block.
    id_ = "127.20" if resource.type.endswith(":AddressBlock") else resource.name
    return {**found, "id": id_} if resource.custom else found


def export(
    graph: Graph, stack: str, edit: Callable[[dict[str, Any]], None] = lambda _entry: None, project: str = "meridian"
) -> dict[str, Any]:
    """`edit` may change each entry as if the state differed from what the program says."""
    root = {
        "urn": f"urn:pulumi:{stack}::{project}::{STACK_TYPE}::{project}-{stack}",
        "custom": False,
        "type": STACK_TYPE,
        "outputs": graph.outputs,
    }
    entries = [entry(resource) for resource in graph]
    for each in entries:
        edit(each)
    return {"version": 3, "deployment": {"resources": [root, *entries]}}


def write(path: Path, document: Mapping[str, Any]) -> str:
    path.write_text(json.dumps(document))
    return str(path)
