"""What earlier drills of a stack found: one line each, kept with the stack, and read by later reports."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.local.servers import paths
from operations.drill.result import Result
from operations.errors import Fault
from topology.model import Phase
from topology.recovery import Drill, Objective


def folder(stack_folder: Path) -> Path:
    return stack_folder / "drills"


def new_folder(stack_folder: Path, scenario: str) -> Path:
    """For one drill's ledger and report."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    base, number = folder(stack_folder) / f"{stamp}-{scenario}", 1
    path = base
    while path.exists():
        number += 1
        path = base.with_name(f"{base.name}-{number}")
    return paths.make_folder(path)


def add(stack_folder: Path, result: Result) -> None:
    path = paths.make_folder(folder(stack_folder)) / "history.jsonl"
    with path.open("a") as file:
        file.write(json.dumps(result.as_json()) + "\n")


def read(stack_folder: Path) -> list[dict[str, Any]]:
    path = folder(stack_folder) / "history.jsonl"
    return read_file(path) if path.exists() else []


def read_file(path: Path) -> list[dict[str, Any]]:
    try:
        # A line that was cut short, because the machine went down, is no drill.
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    except (OSError, ValueError) as fault:
        raise Fault(f"{path}: cannot be read as a history of drills: {fault}") from None


def drills(stack_folder: Path) -> tuple[Drill, ...]:
    """As the planner takes them: what the loss of a region, or of a writer, cost this very stack."""
    return tuple(_drills(read(stack_folder)))


def _drills(records: list[dict[str, Any]]) -> Iterator[Drill]:
    for record in records:
        move = next((move for move in record["moves"] if move["kind"] == "failover"), None)
        if not record["event"] or move is None:
            continue
        # Writes that are lost, and nobody knows since when, are no figure.
        lost = record["lost_seconds"] if record["lost"] else 0.0
        found: tuple[tuple[Objective, float | None], ...] = (("rto", move["pause"]), ("rpo", lost))
        for objective, seconds in found:
            if seconds is not None:
                yield Drill(
                    scenario=record["scenario"],
                    day=time.strftime("%Y-%m-%d", time.gmtime(record["began"])),
                    phase=Phase(record["phase"]),
                    durability=record["durability"],
                    event=record["event"],
                    objective=objective,
                    seconds=seconds,
                )
