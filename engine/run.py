"""Preview, up and destroy."""

from __future__ import annotations

import runpy
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.deletion import delete_all
from engine.errors import EngineError, Refusal, RunFailed
from engine.journal import Journal
from engine.plan import OnEvent, Plan, Program, Result, Step
from engine.state import STACK_TYPE, Resource, State, StateFile
from engine.values import Properties, bare, has_unknown

if TYPE_CHECKING:
    from engine.monitor import Monitor


def preview(program: Program, state: State, *, on_event: OnEvent | None = None) -> Plan:
    """What `up` would do. Writes nothing, and calls of a provider only `configure`, `check` and `diff`."""
    started = time.monotonic()
    journal = Journal(state, None)
    monitor = _monitor(program, journal, dry_run=True, parallel=8, on_event=on_event)
    _run(program, monitor, dry_run=True, parallel=8)
    if monitor.failures:
        raise RunFailed(tuple(monitor.failures), ())
    doomed = _doomed(monitor, journal)
    steps = (*monitor.steps, *(_deletion(item) for item in reversed(doomed) if _told(item, monitor)))
    problems = (*monitor.problems, *_guarded(doomed))
    return Plan(
        steps=steps,
        outputs=monitor.stack_outputs,
        duration=time.monotonic() - started,
        problems=problems,
        requests=monitor.requests,
        basis=(program, state),
    )


def up(
    program: Program,
    state_file: StateFile,
    *,
    reviewed: Plan | None = None,
    on_event: OnEvent | None = None,
    parallel: int = 8,
) -> Result:
    """Make what the program describes. The state is written after every step; the next run takes up a broken one.

    `reviewed` is a preview; where it is of this very program and state, none is made here.
    """
    started = time.monotonic()
    state = state_file.load(new=True)
    plan = reviewed if reviewed and reviewed.basis == (program, state) else None
    if plan is None and state.protected:
        # What protection forbids may show up only late in a run, so it is looked for before anything is done.
        plan = preview(program, state)
    if plan and plan.problems:
        raise Refusal(*plan.problems)
    journal = Journal(state, state_file)
    monitor = _monitor(program, journal, dry_run=False, parallel=parallel, on_event=on_event, plan=plan)
    crash: Exception | None = None
    try:
        _run(program, monitor, dry_run=False, parallel=parallel)
    except Exception as error:
        crash = error
    whole = crash is None and not monitor.failures and not monitor.stopped
    left: Sequence[Resource] = ()
    if whole:
        doomed = _doomed(monitor, journal)
        if problems := _guarded(doomed):
            monitor.problems.extend(problems)
        else:
            left = _delete(doomed, monitor, journal, parallel)
    outputs = _settle_outputs(monitor, journal, keep=not whole)
    result = Result(steps=tuple(monitor.steps), outputs=outputs, duration=time.monotonic() - started)
    _raise_what_went_wrong(monitor, crash, left, result)
    return result


def destroy(
    program: Program | None,
    state_file: StateFile,
    *,
    unprotect: bool = False,
    on_event: OnEvent | None = None,
    parallel: int = 8,
) -> Result:
    """Delete everything in the state, dependents first. The program is not run; its folder is where providers live."""
    started = time.monotonic()
    state = state_file.load()
    foreign = [item.name for item in state.resources if item.custom and not item.dynamic and _counts(item)]
    if foreign:
        raise Refusal(f"only the Pulumi CLI can delete these: {', '.join(foreign)}")
    if not unprotect and (problems := _guarded([item for item in state.resources if not item.delete])):
        raise Refusal(*problems)
    if not state.resources:
        return Result(steps=(), outputs={}, duration=time.monotonic() - started)
    recorded = _recorded(state, program)
    journal = Journal(state, state_file)
    monitor = _monitor(recorded, journal, dry_run=False, parallel=parallel, on_event=on_event)
    with _on_path(recorded.folder):
        left = _delete(state.resources, monitor, journal, parallel)
    result = Result(steps=tuple(monitor.steps), outputs={}, duration=time.monotonic() - started)
    _raise_what_went_wrong(monitor, None, left, result)
    return result


def unprotect(state_file: StateFile, urns: Sequence[str]) -> None:
    """Take protection off these resources, in the state only: the program's `protect` returns with the next `up`."""
    state = state_file.load()
    unknown = set(urns) - {item.urn for item in state.resources}
    if unknown:
        raise Refusal(f"not in the state {state_file.path}: {', '.join(sorted(unknown))}")
    resources = (
        replace(item, protect=False) if item.urn in urns and item.protect else item for item in state.resources
    )
    state_file.save(replace(state, resources=tuple(resources)))


