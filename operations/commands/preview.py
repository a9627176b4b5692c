"""`meridian preview`: what `up` would do, as steps in plain words and per resource, and what it buys and risks.

It writes nothing but the picture that was asked for.
"""

import argparse

from components.built import missing
from operations.changes import Preview, lost
from operations.commands.state import read
from operations.console import answer, complain, document, say
from operations.engines.choice import choose
from operations.engines.exported import Exported
from operations.errors import Exit, Refused
from operations.project import called_from
from operations.report import Report, origin_of, picture, require_picture
from operations.stack import Stack
from operations.transition import Transition
from operations.writers import require_kept, tell_program


def run(options: argparse.Namespace) -> int:
    stack = Stack.open(options.stack, options.phase, options.add_region)
    topology = stack.topology  # every fault of the settings is said before anything is looked at
    if options.picture:
        require_picture(options.picture)
    if (reason := missing(topology)) is not None:
        report = Report(
            stack=stack,
            transition=Transition.of(stack, None),
            engine=None,
            origin=origin_of(None),
            preview=None,
            problems=(),
        )
        _show(report, options)
        if not options.json:
            answer(f"These are the planned steps for a stack that does not exist, without resources. {reason}")
        return Exit.DONE
    report = _report(stack, options)
    _show(report, options)
    if lost(report.changes):
        names = ", ".join(f"{change.name} ({change.op})" for change in lost(report.changes))
        complain("\n".join((f"data would be lost: {names}", *report.problems)))
        return Exit.STATEFUL
    if report.problems:
        complain("`up` would refuse this:\n" + "\n".join(report.problems))
        return Exit.REFUSED
    return Exit.DONE


def _report(stack: Stack, options: argparse.Namespace) -> Report:
    if options.state:
        if options.engine:
            raise Refused("--state: compares with an export, so that no engine holds it. Leave --engine out.")
        engine = Exported(stack, options.state, read(options.state))
        origin = f"the export {options.state}"
    else:
        engine = choose(stack, options.engine)
        origin = origin_of(engine.name if engine.has_stack() else None)
    outputs = engine.outputs()
    transition = Transition.of(stack, outputs)
    refusals: tuple[str, ...] = ()
    given_up: frozenset[str] = frozenset()
    try:
        transition.check()
        if not options.state:  # an export is looked at without asking anybody
            require_kept(stack, transition, outputs)
            if (unknown := tell_program(stack, transition.old, outputs)) is not None:
                say(f"warning: {unknown} The origin stands in its place here.")
        given_up = transition.given_up(engine)
    except Exception as refusal:
        refusals = _problems(refusal)
    preview: Preview = engine.preview(given_up=given_up)
    return Report(
        stack=stack,
        transition=transition,
        engine=engine.name,
        origin=origin,
        preview=preview,
        problems=refusals or preview.problems,
    )


def _show(report: Report, options: argparse.Namespace) -> None:
    if options.json:
        document(report.as_json())
    elif options.markdown:
        from operations.report_markdown import markdown

        answer(markdown(report).rstrip("\n"))
    else:
        from operations.report_text import show

        show(report)
    if options.picture:
        called_from(options.picture).write_text(picture(report), encoding="utf-8")
        say(f"The picture is in {options.picture}.")


def _problems(refusal: Exception) -> tuple[str, ...]:
    """The reasons of a refusal; any other exception goes on."""
    from topology import SettingsError

    if isinstance(refusal, SettingsError):
        return refusal.problems
    if isinstance(refusal, Refused):
        return (str(refusal),)
    raise refusal
