"""What earlier drills of a stack found: one line each, kept with the stack, and read by later reports."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.local.servers import paths
from operations.drill.result import Result
from topology.model import Phase
from topology.recovery import Drill


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
    try:
        text = (folder(stack_folder) / "history.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def drills(stack_folder: Path) -> tuple[Drill, ...]:
    """As the planner takes them: what the loss of a region, or of a writer, cost this very stack."""
    return tuple(_drills(read(stack_folder)))


EVENTS = {"lost-region": "region", "lost-writer": "writer"}


def _drills(records: list[dict[str, Any]]) -> Iterator[Drill]:
    for record in records:
        event = EVENTS.get(record["scenario"])
        move = next((move for move in record["moves"] if move["kind"] == "failover"), None)
        if event is None or move is None or move["pause"] is None:
            continue
        source = f"drill {record['scenario']} of {time.strftime('%Y-%m-%d', time.gmtime(record['began']))}"
        for objective, seconds in (("rto", move["pause"]), ("rpo", record["lost_seconds"] or 0.0)):
            yield Drill(
                phase=Phase(record["phase"]),
                event="region" if event == "region" else "writer",
                objective="rto" if objective == "rto" else "rpo",
                seconds=seconds,
                source=source,
            )
