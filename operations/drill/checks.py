"""What a drill's figures are held against: what the scenario expects, the stack's objectives, and what always holds."""

from collections.abc import Iterator
from dataclasses import replace

from operations.drill.measures import interleaved
from operations.drill.result import Check, Result
from operations.drill.scenario import MOVE, Scenario
from topology.model import Phase


def judged(result: Result, scenario: Scenario, *, rto: int | None, rpo: int | None) -> Result:
    return replace(result, checks=tuple(_checks(result, scenario, rto, rpo)))


def _checks(result: Result, scenario: Scenario, rto: int | None, rpo: int | None) -> Iterator[Check]:
    expect = scenario.expect
    yield _check("writers at every instant", "one", "two at once" if _two(result) else "one", not _two(result))
    yield _check("orders placed twice", "0", str(result.doubled), result.doubled == 0)
    yield _check("members in the end", "alike", "alike" if result.alike else "different", result.alike)
    for name, found in result.wrong.items():
        yield _check(name, "none", f"{len(found)}: {'; '.join(found[:3])}" if found else "none", not found)
    for each in result.elsewhere:
        found = f"{each.failed} of {each.answered + each.failed}, {each.lost} lost"
        yield _check(f"requests of {each.partition} that failed", "0, 0 lost", found, not each.failed and not each.lost)
    if scenario.answer.command == MOVE:
        ended = bool(result.homes)
        yield _check("homes", "moved", "moved" if ended else "not moved", ended)
    if expect.moved:
        moved = bool(result.moves)
        yield _check("the writer", "moved", "moved" if moved else "did not move", moved)
    if expect.lost != "any":
        yield _lost(result, scenario)
    # A failover is promised to be healed by retries only where a quorum keeps every write, and only to those who read
    # where other regions serve reads: up to phase 3 all users are at home.
    unplanned = any(move.kind == "failover" for move in result.moves)
    for name, limit, seen, promised in (
        ("writes failed after retries", expect.failed_writes, result.writes, result.durability == "quorum"),
        ("reads failed after retries", expect.failed_reads, result.reads, result.phase >= Phase.MULTI_REGION_READS),
    ):
        if (promised or not unplanned) and limit >= 0 and "all" in seen:
            yield _check(name, f"at most {limit}", str(seen["all"].failed), seen["all"].failed <= limit)
    for name, most, seen in (
        ("longest time without a write", expect.write_gap_seconds, result.writes),
        ("longest time without a read", expect.read_gap_seconds, result.reads),
    ):
        if most and "all" in seen:
            worst = max(each.longest_gap for each in seen.values())
            yield _check(name, f"at most {most:g} s", f"{worst:.2f} s", worst <= most)
    if expect.objectives:
        yield from _objectives(result, rto, rpo)
    if scenario.answer.command == "restore":
        found = "not restored" if result.restored is None else f"after {result.restored:.1f} s"
        yield _check("what was dropped", "brought back", found, result.restored is not None)


def ratio_check(scenario: Scenario, ratio: float | None) -> Check | None:
    """Of the median over the rounds: a single one says more of the machine than of the operation."""
    if not scenario.expect.ratio:
        return None
    found = "not known" if ratio is None else f"{ratio:.2f}"
    met = ratio is not None and ratio <= scenario.expect.ratio
    return _check("pause next to its floor, median", f"at most {scenario.expect.ratio:g}", found, met)


def _two(result: Result) -> bool:
    """By the stamps of what was acknowledged, and by the servers' logs, unless a lease kept one of them silent.

    A region that was cut off runs on as a writer that refuses: its log cannot tell the difference, its orders can.
    """
    fenced = any(move.fenced == "expired" for move in result.moves)
    return interleaved(result.reigns, len(result.moves)) or (result.overlap > 0 and not fenced)


def _lost(result: Result, scenario: Scenario) -> Check:
    name = "acknowledged writes lost"
    if result.rejoined in ("rewound", "rebuilt") and result.kept < result.lost:
        return _check(name, "saved for `reconcile`", f"{lost_words(result)}, of which {result.kept} were saved", False)
    unplanned = [move for move in result.moves if move.kind == "failover"]
    if scenario.expect.lost == "none" or not unplanned:
        return _check(name, "0", lost_words(result), result.lost == 0)
    announced = unplanned[0].announced_seconds
    if announced is None:
        return _check(name, "within what was announced", f"{lost_words(result)}, announced: any", True)
    if not announced:  # a quorum kept every write
        return _check(name, "0, as announced", lost_words(result), result.lost == 0)
    found = lost_words(result) + ("" if result.lost_seconds is None else f", of the last {result.lost_seconds:.2f} s")
    met = result.lost == 0 or (result.lost_seconds is not None and result.lost_seconds <= announced)
    return _check(name, f"of the last {announced:.2f} s, as announced", found, met)


def lost_words(result: Result) -> str:
    kinds = ((result.lost_changes, "changes"), (result.lost_cancels, "cancellations"))
    named = " and ".join(f"{count} {name}" for count, name in kinds if count)
    return f"{result.lost} ({named} among them)" if named else str(result.lost)


def _objectives(result: Result, rto: int | None, rpo: int | None) -> Iterator[Check]:
    pause = next((move.pause for move in result.moves if move.kind == "failover"), None)
    if rto is not None:
        found = "not recovered" if pause is None else f"{pause:.2f} s"
        yield _check("objectives.rto_seconds", f"at most {rto} s", found, pause is not None and pause <= rto)
    if rpo is not None:
        seconds = result.lost_seconds or 0.0
        yield _check("objectives.rpo_seconds", f"at most {rpo} s", f"{seconds:.2f} s", seconds <= rpo)


def _check(name: str, wanted: str, found: str, met: bool) -> Check:
    return Check(name=name, wanted=wanted, found=found, met=met)
