"""`meridian preview`: what `up` would do, as steps in plain words and per resource. It writes nothing."""

import argparse
from typing import Any

from components.built import missing
from operations.changes import OPERATIONS, Change, Preview, counts, counts_text, lost
from operations.console import answer, complain, document, output
from operations.engines.choice import choose
from operations.errors import Exit, Refused
from operations.stack import Stack
from operations.transition import Transition

STYLE = {"create": "green", "update": "yellow", "replace": "red", "delete": "red"}
SIGN = {"create": "+", "update": "~", "replace": "±", "delete": "-"}


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack, options.phase)
    topology = stack.topology  # every fault of the settings is said before anything is looked at
    if (reason := missing(topology)) is not None:
        return _planned_only(stack, reason, as_json=options.json)
    engine = choose(stack, options.engine)
    transition = Transition.of(stack, engine.outputs())
    refusals: tuple[str, ...] = ()
    given_up: frozenset[str] = frozenset()
    try:
        transition.check()
        given_up = transition.given_up(engine)
    except Exception as refusal:
        refusals = _problems(refusal)
    preview = engine.preview(given_up=given_up)
    problems = refusals or preview.problems
    if options.json:
        document(_document(stack, transition, engine.name, preview, problems))
    else:
        _show_steps(transition)
        _show_resources(preview.changes)
    if lost(preview.changes):
        names = ", ".join(f"{change.name} ({change.op})" for change in lost(preview.changes))
        complain("\n".join((f"data would be lost: {names}", *problems)))
        return Exit.STATEFUL
    if problems:
        complain("`up` would refuse this:\n" + "\n".join(problems))
        return Exit.REFUSED
    return Exit.DONE


def _problems(refusal: Exception) -> tuple[str, ...]:
    """The reasons of a refusal; any other exception goes on."""
    from topology import SettingsError

    if isinstance(refusal, SettingsError):
        return refusal.problems
    if isinstance(refusal, Refused):
        return (str(refusal),)
    raise refusal


def _planned_only(stack: Stack, reason: str, *, as_json: bool) -> int:
    transition = Transition.of(stack, None)
    if as_json:
        document(_document(stack, transition, None, None, ()))
        return Exit.DONE
    _show_steps(transition)
    answer(f"These are the planned steps for a stack that does not exist, without resources. {reason}")
    return Exit.DONE


def _document(
    stack: Stack, transition: Transition, engine: str | None, preview: Preview | None, problems: tuple[str, ...]
) -> dict[str, Any]:
    changes = preview.changes if preview else ()
    return {
        "stack": stack.name,
        "target": transition.new.target,
        "engine": engine,
        "built": preview is not None,
        "from": transition.old.phase.label if transition.old else None,
        "phase": transition.new.phase.label,
        "steps": [
            {"kind": step.kind, "subject": step.subject, "removes": step.removes, "text": step.text}
            for step in transition.steps
        ],
        "resources": [change.as_json() for change in changes],
        "counts": counts(changes),
        "problems": list(problems),
    }


def _show_steps(transition: Transition) -> None:
    new = transition.new
    if transition.old is None:
        answer(f"{new.environment} ({new.target}): build {new.phase.label}")
    elif transition.old.phase is new.phase:
        answer(f"{new.environment} ({new.target}): stays at {new.phase.label}")
    else:
        answer(f"{new.environment} ({new.target}): from {transition.old.phase.label} to {new.phase.label}")
    for number, step in enumerate(transition.steps, 1):
        answer(f"{number:>3}. {step.text}")
    if not transition.steps:
        answer("     No step: what is planned is what is there.")


def _show_resources(changes: tuple[Change, ...]) -> None:
    shown = [change for change in changes if change.custom and change.op != "same"]
    if shown:
        show_table(shown)
    answer(f"\nResources: {counts_text(changes)}.")


def show_table(changes: list[Change]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("", "operation", "kind", "name", "changed"):
        table.add_column(heading, overflow="fold")
    for change in sorted(changes, key=lambda change: OPERATIONS.index(change.op)):
        style = STYLE.get(change.op, "")
        # What is created has no properties that changed.
        changed = ", ".join(change.replace_keys or change.changed) if change.op in ("update", "replace") else ""
        table.add_row(
            Text(SIGN.get(change.op, ""), style), Text(change.op, style), change.kind, Text(change.name), Text(changed)
        )
    output().print()
    output().print(table)
