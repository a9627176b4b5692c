"""`meridian up`: make what the settings describe, in place, and say where to call it."""

import argparse
import shlex
import time
from collections.abc import Mapping
from typing import Any

from components.built import missing
from components.local.servers.partition_map import MAIN
from operations import lock
from operations.changes import counts, counts_text
from operations.console import answer, confirm, document, say
from operations.engines.choice import choose
from operations.errors import Exit, Refused
from operations.failover.journal import refuse_unfinished
from operations.partitions import journal as moves
from operations.progress import View
from operations.stack import Stack
from operations.transition import Transition
from operations.writers import require_kept, tell_program
from topology.summary import summarise


def run(options: argparse.Namespace) -> int:
    began = time.monotonic()
    # Before the lock, which makes the stack's folder: what is refused leaves nothing behind.
    stack = Stack.open(options.stack, options.phase)
    target = stack.topology.target
    if (reason := missing(stack.topology)) is not None:
        raise Refused(f"{reason} `{stack.command('preview')}` shows the planned steps.")
    if target == "local":
        from operations.drivers.local import check_programs, platform_problem

        check_programs(stack.settings.local)
        if (problem := platform_problem()) is not None:
            say(f"warning: {problem}")
    choose(stack, options.engine).require_able()
    refuse_unfinished(stack, "up")
    with lock.held(stack.folder, _words(options)):
        # Again: an operation may have begun, and ended badly, while this waited at a question or for the lock.
        refuse_unfinished(stack, "up")
        return _locked(options, Stack.open(options.stack, options.phase), began)


def _words(options: argparse.Namespace) -> str:
    words = ["up", "--stack", options.stack, *(["--phase", options.phase] if options.phase else [])]
    return shlex.join(words)


def _locked(options: argparse.Namespace, stack: Stack, began: float) -> int:
    engine = choose(stack, options.engine)
    found = engine.outputs()
    transition = Transition.of(stack, found)
    transition.check()
    if transition.old is not None and transition.old != summarise(transition.new):
        # As it is, a stack may be started: a move that lost a region needs its members back to come to its end.
        moves.refuse_unfinished(stack, "a change of the stack")
    require_kept(stack, transition, found)
    given_up = transition.given_up(engine)
    if (unknown := tell_program(stack, transition.old, found)) is not None:
        raise Refused(unknown)
    preview = engine.preview(given_up=given_up)
    if preview.problems:
        raise Refused("\n".join(preview.problems))
    gone = [change for change in preview.changes if change.destroys and change.custom]
    if gone:
        say("This replaces or deletes:")
        for change in gone:
            say(f"  {change.op:<9} {change.kind:<14} {change.name}{'  (holds data)' if change.stateful else ''}")
        confirm("Go on?", yes=options.yes)
    new = transition.new
    # Before anything is done, so that the next `up`, also after this one was killed, does not go down again.
    if options.phase is not None:
        stack.settings_file.write_phase(new.phase.label)
    stack.settings_file.write_slots({region.name: region.slot for region in new.regions})
    # As the next run will read them, or it would find in the state another text of the same settings.
    stack = Stack.open(options.stack)
    engine = choose(stack, engine.name)
    changes = [change for change in preview.changes if change.custom and change.op != "same"]
    if changes:
        say(f"{new.environment}: {new.phase.label} ({counts_text(preview.changes)})")
    with_view = View(began=began)
    outputs = engine.up(with_view, given_up=given_up)
    if new.target == "local":
        from operations.drivers.local import await_ready

        await_ready(stack.folder, str(outputs["ground"]), summarise(new))
        if (why := _prepare(stack, outputs)) is not None:
            say(f"warning: no customer is prepared whose orders prove later failovers: {why}")
    if new.target == "gcp":
        from operations.drivers.gcp_failover import settle

        settle(stack, outputs, say)
    seconds = time.monotonic() - began
    if new.target == "local":
        from operations.commands.backup import take_first

        take_first(stack, outputs, summarise(new))
    if options.json:
        document(
            {
                "stack": stack.name,
                "phase": new.phase.label,
                "engine": engine.name,
                "entry": outputs.get("entry"),
                "counts": counts(preview.changes),
                "seconds": round(seconds, 2),
            }
        )
    else:
        _tell(stack, new.phase.label, outputs, [region.name for region in new.regions_in_use], seconds, bool(changes))
    return Exit.DONE


def _prepare(stack: Stack, outputs: Mapping[str, Any]) -> str | None:
    from operations.drivers import local_customer, local_failover

    return local_customer.prepare(local_failover.open_driver(stack, outputs, MAIN, None).ground)


def _tell(
    stack: Stack, phase: str, outputs: Mapping[str, Any], regions: list[str], seconds: float, changed: bool
) -> None:
    entry = outputs.get("entry")
    state = "is up" if changed else "was up already"
    answer(f"{stack.name} {state} at {phase}, after {seconds:.1f} s. Call it at {entry}")
    answer("")
    answer(f"  curl -i {entry}/orders -H 'Idempotency-Key: 1' -H 'X-User-Region: {regions[-1]}' \\")
    answer("""       -d '{"customer": "ada", "item": "book", "quantity": 1}'""")
    answer("")
    answer(f"{stack.command('status')} shows how it is doing.")
