"""A drill's findings as Markdown and JSON, one drill at a time and many as a table."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from components.local.servers import paths
from operations.drill.checks import ratio_check
from operations.drill.result import Check, Move, Result
from operations.drill.scenario import Scenario
from topology.model import Phase


def write(folder: Path, result: Result, picture: str) -> None:
    paths.write_json(folder / "report.json", result.as_json())
    paths.write_atomic(folder / "report.md", markdown(result))
    paths.write_atomic(folder / "timeline.svg", picture)


def listing(scenarios: Iterable[Scenario]) -> str:
    rows = [(each.name, each.title, ", ".join(map(str, each.phases)), each.answer.by) for each in scenarios]
    return grid(("scenario", "what happens", "phases", "who answers"), rows)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def line(result: Result) -> str:
    """One drill in a line."""
    words = []
    if result.detection is not None:
        words.append(f"noticed after {result.detection:.2f} s")
    words += [move_words(move) for move in result.moves]
    words += [f"restored after {result.restored:.1f} s"] if result.restored is not None else []
    reads, writes = result.reads.get("all"), result.writes.get("all")
    if reads and writes:
        words.append(f"failed {writes.failed} writes, {reads.failed} reads")
    words.append(f"lost {result.lost} of {result.acknowledged}")
    if result.redundancy is not None:
        words.append(f"redundant after {result.redundancy:.1f} s")
    return "; ".join(words)


def move_words(move: Move) -> str:
    pause = "no write came through" if move.pause is None else f"{move.pause:.2f} s without a write"
    ratio = "" if move.ratio is None else f" ({move.ratio:.2f} times the floor of {move.floor_seconds:.2f} s)"
    killed = ", killed and resumed" if move.resumed else ""
    return f"{move.kind} to {move.target}: {pause}{ratio}{killed}"


def ratio(scenario: Scenario, rounds: Sequence[Result]) -> Check | None:
    """The median over every move of the kind that the scenario is about."""
    kind = scenario.answer.command
    found = [move.ratio for result in rounds for move in result.moves if move.kind == kind and move.ratio is not None]
    return ratio_check(scenario, median(found) if found else None)


def markdown(result: Result) -> str:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(result.began))
    parts = [
        f"# {result.title}: {result.verdict}",
        f"Drill `{result.scenario}` of the stack {result.stack} at phase {result.phase} "
        f"({Phase(result.phase).label}), durability {result.durability}, {stamp}, {result.rate:g} requests a second. "
        f"The writer was {result.writer}.",
        "![what users saw](timeline.svg)",
        "## Against what was expected",
        grid(
            ("", "expected", "found", ""),
            [(each.name, each.wanted, each.found, "passed" if each.met else "**failed**") for each in result.checks],
        ),
    ]
    if result.faults:
        parts += ["## What went wrong in the drill", "\n".join(f"- {fault}" for fault in result.faults)]
    parts += ["## Users", _users(result), "## The writer", _moves(result), "## What happened", _happened(result)]
    return "\n\n".join(parts) + "\n"


def _users(result: Result) -> str:
    rows = []
    for kind, found in (("writes", result.writes), ("reads", result.reads)):
        for region, seen in found.items():
            rows.append(
                (
                    kind,
                    region,
                    str(seen.answered),
                    str(seen.retried),
                    str(seen.failed),
                    f"{seen.longest_gap:.2f} s",
                    f"{seen.unavailable:.2f} s",
                    "-" if seen.p50_ms is None else f"{seen.p50_ms:.0f} / {seen.p99_ms:.0f} ms",
                )
            )
    head = ("", "users in", "answered", "of them retried", "failed", "longest gap", "unavailable", "p50 / p99")
    return (
        f"From the first fault until the repair began. A gap is a time without an answer; unavailable are the gaps of "
        f"more than half a second together.\n\n{grid(head, rows)}\n\n{result.acknowledged} writes were acknowledged in "
        f"the whole drill; {result.lost} of them are lost"
        + (
            ""
            if result.lost_seconds is None
            else f" (of the last {result.lost_seconds:.2f} s; {result.kept} were saved)"
        )
        + f", {result.doubled} orders are there twice."
    )


def _moves(result: Result) -> str:
    if not result.moves:
        return "It was not moved." + (
            ""
            if result.restored is None
            else f" The first write after the restore came {result.restored:.1f} s after it began."
        )
    rows = []
    for move in result.moves:
        floor = " + ".join(f"{name} {seconds:.2f}" for name, seconds in move.floor.items())
        announced = "-"
        if move.kind == "failover":
            announced = "any" if move.announced_seconds is None else f"{move.announced_seconds:.2f} s"
        rows.append(
            (
                f"{move.kind} {move.source} to {move.target}",
                "-" if move.pause is None else f"{move.pause:.2f} s",
                f"{move.floor_seconds:.2f} s = {floor}",
                "-" if move.ratio is None else f"{move.ratio:.2f}",
                announced,
                move.fenced or "-",
            )
        )
    back = (
        "" if result.redundancy is None else f"\n\nEvery member followed again {result.redundancy:.1f} s after it began"
    )
    how = f"; the old writer came back {result.rejoined}." if result.rejoined else "."
    head = ("operation", "without a write", "floor of this run", "ratio", "announced loss", "old writer fenced by")
    return grid(head, rows) + (f"{back}{how}" if back else "")


def _happened(result: Result) -> str:
    zero = next((mark.at for mark in result.marks if mark.kind == "fault"), result.began)
    return grid(("seconds", ""), [(f"{mark.at - zero:.2f}", mark.text) for mark in result.marks])


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Many drills as people compare them: a row a scenario, phase and durability; medians, and the worst."""
    groups: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["scenario"], record["phase"], record["durability"]), []).append(record)
    rows = []
    for (name, phase, durability), found in sorted(groups.items(), key=lambda item: (item[0][1], item[0][0])):
        kind = (
            "failover" if any(move["kind"] == "failover" for each in found for move in each["moves"]) else "switchover"
        )
        moves = [move for each in found for move in each["moves"] if move["kind"] == kind]
        rows.append(
            (
                name,
                f"{phase}, {durability}",
                f"{sum(each['verdict'] == 'passed' for each in found)} of {len(found)}",
                _middle([each["detection"] for each in found]),
                _middle([move["pause"] for move in moves] or [_gap(each, "writes") for each in found]),
                _middle([move["floor_seconds"] for move in moves]),
                _middle([move["ratio"] for move in moves]),
                _middle([_gap(each, "reads") for each in found]),
                str(sum(_failed(each, "writes") for each in found)),
                str(sum(_failed(each, "reads") for each in found)),
                str(sum(each["lost"] for each in found)),
                _middle([each["redundancy"] for each in found]),
            )
        )
    head = (
        "scenario",
        "phase",
        "passed",
        "noticed, s",
        "no write, s",
        "floor, s",
        "ratio",
        "no read, s",
        "writes failed",
        "reads failed",
        "acknowledged and lost",
        "redundant after, s",
    )
    return grid(head, rows)


def _gap(record: Mapping[str, Any], kind: str) -> float | None:
    return max((seen["longest_gap"] for seen in record[kind].values()), default=None)


def _failed(record: Mapping[str, Any], kind: str) -> int:
    return int(record[kind]["all"]["failed"]) if "all" in record[kind] else 0


def _middle(values: Iterable[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.2f}"
    return f"{median(known):.2f} (up to {known[-1]:.2f})"