def _monitor(
    program: Program,
    journal: Journal,
    *,
    dry_run: bool,
    parallel: int,
    on_event: OnEvent | None,
    plan: Plan | None = None,
) -> Monitor:
    # Imported here, because the SDK takes half a second to import and reading a state needs none of it.
    from engine.monitor import Monitor

    slots = nullcontext() if dry_run else threading.BoundedSemaphore(parallel)
    return Monitor(program, journal, dry_run=dry_run, slots=slots, on_event=on_event, plan=plan)


def _run(program: Program, monitor: Monitor, *, dry_run: bool, parallel: int) -> None:
    from engine import sdk

    entry = program.folder.absolute() / "__main__.py"

    def main() -> None:
        try:
            runpy.run_path(str(entry), run_name="__main__")
        except SystemExit as error:
            raise EngineError(f"the program ended itself (exit status {error.code})") from error

    try:
        with _on_path(program.folder), chdir(program.folder), monitor.early.room(parallel):
            sdk.run(
                main,
                monitor=monitor,
                log=monitor,
                project=program.project,
                stack=program.stack,
                folder=program.folder.absolute(),
                settings_values=program.config,
                secret_keys=program.secret_keys,
                dry_run=dry_run,
                # Threads that have nothing to wait for only fight over the interpreter: one makes a preview twice as
                # fast as 32. In `up`, a few more than there are slots keep components from queueing behind the slots.
                threads=1 if dry_run else parallel + 2,
                before=monitor.early.start,
                on_break=monitor.stop,
            )
    except Exception:
        if monitor.problems:
            raise Refusal(*monitor.problems) from None
        raise


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    entry = str(folder.absolute())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _counts(item: Resource) -> bool:
    """Whether users see it as a resource: the entry that stands for the dynamic provider is bookkeeping."""
    return not item.type.startswith("pulumi:providers:pulumi-python")


def _told(item: Resource, monitor: Monitor) -> bool:
    """Whether its deletion is a step of its own: that of an old copy belongs to the step that replaces it."""
    replaced = {step.urn for step in monitor.steps if step.op == "replace"} if item.delete else ()
    return _counts(item) and item.urn not in replaced


def _doomed(monitor: Monitor, journal: Journal) -> list[Resource]:
    return [item for item in journal.unsettled() if item.delete or not monitor.registered(item.urn)]


def _guarded(doomed: Sequence[Resource]) -> tuple[str, ...]:
    names = sorted(item.name for item in doomed if item.protect and not item.delete)
    if not names:
        return ()
    return (
        f"protected, and would be deleted: {', '.join(names)}. Take `protect` off in the program and run `up` "
        "once before, or unprotect them in the state",
    )


def _deletion(item: Resource) -> Step:
    return Step(
        op="delete",
        urn=item.urn,
        type=item.type,
        name=item.name,
        custom=item.custom,
        protected=item.protect,
        retained=item.retain_on_delete,
    )


def _delete(doomed: Sequence[Resource], monitor: Monitor, journal: Journal, parallel: int) -> list[Resource]:
    def delete(item: Resource) -> bool:
        if monitor.stopped:
            return False
        calls = item.dynamic and not item.retain_on_delete and not item.pending_replacement

        def action() -> None:
            if calls:
                monitor.providers.delete(item.id, item.outputs)
            journal.drop(item)

        return monitor.guarded(lambda: monitor.perform(_deletion(item), action, quiet=not _told(item, monitor)))

    return delete_all(doomed, delete, parallel)


def _settle_outputs(monitor: Monitor, journal: Journal, *, keep: bool) -> Properties:
    """Record the stack's outputs; after a failure the old ones stay, except where there is a new value."""
    root = next((item for item in journal.state().resources if item.type == STACK_TYPE), None)
    if root is None:
        return {}
    outputs = {key: value for key, value in monitor.stack_outputs.items() if not has_unknown(value)}
    if keep:
        outputs = {**root.outputs, **outputs}
    monitor.guarded(lambda: journal.amend(root, replace(root, outputs=outputs)))
    return outputs


def _raise_what_went_wrong(monitor: Monitor, crash: Exception | None, left: Sequence[Resource], result: Result) -> None:
    if monitor.error is not None:
        raise monitor.error
    if monitor.failures:
        names = {urn.rsplit("::", 1)[1] for urn in monitor.skipped - {failure.urn for failure in monitor.failures}}
        raise RunFailed(tuple(monitor.failures), (*names, *(item.name for item in left)), result) from crash
    if monitor.problems:
        raise Refusal(*monitor.problems)
    if crash is not None:
        raise crash


def _recorded(state: State, program: Program | None) -> Program:
    """The project, stack and settings that the state tells of, because its resources were made with those."""
    stack, project = state.resources[0].urn.removeprefix("urn:pulumi:").split("::")[:2]
    entry = next((item for item in state.resources if not _counts(item)), None)
    config = bare(dict(entry.inputs)) if entry else {}
    return Program(project=project, stack=stack, folder=program.folder if program else Path.cwd(), config=config)
