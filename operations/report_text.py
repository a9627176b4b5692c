"""A report for the person at the terminal."""

from operations.changes import OPERATIONS, Change, counts_text
from operations.console import answer, output
from operations.report import Report
from operations.report_tables import Grid, grids

STYLE = {"create": "green", "update": "yellow", "replace": "red", "delete": "red"}
SIGN = {"create": "+", "update": "~", "replace": "±", "delete": "-"}


def show(report: Report) -> None:
    answer(report.heading)
    answer(f"Compared with {report.origin}.")
    for name, slot in report.stack.added_slots.items():
        answer(f"Added for this preview: `- name: {name}` with `slot: {slot}` under `regions`.")
    for number, (step, effect) in enumerate(report.steps, 1):
        answer(f"{number:>3}. {step.text} [users: {effect.users}]")
        if effect.estimate:
            answer(f"     {effect.estimate} ({effect.source})")
    if not report.steps:
        answer("     No step: what is planned is what is there.")
    if report.preview is not None:
        show_resources(report.changes)
    show_list("The provider would do more than update", [line(change) for change in report.harmed])
    show_list("Holds data, and stays as it is", [f"{change.name} ({change.kind})" for change in report.untouched])
    show_list(
        "Holds data, and is changed in place",
        [f"{change.name} ({change.kind}): {changed_text(change)}" for change in report.in_place],
    )
    show_list("Cannot be undone", report.irreversible)
    if report.before is not None and not report.exact:
        answer("\n`before` is planned from the settings, which have changed since; the state says no more.")
    for grid in grids(report):
        show_grid(grid)


def line(change: Change) -> str:
    return f"{change.name} ({change.op}): {'; '.join(change.consequences)}"


def show_list(title: str, items: "list[str] | tuple[str, ...]") -> None:
    if items:
        answer(f"\n{title}:")
    for item in items:
        answer(f"  {item}")


def show_grid(grid: Grid) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in grid.head:
        table.add_column(heading, overflow="fold")
    for row in grid.rows:
        table.add_row(*(Text(cell) for cell in row))
    answer(f"\n{grid.title}:")
    output().print(table)
    for note in grid.notes:
        answer(f"  {note}")


def show_resources(changes: tuple[Change, ...]) -> None:
    shown = [change for change in changes if change.custom and change.op != "same"]
    if shown:
        show_table(shown)
    answer(f"\nResources: {counts_text(changes)}.")


def changed_text(change: Change) -> str:
    """What is created has no properties that changed."""
    return ", ".join(change.replace_keys or change.changed) if change.op in ("update", "replace") else ""


def show_table(changes: list[Change]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("", "operation", "kind", "name", "changed"):
        table.add_column(heading, overflow="fold")
    for change in sorted(changes, key=lambda change: OPERATIONS.index(change.op)):
        style = STYLE.get(change.op, "")
        table.add_row(
            Text(SIGN.get(change.op, ""), style),
            Text(change.op, style),
            change.kind,
            Text(change.name),
            Text(changed_text(change)),
        )
    output().print()
    output().print(table)
