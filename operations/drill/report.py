"""A drill's findings as Markdown and JSON, one drill at a time and many as a table."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from components.local.servers import paths
from operations.drill.checks import lost_words, ratio_check
from operations.drill.result import Check, HomesMove, Move, Result
from operations.drill.scenario import MOVE, Scenario
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
    words += [homes_words(move) for move in result.homes]
    words += [f"writes again after {result.restored:.1f} s"] if result.restored is not None else []
    reads, writes = result.reads.get("all"), result.writes.get("all")
    if reads and writes:
        words.append(f"failed {writes.failed} writes, {reads.failed} reads")
    words.append(f"lost {lost_words(result)} of {result.acknowledged}")
    if result.redundancy is not None:
        words.append(f"redundant after {result.redundancy:.1f} s")
    return "; ".join(words)


def move_words(move: Move) -> str:
    pause = "no write came through" if move.pause is None else f"{move.pause:.2f} s without a write"
    ratio = "" if move.ratio is None else f" ({move.ratio:.2f} times the floor of {move.floor_seconds:.2f} s)"
    killed = ", killed and resumed" if move.resumed else ""
    return f"{move.kind} to {move.target}: {pause}{ratio}{killed}"


def homes_words(move: HomesMove) -> str:
    words = f"homes of {move.source} to {move.target} {move.outcome}"
    if move.pause is not None:
        slowest = "" if move.slowest is None else f", their slowest order {move.slowest:.2f} s"
        words += f", written nowhere for {move.pause:.3f} s{slowest}"
    if move.ratio is not None:
        words += f" ({move.ratio:.2f} times the floor of {move.floor_seconds:.3f} s)"
    words += f", killed in {' and '.join(move.killed)}" if move.killed else ""
    return words + lost_region_words(move)


def lost_region_words(move: HomesMove) -> str:
    return f", {move.lost} lost {f'in {move.lost_in}' if move.lost_in else 'after its end'}" if move.lost else ""


def ratio(scenario: Scenario, rounds: Sequence[Result]) -> Check | None:
    """The median over every move of the kind that the scenario is about."""
    kind = scenario.answer.command
    of_writers = [move.ratio for result in rounds for move in result.moves if move.kind == kind]
    of_homes = [move.ratio for result in rounds for move in result.homes if kind == MOVE]
    found = [each for each in (*of_writers, *of_homes) if each is not None]
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
    parts += ["## Users", _users(result), "## The writer", _moves(result)]
    parts += ["## The homes", _homes(result)] if result.homes else []
    parts += ["## What happened", _happened(result)]
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
        f"the whole drill; of them are lost: {lost_words(result)}"
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
    again = "" if result.restored is None else f"\n\nUsers wrote again {result.restored:.1f} s after it began."
    back = (
        "" if result.redundancy is None else f"\n\nEvery member followed again {result.redundancy:.1f} s after it began"
    )
    how = f"; the old writer came back {result.rejoined}." if result.rejoined else "."
    head = ("operation", "without a write", "floor of this run", "ratio", "announced loss", "old writer fenced by")
    return grid(head, rows) + again + (f"{back}{how}" if back else "")


def _homes(result: Result) -> str:
    rows = []
    for move in result.homes:
        floor = " + ".join(f"{name} {seconds:.3f}" for name, seconds in move.floor.items())
        rows.append(
            (
                f"{move.source} to {move.target}, {move.outcome}"
                + (f", killed in {' and '.join(move.killed)}" if move.killed else "")
                + lost_region_words(move),
                f"{move.customers} customers, {move.rows} rows",
                "-" if move.rows_a_second is None else f"{move.rows_a_second:.0f}",
                "-" if move.pause is None else f"{move.pause:.3f} s",
                f"{move.floor_seconds:.3f} s = {floor}" if floor else "-",
                "-" if move.ratio is None else f"{move.ratio:.2f}",
                "-" if move.slowest is None else f"{move.slowest:.3f} s",
                "-" if move.users_ratio is None else f"{move.users_ratio:.2f}",
                "-" if move.longest_gap is None else f"{move.longest_gap:.3f} s",
            )
        )
    head = (
        "from and to",
        "moved",
        "rows a second of the copy",
        "written nowhere",
        "floor of this run",
        "ratio",
        "their slowest order",
        "next to the floor and an ordinary order",
        "their longest gap",
    )
    return grid(head, rows)


def _happened(result: Result) -> str:
    zero = next((mark.at for mark in result.marks if mark.kind == "fault"), result.began)
    return grid(("seconds", ""), [(f"{mark.at - zero:.2f}", mark.text) for mark in result.marks])


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Many drills as people compare them: a row for each phase, durability and scenario."""
    rows = []
    for (phase, durability, name), found in grouped(records).items():
        own = moves(found)
        announced = [move["announced_seconds"] for move in own if move["kind"] == "failover"]
        killed = sum(move["resumed"] for each in found for move in each["moves"])
        killed += sum(len(move["killed"]) for move in homes(found))
        lost, since = lost_of(found)
        rows.append(
            (
                f"{phase}, {durability}",
                name,
                f"{sum(each['verdict'] == 'passed' for each in found)} of {len(found)}"
                + (f", {killed} killed" if killed else ""),
                spread(each["detection"] for each in found),
                spread(pauses(found)),
                spread(move["floor_seconds"] for move in own),
                spread(move["ratio"] for move in own),
                spread(_gap(each, "reads") for each in found),
                f"{sum(_failed(each, 'writes') for each in found)} / {sum(_failed(each, 'reads') for each in found)}",
                f"{lost:,} of {sum(each['acknowledged'] for each in found):,}"
                + (f", the last {since:.2f} s" if since is not None else ""),
                "-" if not announced else "any" if None in announced else f"{max(announced):.2f}",
                spread(each["redundancy"] for each in found),
            )
        )
    head = (
        "phase",
        "drill",
        "rounds passed",
        "noticed, s",
        "no write, s",
        "floor, s",
        "times the floor",
        "no read, s",
        "failed after retries, writes / reads",
        "acknowledged and lost",
        "at most announced, s",
        "redundant after, s",
    )
    rates = sorted({each["rate"] for each in records})
    at = " or ".join(f"{rate:g}" for rate in rates)
    moved = homes_table(records)
    return "\n\n".join(
        [
            f"At {at} requests a second; least / median / most over the rounds.",
            grid(head, rows),
            *([moved] if moved else []),
        ]
    )


