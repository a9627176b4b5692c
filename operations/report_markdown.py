"""A report as Markdown, to paste into a pull request."""

from collections.abc import Iterable, Iterator

from operations.changes import OPERATIONS, counts_text, lost
from operations.report import Report
from operations.report_tables import Grid, grids
from operations.report_text import changed_text, line


def markdown(report: Report) -> str:
    return "\n".join(lines(report)) + "\n"


def lines(report: Report) -> Iterator[str]:
    yield f"## {report.heading}"
    yield ""
    yield f"Compared with {report.origin}."
    if endangered := lost(report.changes):
        yield ""
        yield f"> **Data would be lost:** {', '.join(f'`{change.name}` ({change.op})' for change in endangered)}"
    yield from section("`up` would refuse this", report.problems)
    yield from section(
        "To write under `regions`",
        (f"`{{name: {name}, slot: {slot}}}`" for name, slot in report.stack.added_slots.items()),
    )
    yield from ("", "### Steps", "")
    if not report.steps:
        yield "None: what is planned is what is there."
    else:
        steps = [
            (str(number), step.text, effect.users, f"{effect.estimate} ({effect.source})" if effect.estimate else "")
            for number, (step, effect) in enumerate(report.steps, 1)
        ]
        yield from table(("", "step", "users", "estimate"), steps)
    if report.preview is not None:
        yield from resources(report)
    yield from section("The provider would do more than update", map(line, report.harmed))
    yield from section("Holds data, and stays as it is", (f"`{each.name}` ({each.kind})" for each in report.untouched))
    yield from section(
        "Holds data, and is changed in place",
        (f"`{each.name}` ({each.kind}): {changed_text(each)}" for each in report.in_place),
    )
    yield from section("Cannot be undone", report.irreversible)
    if report.before is not None and not report.exact:
        yield from ("", "`before` is planned from the settings, which have changed since; the state says no more.")
    for grid in grids(report):
        yield from grid_lines(grid)


def resources(report: Report) -> Iterator[str]:
    shown = [change for change in report.changes if change.custom and change.op != "same"]
    yield from ("", f"### Resources: {counts_text(report.changes)}", "")
    if shown:
        # A pull request shows the sum; who wants each opens it.
        rows = [
            (change.op, change.kind, f"`{change.name}`", changed_text(change))
            for change in sorted(shown, key=lambda change: OPERATIONS.index(change.op))
        ]
        yield from ("<details><summary>Each</summary>", "")
        yield from table(("operation", "kind", "name", "changed"), rows)
        yield from ("", "</details>")


def section(title: str, items: Iterable[str]) -> Iterator[str]:
    found = list(items)
    if found:
        yield from ("", f"### {title}", "")
        yield from (f"- {item}" for item in found)


def grid_lines(grid: Grid) -> Iterator[str]:
    yield from ("", f"### {grid.title}", "")
    yield from table(grid.head, grid.rows)
    if grid.notes:
        yield ""
        yield from (f"- {note}" for note in grid.notes)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
