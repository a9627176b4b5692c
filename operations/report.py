"""What a preview tells of a step: one record, which is shown as text, JSON or Markdown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from operations.changes import Change, Preview, counts
from operations.errors import Refused
from operations.stack import Stack
from operations.transition import Transition

if TYPE_CHECKING:
    from topology import Step, Topology
    from topology.effects import Effect
    from topology.recovery import Drill, Figure


@dataclass(frozen=True, kw_only=True)
class Report:
    stack: Stack
    transition: Transition
    engine: str | None
    origin: str  # what the comparison starts from
    preview: Preview | None  # None where the target is not built
    problems: tuple[str, ...]

    @property
    def after(self) -> "Topology":
        return self.transition.new

    @cached_property
    def before(self) -> "Topology | None":
        """What runs, planned again from the settings, because the state keeps a summary only. None where they no longer
        plan it."""
        from topology import SettingsError, plan

        old = self.transition.old
        if old is None:
            return None
        names = {region.name for region in old.regions}
        settings = self.stack.settings
        listed = tuple(region for region in settings.regions if region.name in names)
        try:
            return plan(settings.model_copy(update={"phase": old.phase, "regions": listed}))
        except (SettingsError, KeyError, IndexError, StopIteration):
            return None

    @cached_property
    def exact(self) -> bool:
        """Whether `before` is what the state's summary says."""
        from topology.summary import summarise

        return self.before is not None and summarise(self.before) == self.transition.old

    @cached_property
    def drills(self) -> "tuple[Drill, ...]":
        """What this stack's own drills measured."""
        from operations.drill import history

        return history.drills(self.stack.folder)

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.preview.changes if self.preview else ()

    @cached_property
    def steps(self) -> "tuple[tuple[Step, Effect], ...]":
        from topology.effects import effect

        return tuple((step, effect(step, self.after)) for step in self.transition.steps)

    @property
    def irreversible(self) -> tuple[str, ...]:
        """What nothing takes back, of the steps and of the resources."""
        gone = (
            f"{change.name} ({change.kind}) would be {PAST[change.op]}, with what it holds."
            for change in self.changes
            if change.stateful and change.op in PAST
        )
        return tuple(dict.fromkeys((*(effect.undo for _, effect in self.steps if effect.undo), *gone)))

    @property
    def untouched(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.stateful and change.op == "same")

    @property
    def in_place(self) -> tuple[Change, ...]:
        return tuple(
            change for change in self.changes if change.stateful and change.op == "update" and not change.harms
        )

    @property
    def harmed(self) -> tuple[Change, ...]:
        """What the provider does more to than to update it."""
        return tuple(change for change in self.changes if change.consequences)

    @property
    def heading(self) -> str:
        old, new = self.transition.old, self.after
        where = f"{new.environment} ({new.target})"
        if old is None:
            return f"{where}: build {new.phase.label}"
        if old.phase is new.phase:
            return f"{where}: stays at {new.phase.label}"
        return f"{where}: from {old.phase.label} to {new.phase.label}"

    def as_json(self) -> dict[str, Any]:
        old = self.transition.old
        return {
            "stack": self.stack.name,
            "target": self.after.target,
            "engine": self.engine,
            "compared_with": self.origin,
            "built": self.preview is not None,
            "from": old.phase.label if old else None,
            "phase": self.after.phase.label,
            "steps": [
                {
                    "kind": step.kind,
                    "subject": step.subject,
                    "removes": step.removes,
                    "text": step.text,
                    "users": effect.users,
                    "estimate": effect.estimate,
                    "source": effect.source,
                    "undo": effect.undo,
                }
                for step, effect in self.steps
            ],
            "resources": [change.as_json() for change in self.changes],
            "counts": counts(self.changes),
            "untouched": [change.name for change in self.untouched],
            "changed_in_place": [change.name for change in self.in_place],
            "irreversible": list(self.irreversible),
            "before": standing(self.before, self.drills),
            "after": standing(self.after, self.drills),
            "before_is_exact": self.exact,
            "added_regions": self.stack.added_slots,
            "problems": list(self.problems),
        }


PAST = {"replace": "replaced", "delete": "deleted"}


def standing(topology: "Topology | None", drills: "Sequence[Drill]") -> dict[str, Any] | None:
    """Objectives, round trips and scenarios of one side of the step."""
    from topology.recovery import held
    from topology.round_trips import round_trips
    from topology.scenarios import scenarios

    if topology is None:
        return None
    return {
        "phase": topology.phase.label,
        "objectives": [
            {"name": each.name, "asked_seconds": each.asked, "met": each.met, "reached": figure_json(each.reached)}
            for each in held(topology, drills)
        ],
        "round_trips": [asdict(each) for each in round_trips(topology)],
        "scenarios": [
            {
                "name": each.name,
                "cover": each.cover,
                "how": each.how,
                "rto": figure_json(each.rto),
                "rpo": figure_json(each.rpo),
            }
            for each in scenarios(topology, drills)
        ],
    }


def figure_json(figure: "Figure | None") -> dict[str, Any] | None:
    if figure is None:
        return None
    return {"value": figure.seconds, "unit": "s", "basis": figure.basis, "source": figure.source}


HOLDERS = {"embedded": "the embedded engine's state", "pulumi": "the state that the Pulumi CLI holds"}


def origin_of(holder: str | None) -> str:
    """What a comparison starts from, in words."""
    if holder is None:
        return "nothing, because no state of this stack is known here; `--state FILE` compares with an export"
    return HOLDERS[holder]


def picture(report: Report) -> str:
    """Before above after; without a before, the plan alone."""
    from topology.picture import pair, svg

    if report.before is None:
        return svg(report.after)
    return pair(report.before, report.after)


def require_picture(path: str) -> None:
    if not path.endswith(".svg"):
        raise Refused(f"--picture: {path} does not end in .svg, which is what is drawn. Name it FILE.svg.")