def homes_table(records: Sequence[Mapping[str, Any]]) -> str | None:
    """The moves of homes: a row for each phase, durability and scenario that has any."""
    rows = []
    for (phase, durability, name), found in grouped(records).items():
        moved = homes(found)
        if not moved:
            continue
        done, undone = (sum(move["outcome"] == how for move in moved) for how in ("done", "undone"))
        rows.append(
            (
                f"{phase}, {durability}",
                name,
                f"{done} / {undone}",
                _steps(step for move in moved for step in (*move["killed"], move["lost_in"]) if step),
                spread(move["rows_a_second"] for move in moved),
                spread((move["pause"] for move in moved), 3),
                spread((move["floor_seconds"] or None for move in moved), 3),
                spread(move["ratio"] for move in moved),
                spread((move["slowest"] for move in moved), 3),
                spread(move["users_ratio"] for move in moved),
                spread((move["longest_gap"] for move in moved), 3),
            )
        )
    head = (
        "phase",
        "drill",
        "moves done / undone",
        "command killed or region lost in",
        "rows a second",
        "written nowhere, s",
        "floor, s",
        "times the floor",
        "slowest order, s",
        "times floor and ordinary order",
        "longest gap, s",
    )
    return grid(head, rows) if rows else None


def homes(records: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Moves of homes; drills from before there were any have none."""
    return [move for each in records for move in each.get("homes", ())]


def _steps(names: Iterable[str]) -> str:
    found = Counter(names)
    return ", ".join(f"{name} {count}" for name, count in found.most_common()) or "-"


def grouped(records: Iterable[Mapping[str, Any]]) -> dict[tuple[int, str, str], list[Mapping[str, Any]]]:
    """By phase, durability and scenario, in that order."""
    groups: dict[tuple[int, str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["phase"], record["durability"], record["scenario"]), []).append(record)
    return dict(sorted(groups.items()))


def moves(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What a scenario is about: of a lost writer the failover, and not the way back."""
    found = [move for each in records for move in each["moves"]]
    return [move for move in found if move["kind"] == "failover"] or [
        move for move in found if move["kind"] == "switchover"
    ]


def pauses(records: Sequence[Mapping[str, Any]]) -> list[float]:
    """How long nobody could write: until the restore or the region's return, else the moves', else the longest gap."""
    own = moves(records) or homes(records)
    found = [each["restored"] for each in records] + [move["pause"] for move in own]
    known = [one for one in found if one is not None]
    return known or [one for each in records if (one := _gap(each, "writes")) is not None and not own]


def lost_of(records: Iterable[Mapping[str, Any]]) -> tuple[int, float | None]:
    """Acknowledged writes that were lost, and how old the oldest of them was."""
    since = [each["lost_seconds"] for each in records if each["lost"] and each["lost_seconds"] is not None]
    return sum(each["lost"] for each in records), max(since, default=None)


def spread(values: Iterable[float | None], digits: int = 2) -> str:
    """The least, the median and the most."""
    known = sorted(value for value in values if value is not None)
    shown = known if len(known) < 2 else [known[0], median(known), known[-1]]
    return " / ".join(f"{value:.{digits}f}" for value in shown) or "-"


def _gap(record: Mapping[str, Any], kind: str) -> float | None:
    return max((seen["longest_gap"] for seen in record[kind].values()), default=None)


def _failed(record: Mapping[str, Any], kind: str) -> int:
    return int(record[kind]["all"]["failed"]) if "all" in record[kind] else 0
