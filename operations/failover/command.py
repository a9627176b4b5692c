"""What `failover`, `switchover` and `failback` share: look, decide, show, ask, and carry out."""

import argparse
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from operations import lock
from operations.console import agrees, answer, confirm, document, say
from operations.engines.choice import outputs_of
from operations.errors import Exit, Refused
from operations.failover import decision, drivers, journal, protocol, report
from operations.failover.decision import Ground, Kind, Request
from operations.failover.driver import Driver, Fenced, Observation
from operations.failover.journal import Journal
from operations.failover.loss import announced, limit
from operations.failover.protocol import State
from operations.failover.runner import Runner
from operations.stack import Stack
from topology.summary import Summary, from_summary


@dataclass(frozen=True)
class Command:
    """One command, on a stack that is up."""

    kind: Kind
    options: argparse.Namespace
    stack: Stack
    outputs: Mapping[str, Any]
    running: Summary
    ground: Ground
    request: Request

    @property
    def words(self) -> str:
        options = self.options
        found = [options.command, "--stack", self.stack.name, "--partition", options.partition]
        return shlex.join([*found, *(["--to", options.to] if options.to else [])])


def run(kind: Kind, options: argparse.Namespace, *, now: Observation | None = None) -> int:
    """`now`: what the one who calls has just seen from where the operation stands; else it looks itself."""
    command = _read(kind, options)
    folder = command.stack.folder
    with ExitStack() as locks:
        locks.enter_context(journal.held(folder, command.words))
        if kind == "failover":
            # A lost region may be what an `up` hangs in; the failover does not wait for it.
            if (holder := lock.holder(folder)) is not None:
                say(f"warning: the stack is being changed by {holder}")
        else:
            locks.enter_context(lock.held(folder, command.words))
        return _locked(command, now)


def _read(kind: Kind, options: argparse.Namespace) -> Command:
    stack = Stack.open(options.stack)
    outputs = outputs_of(stack)
    if not outputs or "topology" not in outputs:
        raise Refused(f"{stack.name} is not up: there is no writer to move. `{stack.command('up')}` builds it.")
    running = from_summary(outputs["topology"])
    ground = drivers.ground(stack, running, options.partition)
    for name, value in (("--to", options.to), ("--from", options.stand)):
        if value is not None and value not in ground.regions and (name == "--to" or running.region(value) is None):
            raise Refused(
                f"{name}: {value!r} has no member of {options.partition}. Allowed: {', '.join(ground.regions)}."
            )
    if len(ground.regions) < 2:
        raise Refused(
            f"{options.partition} has one member, in {', '.join(ground.regions)}, so nothing else could write it. "
            f"Raise the phase: `{stack.command('up', '--phase', 'async-replica')}`."
        )
    request = Request(
        kind=kind,
        to=options.to,
        limit=limit(options.max_loss, ground.rpo_seconds) if kind == "failover" else None,
        old_writer_is_fenced=options.old_writer_is_fenced,
        despite_capacity=options.despite_capacity,
        yes=options.yes,
    )
    return Command(kind, options, stack, outputs, running, ground, request)


def _locked(command: Command, now: Observation | None) -> int:
    options, folder = command.options, command.stack.folder
    before = journal.unfinished(folder)
    carries_on = options.resume or options.undo
    if before is None and carries_on:
        raise Refused("there is no unfinished operation. Leave --resume and --undo out.")
    if before is not None and not carries_on:
        raise Refused(f"{before} did not come to its end. `{_again(command, before)}` carries on with it.")
    if before is not None and before.state.partition != options.partition:
        raise Refused(f"{before} is about {before.state.partition}: `{_again(command, before)}` carries on with it.")
    driver = drivers.open_driver(command.stack, command.outputs, options.partition, _vantage(command))
    now = now or driver.observe()
    if before is not None:
        taken_up = _taken_up(command, before, now)
        if taken_up is not None:
            return _carry_out(command, driver, taken_up, now, resumed=True)
        # What it left half done is taken up by the failover: whom it held or stopped is fenced.
        writer = before.state.target if before.state.moved else before.state.writer
        now = now if now.writer is not None else replace(now, writer=writer)
    decided = decision.decide(command.ground, command.request, now)
    state = protocol.start(decided, command.request, now, partition=options.partition)
    report.show_plan(command.stack.name, state, now, decided.notes)
    confirm("Go on?", yes=options.yes)
    if before is not None:
        before.close("superseded")
    made = journal.new(folder, command.words, state)
    return _carry_out(command, driver, made, now)


def _carry_out(command: Command, driver: Driver, record: Journal, now: Observation, *, resumed: bool = False) -> int:
    if resumed:
        say(f"{record} goes on")
    asks = not command.options.yes and sys.stdin.isatty()
    runner = Runner(driver, record, command.ground, command.request, now, say, agrees if asks else lambda _: False)
    state = runner.run()
    found = report.summary(record, state)
    if command.options.json:
        document(found)
    else:
        answer(report.sentence(state, found))
    return Exit.DONE


def _taken_up(command: Command, before: Journal, now: Observation) -> Journal | None:
    """The unfinished run, changed by what is asked and seen now; None where a failover takes its place."""
    options, state = command.options, before.state
    if options.undo:
        if not protocol.can_undo(state):
            raise Refused(f"{before} cannot be undone: {state.target} may have taken writes. Use --resume.")
        confirm(f"Let {state.writer} write again?", yes=options.yes)
        before.turned("--undo", protocol.undo(state))
        return before
    lost = not (state.target in now.members and now.members[state.target].reachable)
    if command.kind == "failover" and state.kind != "failover":
        if not (state.moved and not lost):
            return None
    elif journal.command_of(state) != options.command:
        raise Refused(f"{before} is no {options.command}: `{_again(command, before)}` carries on with it.")
    if options.max_loss is not None:
        state = replace(state, limit=command.request.limit)
    if options.old_writer_is_fenced and state.fenced is None:
        state = replace(state, by_hand=True, fenced_at=now.at, fenced=Fenced(how="operator", detail="on --resume"))
    if state.kind == "failover" and state.moved and lost:
        state = _another(command, state, now)
    if state != before.state:
        before.turned("--resume", state)
    return before


def _another(command: Command, state: State, now: Observation) -> State:
    """Another target, because the first may have been promoted and is gone. It is fenced as the old writer is."""
    if fault := decision.can_fence(now, state.target, by_hand=command.request.old_writer_is_fenced):
        raise Refused(fault)
    again = protocol.anew(state, now, by_hand=command.request.old_writer_is_fenced)
    target, notes = decision.best(command.ground, command.request, now, {state.writer, *again.suspects})
    found = announced(now, target)
    decision.check_loss(found, command.request)
    again = replace(again, target=target, received=now.members[target].received_lsn, loss=found, announced=found)
    report.show_plan(command.stack.name, again, now, notes)
    confirm("Go on?", yes=command.options.yes)
    return again


def _vantage(command: Command) -> str | None:
    """Where the operator stands: as told, else at the target, else beside whoever was not the writer last."""
    options, ground = command.options, command.ground
    if options.stand is not None:
        return options.stand
    last = journal.last(command.stack.folder, ground.partition)
    writer = ground.origin
    if last is not None:
        writer = last.state.target if last.outcome == "done" else last.state.writer
    if command.kind in ("failback", "rejoin"):
        return writer
    return options.to or next(region for region in ground.regions if region != writer)


def _again(command: Command, before: Journal) -> str:
    return journal.resume_command(command.stack, before.state)
