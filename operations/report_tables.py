"""The tables of a report: what stood before beside what will stand, whichever way it is shown."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operations.report import Report

if TYPE_CHECKING:
    from topology import Topology
    from topology.recovery import Figure


@dataclass(frozen=True, kw_only=True)
class Grid:
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def grids(report: Report) -> tuple[Grid, ...]:
    return objectives(report), round_trips(report), scenarios(report)


def sides(report: Report, read: "Callable[[Topology], Sequence[Any]]") -> Iterator[tuple[Any, Any]]:
    """What each side has of the same things; the same twice where nothing stood before."""
    after = read(report.after)
    before = read(report.before) if report.before else [None] * len(after)
    return zip(before, after, strict=True)


def objectives(report: Report) -> Grid:
    from topology.recovery import held

    notes: dict[str, None] = {}

    def cell(each: Any) -> str:
        if each is None:
            return "-"
        notes[f"{each.name} {each.reached.text}: {each.reached.source}"] = None
        return each.reached.text + {None: "", True: ", met", False: ", NOT MET"}[each.met]

    rows = [
        (now.name, "nothing" if now.asked is None else f"{now.asked} s", cell(was), cell(now))
        for was, now in sides(report, lambda side: held(side, report.drills))
    ]
    return Grid(
        title="When a region is lost",
        head=("objective", "asked", "before", "after"),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def round_trips(report: Report) -> Grid:
    from topology.round_trips import round_trips as read

    def cell(name: str, milliseconds: float) -> str:
        return f"{name} {milliseconds:.0f} ms"

    rows = [
        (
            now.continent,
            cell(was.serving, was.serving_ms) if was else "-",
            cell(now.serving, now.serving_ms),
            cell(was.writer, was.writer_ms) if was else "-",
            cell(now.writer, now.writer_ms) + (" (estimated)" if now.estimated else ""),
        )
        for was, now in sides(report, read)
    ]
    return Grid(
        title="Round trips from each continent",
        head=("from", "serving before", "serving after", "writer before", "writer after"),
        rows=tuple(rows),
    )


def scenarios(report: Report) -> Grid:
    from topology.scenarios import scenarios as read

    notes: dict[str, None] = {}

    def cell(each: Any) -> str:
        if each is None:
            return "-"
        figures: list[tuple[str, Figure]] = [(name, it) for name, it in (("RTO", each.rto), ("RPO", each.rpo)) if it]
        for name, it in figures:
            # Those of a lost region stand under the objectives.
            if it.basis == "measured" and it.event != "region":
                notes[f"{each.name}, {name} {it.text}: {it.source}"] = None
        return each.cover + "".join(f", {name} {it.text}" for name, it in figures)

    rows = [
        (now.name, cell(was), cell(now), now.how) for was, now in sides(report, lambda side: read(side, report.drills))
    ]
    return Grid(title="Failures", head=("failure", "before", "after", "how"), rows=tuple(rows), notes=tuple(notes))
