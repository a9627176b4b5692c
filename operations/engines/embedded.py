"""The embedded engine: runs the program in this process."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from operations import consequences, pack, passphrase
from operations.changes import Change, Preview, counted
from operations.engines import records
from operations.errors import Fault, Refused
from operations.progress import View
from operations.stack import Stack

CLI_PAGE = "https://www.pulumi.com/docs/install/"

# The last preview of each stack in this process, by the state's path: an `up` right after it need not make another.
# Whether it is still of the same program and state, the engine looks for itself.
_PLANS: dict[Path, Any] = {}


class Embedded:
    name = "embedded"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.path = records.embedded_path(stack.name)

    def has_stack(self) -> bool:
        return bool(records.embedded(self.stack.name)) or records.embedded_backup_only(self.stack.name)

    def outputs(self) -> Mapping[str, Any] | None:
        resources = records.embedded(self.stack.name)
        return records.outputs(resources) if resources else None

    def protected(self) -> Mapping[str, Mapping[str, Any]]:
        return records.protected(records.embedded(self.stack.name) or [])

    def preview(self, *, given_up: Collection[str] = ()) -> Preview:
        state = None
        if self.path.exists():
            state_file = self.state_file(self._known_passphrase())
            state_file.prepare()
            state = state_file.load()
        elif records.embedded_backup_only(self.stack.name):
            self.state_file("").load()  # says what is missing
        plan = _PLANS[self.path] = plan_of(self.stack, state, given_up)
        return preview_from(plan)

    def require_able(self) -> None:
        """Raises `Refused` for a target that this engine does not build."""
        if self.stack.target != "local":
            raise Refused(
                f"target: the embedded engine previews {self.stack.target!r} and builds only the target local. "
                f"Install the Pulumi CLI ({CLI_PAGE}), put it on PATH, and run this again."
            )

    def up(self, view: View, *, given_up: Collection[str] = ()) -> Mapping[str, Any]:
        import engine

        state_file = self.state_file(passphrase.ensure())
        state_file.prepare()
        if given_up:
            engine.unprotect(state_file, sorted(given_up))
        with view:
            plan = _PLANS.pop(self.path, None)
            return engine.up(self.program(), state_file, reviewed=plan, on_event=view.event).outputs

    def destroy(self, view: View) -> None:
        import engine

        if not self.path.exists() and not records.embedded_backup_only(self.stack.name):
            return
        with view:
            engine.destroy(
                self.program(), self.state_file(self._known_passphrase()), unprotect=True, on_event=view.event
            )

    def export(self) -> dict[str, Any]:
        import engine

        word = self._known_passphrase()
        return engine.export(self.state_file(word).load(), passphrase=word, salt=self.stack.settings_file.salt)

    def take_over(self, document: Mapping[str, Any]) -> int:
        """Make an exported state this stack's own; the number of resources in it."""
        import engine

        word = passphrase.ensure()
        state = engine.import_(document, word)
        for item in state.resources:
            stack, project = item.urn.removeprefix("urn:pulumi:").split("::")[:2]
            if (stack, project) != (self.stack.name, self.stack.project):
                raise Refused(
                    f"this is the state of the stack {stack} of the project {project}, "
                    f"not of {self.stack.name} of {self.stack.project}"
                )
        if not state.resources and (self.has_stack() or any(self.stack.folder.glob("regions/*/members/*/data"))):
            raise Refused("this export holds no resources, and the stack has some: it would be forgotten, not removed")
        self.state_file(word).save(state)
        return len(state.resources)

    def state_file(self, word: str) -> Any:
        import engine

        return engine.StateFile(self.path, word)

    def program(self) -> Any:
        return program_of(self.stack)

    def _known_passphrase(self) -> str:
        word = passphrase.read()
        if word is None:
            raise Fault(
                f"the state {self.path} exists, but the passphrase of its secrets does not: {passphrase.own_file()} "
                f"is gone. Put it back, or set {passphrase.WORD}"
            )
        return word


def program_of(stack: Stack) -> Any:
    import engine

    return engine.Program(
        project=stack.project,
        stack=stack.name,
        folder=stack.source,
        config=stack.config.values,
        secret_keys=stack.config.secret_keys,
    )


def preview_of(stack: Stack, state: Any, given_up: Collection[str] = ()) -> Preview:
    """What `up` would do to a state, whichever engine holds it."""
    return preview_from(plan_of(stack, state, given_up))


def plan_of(stack: Stack, state: Any, given_up: Collection[str]) -> Any:
    import engine

    state = state if state is not None else engine.State()
    if given_up:
        resources = tuple(replace(item, protect=item.protect and item.urn not in given_up) for item in state.resources)
        state = replace(state, resources=resources)
    plan = engine.preview(program_of(stack), state)
    return replace(plan, problems=(*plan.problems, *pack.problems(pack.planned(plan), stack.topology)))


def preview_from(plan: Any) -> Preview:
    changes = tuple(
        Change(
            op=step.op,
            urn=step.urn,
            type=step.type,
            name=step.name,
            custom=step.custom,
            changed=step.changed,
            replace_keys=step.replace_keys,
            protected=step.protected,
        )
        for step in plan.steps
        if counted(step.type)
    )
    changes = consequences.of_plan(changes, plan)
    return Preview(changes=changes, problems=(*plan.problems, *consequences.refusals(changes)))
