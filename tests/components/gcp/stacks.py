"""Topologies of the example stacks, and what a program registers for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from engine.recorder import Graph, record
from topology import Topology, load, plan

PROJECT = Path(__file__).resolve().parents[3]


def config(stack: str = "production-gcp", *, phase: int | str, **overrides: Any) -> dict[str, str]:
    """The stack's settings as Pulumi hands them over, keys without the namespace; `overrides` replace whole keys."""
    values = YAML(typ="safe").load((PROJECT / f"Pulumi.{stack}.yaml").read_text())["config"]
    found = {key.removeprefix("meridian:"): value for key, value in values.items()}
    found |= {"phase": str(phase), **overrides}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}


def topology(stack: str = "production-gcp", *, phase: int | str, **overrides: Any) -> Topology:
    return plan(load(config(stack, phase=phase, **overrides), stack))


def recorded(program: Callable[[], None], *, ids: Mapping[str, str] | None = None) -> Graph:
    """What a program registers, as a preview of a new stack would see it."""
    return record(program, stack="production-gcp", ids=ids)
