"""The other end of the SDK's wire: takes each registration of a program, decides what it means, and does it.

Follows the order of decisions of Pulumi's own engine (pulumi: pkg/resource/deploy/step_generator.go, August 2026).
"""

from __future__ import annotations

import copy
import threading
import traceback
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from engine import sdk
from engine.deletion import dependents_of
from engine.dynamic import Difference, Providers
from engine.early import Early
from engine.errors import EngineError, Failure, Refusal, StateError
from engine.journal import Journal
from engine.options import REFUSED_CALLS, former_urns, goal, refused_options, urn_of
from engine.plan import Event, OnEvent, Operation, Plan, Program, Step
from engine.state import STACK_TYPE, Resource, timestamp
from engine.values import UNKNOWN, Properties, Secret, changed_paths, covers, has_unknown, parse_path, reset

PYTHON_PROVIDER = "pulumi:providers:pulumi-python"


class _Skipped(Exception):  # noqa: N818
    """This resource is not attempted, because something it needs failed."""


class Monitor:
    """Answers the SDK's calls for one run. Calls arrive from several threads at once."""

    def __init__(
        self,
        program: Program,
        journal: Journal,
        *,
        dry_run: bool,
        slots: AbstractContextManager[Any],
        on_event: OnEvent | None,
        plan: Plan | None = None,
    ) -> None:
        self.steps: list[Step] = []
        self.failures: list[Failure] = []
        self.problems: list[str] = []
        """What `up` refuses: protected resources, options that are not honoured."""
        self.skipped: set[str] = set()
        self.stack_outputs: dict[str, Any] = {}
        self.requests: dict[str, Any] = {}
        """The registrations that were answered, by URN, each after what it needs."""
        self.early = Early(plan, self)
        self.error: StateError | None = None
        self.providers = Providers(program.project, program.config)
        self._program = program
        self._journal = journal
        self._dry_run = dry_run
        self._slots = slots
        self._on_event = on_event
        self._olds = {item.urn: item for item in journal.unsettled() if not item.delete}
        self._seen: set[str] = set()
        self._inherited: dict[str, tuple[bool, bool]] = {}
        self._replaced_early: dict[str, tuple[str, ...]] = {}
        """Dependents deleted ahead of a delete-before-replace, and why each must be replaced."""
        self._provider_ref = ""
        self._stopped = False
        self._lock = threading.Lock()
        self._event_lock = threading.Lock()

    # What the SDK calls

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802
        return sdk.FEATURES

    def SignalAndWaitForShutdown(self, request: Any) -> Any:  # noqa: N802
        return sdk.EMPTY

    def Log(self, request: Any) -> Any:  # noqa: N802
        kind = sdk.SEVERITIES.get(request.severity)
        if kind is not None:
            self.emit(Event(kind=kind, message=request.message, urn=request.urn))  # type: ignore[arg-type]
        return sdk.EMPTY

    def RequirePulumiVersion(self, request: Any) -> Any:  # noqa: N802
        return sdk.EMPTY

    def __getattr__(self, call: str) -> Callable[[Any], Any]:
        if call not in REFUSED_CALLS:
            raise AttributeError(call)
        return lambda request: self._refuse(REFUSED_CALLS[call].format(request))

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        outputs = sdk.from_struct(request.outputs)
        known = self._journal.settled(request.urn)
        if known is None:
            return sdk.EMPTY
        if known.type == STACK_TYPE:
            # Kept until the end of the run, which tells whether an output that is missing is gone or only failed.
            self.stack_outputs = outputs
        elif not has_unknown(outputs) or self._dry_run:
            self.guarded(lambda: self._journal.amend(known, replace(known, outputs=outputs)))
        return sdk.EMPTY

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802
        urn = self._urn(request)
        with self._lock:
            twice = urn in self._seen
            self._seen.add(urn)
        if request.type == STACK_TYPE and twice:
            return sdk.RegisterResponse(urn=urn)
        answer = None if twice else self.early.claim(request, urn)
        return self.carry_out(request, urn, twice=twice) if answer is None else answer

    # What it means

    def carry_out(self, request: Any, urn: str, *, twice: bool = False) -> Any:
        """Make what a registration asks for, and answer it. Raises nothing: what goes wrong is on record here."""
        try:
            if twice:
                raise Refusal(f"two resources of type {request.type} are called `{request.name}` (duplicate URN {urn})")
            if self._stopped:
                raise _Skipped
            answer = self._register(request, urn)
            self.requests[urn] = request
            return answer
        except _Skipped:
            self.skipped.add(urn)
            self.emit(Event(kind="skipped", urn=urn, message="needs something that failed"))
            return sdk.RegisterResponse(urn=urn, result=sdk.FAILED)
        except Refusal as refusal:
            self.problems.extend(refusal.problems)
            self._stopped = self._stopped or not self._dry_run
        except StateError as error:
            self.stop(error)
        except Exception as error:
            self._fail(urn, request.name, "preview" if self._dry_run else "up", error)
        self.skipped.add(urn)
        return sdk.RegisterResponse(urn=urn, result=sdk.FAILED)

    def take_back(self, urns: set[str]) -> None:
        """Regard what was carried out under these URNs as the state that this run begins with."""
        self._olds.update((item.urn, item) for item in self._journal.reopen(urns))
        for step in [step for step in self.steps if step.urn in urns and step.op == "same"]:
            self.steps.remove(step)

    def stop(self, error: StateError | None = None) -> None:
        """Start nothing more; what is under way ends and is recorded."""
        self._stopped = True
        self.error = self.error or error

    @property
    def stopped(self) -> bool:
        return self._stopped

    def registered(self, urn: str) -> bool:
        return urn in self._seen

    def emit(self, event: Event) -> None:
        if self._on_event is not None:
            with self._event_lock:
                self._on_event(event)

    def perform(self, step: Step, action: Callable[[], None], *, quiet: bool = False) -> bool:
        """Do `action`, which is `step`, and tell about it unless `quiet`; False where it failed."""
        if self._dry_run:
            self.steps.append(step)
            return True
        try:
            with self._slots:
                if self._stopped:
                    raise _Skipped
                if not quiet:
                    self.emit(Event(kind="begin", step=step, urn=step.urn))
                action()
        except (StateError, _Skipped):
            raise
        except Exception as error:
            self._fail(step.urn, step.name, step.op, error, step)
            return False
        if not quiet:
            self.steps.append(step)
            self.emit(Event(kind="done", step=step, urn=step.urn))
        return True

    def _fail(self, urn: str, name: str, operation: str, error: Exception, step: Step | None = None) -> None:
        detail = "".join(traceback.format_exception(error))
        message = str(error) or type(error).__name__
        failure = Failure(urn=urn, name=name, operation=operation, message=message, traceback=detail)
        self.failures.append(failure)
        self.emit(Event(kind="failed", step=step, urn=urn, message=message))

    def guarded(self, action: Callable[[], Any]) -> bool:
        """Do `action`; a state that cannot be written ends the run. False where that happened or the action says so."""
        try:
            return action() is not False
        except StateError as error:
            self.stop(error)
        except _Skipped:
            pass
        return False

    def _refuse(self, what: str) -> None:
        refusal = Refusal(f"{what}: the embedded engine does not support this; use the Pulumi CLI (`--engine pulumi`)")
        self.problems.extend(refusal.problems)
        self.stop()
        raise refusal

    def _urn(self, request: Any) -> str:
        return urn_of(self._program.stack, self._program.project, request.parent, request.type, request.name)

    def _register(self, request: Any, urn: str) -> Any:
        name = request.name
        dynamic = request.custom and request.type.startswith("pulumi-python:")
        refused = refused_options(request, dynamic=dynamic)
        if refused:
            raise Refusal(
                f"{name}: the embedded engine does not support the option{'s' * (len(refused) > 1)} "
                f"{', '.join(f'`{option}`' for option in refused)}; use the Pulumi CLI (`--engine pulumi`)"
            )
        old = self._olds.get(urn)
        new = goal(request, urn, old, self._inherited.get(request.parent, (False, False)))
        self._inherited[urn] = (new.protect, new.retain_on_delete)
        if not self._dry_run and (not new.needs().isdisjoint(self.skipped) or has_unknown(new.inputs)):
            raise _Skipped
        if not request.custom:
            return self._component(new, old)
        if dynamic:
            return self._dynamic(replace(new, provider=self._default_provider()), old, request)
        if not self._dry_run:
            raise Refusal(
                f"{name} ({request.type}): only the Pulumi CLI can build this; the embedded engine previews it. "
                "Get the CLI from https://www.pulumi.com/docs/iac/download-install/"
            )
        return self._foreign(new, old, request)

    def _step(self, op: Operation, new: Resource, old: Resource | None, change: Difference | None = None) -> Step:
        return Step(
            op=op,
            urn=new.urn,
            type=new.type,
            name=new.name,
            custom=new.custom,
            changed=tuple(changed_paths(old.inputs, new.inputs)) if old and op in ("update", "replace") else (),
            replace_keys=change.replace_keys if change else (),
            delete_before_replace=bool(change and change.delete_before_replace),
            protected=new.protect or bool(old and old.protect),
        )

    def _component(self, new: Resource, old: Resource | None) -> Any:
        op: Operation = "create" if old is None else "same" if old.inputs == new.inputs else "update"
        if op == "create":
            now = timestamp()
            new = replace(new, created=now, modified=now)
        self.perform(self._step(op, new, old), lambda: None)
        self._journal.settle(new, old)
        # The outputs of a component come later and from the program itself, so there is nothing to tell it now.
        return sdk.RegisterResponse(urn=new.urn)

    def _foreign(self, new: Resource, old: Resource | None, request: Any) -> Any:
        """A cloud's resource, in preview only: its schema is not known here, so only the inputs are compared."""
        if old is None:
            for was in former_urns(request, new.urn):
                if was in self._olds and was not in self._seen:
                    old = self._olds[was]
                    self._seen.add(was)
                    break
        if old is None:
            self.perform(self._step("create", new, None), lambda: None)
            self._journal.settle(new)
            return self._answer(new, new.inputs)
        new = replace(new, inputs=self._ignoring(new, old), id=old.id, outputs=old.outputs)
        keys = tuple(dict.fromkeys(str(parse_path(path)[0]) for path in changed_paths(old.inputs, new.inputs)))
        change = self._with_replace_on_changes(Difference(changed=bool(keys), keys=keys), new)
        op: Operation = "same" if not keys else "replace" if change.replace_keys else "update"
        self._forbid_replacing(op, new, old)
        self.perform(self._step(op, new, old, change), lambda: None)
        self._journal.settle(new, old, keep_old=op == "replace")
        return self._answer(
            replace(new, id="") if op == "replace" else new, old.outputs if op == "same" else new.inputs
        )

    def _dynamic(self, new: Resource, old: Resource | None, request: Any) -> Any:
        asked = dict(new.inputs)
        early = self._replaced_early.get(new.urn, ())
        if old is not None and not early:
            new = replace(new, inputs=self._ignoring(new, old))
        new = replace(new, inputs=self.providers.check(old.inputs if old and not early else {}, new.inputs))
        if old is None:
            return self._create(new, None, self._step("create", new, None))
        if early:
            # Deleted already, ahead of something it depends on: what stands in the journal is the mark of that.
            change = Difference(changed=True, replace_keys=early, delete_before_replace=True)
        else:
            change = self.providers.diff(old.id, old.outputs, old.inputs, new.inputs, new.ignore_changes)
            change = self._with_replace_on_changes(change, new)
        if not old.pending_replacement and not early:
            if not change.changed:
                return self._same(new, old)
            if not change.replace_keys:
                return self._update(new, old, change)
        if request.deleteBeforeReplaceDefined:
            change = replace(change, delete_before_replace=request.deleteBeforeReplace)
        if not early:
            # A replacement starts from nothing: it is checked anew, without the old inputs and ignore_changes.
            new = replace(new, inputs=self.providers.check({}, asked))
        step = self._step("replace", new, old, change)
        self._forbid_replacing("replace", new, old)
        if early:
            return self._create(new, self._current(old), step)
        if not change.delete_before_replace:
            return self._create(new, old, step, keep_old=not old.pending_replacement)
        self._delete_before(new, old)
        return self._create(new, self._current(old), step)

    def _same(self, new: Resource, old: Resource) -> Any:
        new = replace(new, outputs=_with_secrets(old.outputs, new))
        self.perform(self._step("same", new, old), lambda: None)
        self._journal.settle(new, old)
        return self._answer(new, new.outputs)

    def _update(self, new: Resource, old: Resource, change: Difference) -> Any:
        def action() -> None:
            outputs = _with_secrets(self.providers.update(old.id, old.outputs, new.inputs), new)
            self._journal.settle(replace(new, outputs=outputs, modified=timestamp()), old)

        return self._carry_out(new, old, self._step("update", new, old, change), action)

    def _create(self, new: Resource, old: Resource | None, step: Step, *, keep_old: bool = False) -> Any:
        def action() -> None:
            id_, outputs = self.providers.create(new.inputs)
            now = timestamp()
            made = replace(new, id=id_, outputs=_with_secrets(outputs, new), created=now, modified=now)
            self._journal.settle(made, old, keep_old=keep_old)

        if self._dry_run:
            new = replace(new, id="")
        return self._carry_out(new, old, step, action)

    def _carry_out(self, new: Resource, old: Resource | None, step: Step, action: Callable[[], None]) -> Any:
        if not self.perform(step, action):
            self.skipped.add(new.urn)
            return sdk.RegisterResponse(urn=new.urn, result=sdk.FAILED)
        if self._dry_run:
            # As for the CLI, whose dynamic providers take no part in a preview: what is not an input is not known yet.
            self._journal.settle(new, old, keep_old=step.op == "replace" and not step.delete_before_replace)
            return self._answer(new, _with_secrets(new.inputs, new))
        made = self._journal.settled(new.urn)
        assert made is not None
        return self._answer(made, made.outputs)

    def _delete_before(self, new: Resource, old: Resource) -> None:
        """Delete `old`, and first everything that would have to be replaced with it, before it is created anew."""
        with self._lock:
            seen = set(self._seen)
        doomed: list[tuple[Resource, tuple[str, ...]]] = []
        replaced = {old.urn}
        for item in dependents_of(old, self._journal.unsettled()):
            uncertain = {key for key, urns in item.property_dependencies.items() if not replaced.isdisjoint(urns)}
            if not item.dynamic or item.urn in seen or item.delete or not uncertain & set(item.inputs):
                continue
            inputs = {key: UNKNOWN if key in uncertain else value for key, value in item.inputs.items()}
            change = self.providers.diff(item.id, item.outputs, item.inputs, inputs, item.ignore_changes)
            change = self._with_replace_on_changes(change, item)
            if change.changed and change.replace_keys:
                doomed.append((item, change.replace_keys))
                replaced.add(item.urn)
        guarded = [item.name for item, _ in doomed if item.protect]
        if guarded:
            raise Refusal(_protected(guarded, f"replaced, because {new.name} is replaced"))
        for item, keys in reversed(doomed):
            self._replaced_early[item.urn] = keys
            self._delete_for_replacement(item)
        self._delete_for_replacement(old)

    def _delete_for_replacement(self, item: Resource) -> None:
        if self._dry_run or item.pending_replacement:
            return
        with self._slots:
            if not item.retain_on_delete:
                try:
                    self.providers.delete(item.id, item.outputs)
                except Exception as error:
                    raise EngineError(f"{item.name} could not be deleted ahead of its replacement: {error}") from error
            self._journal.amend(item, replace(item, pending_replacement=True))

    def _current(self, old: Resource) -> Resource:
        return next((item for item in self._journal.unsettled() if item.urn == old.urn and not item.delete), old)

    def _forbid_replacing(self, op: Operation, new: Resource, old: Resource) -> None:
        if op != "replace" or not (new.protect and old.protect) or old.pending_replacement:
            return
        if not self._dry_run:
            raise Refusal(_protected([new.name], "replaced"))
        self.problems.append(_protected([new.name], "replaced"))

    def _ignoring(self, new: Resource, old: Resource) -> Properties:
        if not new.ignore_changes:
            return new.inputs
        inputs = copy.deepcopy(dict(new.inputs))
        lost = [path for path in new.ignore_changes if not reset(parse_path(path), old.inputs, inputs)]
        if lost:
            message = f"{new.name}: cannot ignore changes in added or removed elements of {', '.join(lost)}"
            self.emit(Event(kind="info", urn=new.urn, message=message))
        return inputs

    @staticmethod
    def _with_replace_on_changes(change: Difference, new: Resource) -> Difference:
        paths = [parse_path(path) for path in new.replace_on_changes]
        more = [key for key in change.keys if any(covers(path, (key,)) for path in paths)]
        return replace(change, replace_keys=tuple(dict.fromkeys((*change.replace_keys, *more)))) if more else change

    def _default_provider(self) -> str:
        """The provider entry that every dynamic resource names; it holds the stack's settings, as under Pulumi."""
        with self._lock:
            if not self._provider_ref:
                program = self._program
                urn = f"urn:pulumi:{program.stack}::{program.project}::{PYTHON_PROVIDER}::default"
                self._seen.add(urn)
                old = self._olds.get(urn)
                values = {
                    key: Secret(text) if key in program.secret_keys else text for key, text in program.config.items()
                }
                now = timestamp()
                entry = replace(
                    old or Resource(urn=urn, type=PYTHON_PROVIDER, custom=True, id=str(uuid.uuid4()), created=now),
                    inputs=values,
                    outputs=values,
                    modified=old.modified if old and old.inputs == values else now,
                )
                self._journal.settle(entry, old)
                self._provider_ref = f"{urn}::{entry.id}"
        return self._provider_ref

    def _answer(self, resource: Resource, outputs: Properties) -> Any:
        return sdk.RegisterResponse(urn=resource.urn, id=resource.id, object=sdk.to_struct(outputs))


def _with_secrets(outputs: Properties, resource: Resource) -> dict[str, Any]:
    marked = dict(outputs)
    for key in resource.additional_secret_outputs:
        if key in marked and not isinstance(marked[key], Secret):
            marked[key] = Secret(marked[key])
    return marked


def _protected(names: Sequence[str], what: str) -> str:
    return (
        f"protected, and would be {what}: {', '.join(sorted(names))}. Take `protect` off in the program and run "
        "`up` once before, or unprotect them in the state"
    )
